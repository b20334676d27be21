"""What a JPEG file makes of a picture: other colours, cosines of 8×8 pixels, coarse steps."""

import functools
import io

import numpy as np
from PIL import Image

BLOCK = 8  # pixels a side
TO_YCC = np.array(  # red, green, blue → luma and two chromas (ITU-T T.871); rows are planes
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
COSINES = np.sqrt(0.25 - 0.125 * (np.arange(BLOCK)[:, None] == 0)) * np.cos(
    np.pi / BLOCK * np.arange(BLOCK)[:, None] * (np.arange(BLOCK) + 0.5)
)  # orthonormal rows, from the mean to the finest


@functools.cache
def steps(quality: int) -> np.ndarray:
    """libjpeg's quantisation steps, int [2, 8, 8] (luma and chroma; vertical, horizontal).

    Args:
        quality: 1…100.
    """
    file = io.BytesIO()
    Image.new("RGB", (BLOCK, BLOCK)).save(file, "JPEG", quality=quality)
    tables = Image.open(file).quantization
    return np.array([tables[0], tables[1]]).reshape(2, BLOCK, BLOCK)


def luma(image) -> np.ndarray:
    """The luma of uint8 [h, w, 3], float32 [h, w] in 0…255."""
    red, green, blue = TO_YCC[0].astype(np.float32)
    return image[..., 0] * red + image[..., 1] * green + image[..., 2] * blue


def to_cosines(plane) -> np.ndarray:
    """Coefficients [8, 8, rows, columns] of the whole blocks in a plane [h, w], float32.

    The first axes count waves down and across. Rows and columns that make no whole block are
    left out.
    """
    rows, columns = (side // BLOCK for side in plane.shape)
    cosines = COSINES.astype(np.float32)
    blocks = plane[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns * BLOCK)
    down = cosines @ blocks  # rows, waves down, pixels across
    across = down.reshape(-1, BLOCK) @ cosines.T
    return across.reshape(rows, BLOCK, columns, BLOCK).transpose(1, 3, 0, 2)


def from_cosines(coefficients) -> np.ndarray:
    """The inverse of `to_cosines`, float32 [h, w]."""
    rows, columns = coefficients.shape[2:]
    cosines = COSINES.astype(np.float32)
    across = coefficients.transpose(2, 0, 3, 1).reshape(-1, BLOCK) @ cosines
    down = cosines.T @ across.reshape(rows, BLOCK, columns * BLOCK)
    return down.reshape(rows * BLOCK, columns * BLOCK)
