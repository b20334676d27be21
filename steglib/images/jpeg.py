"""What a JPEG file makes of a picture: other colours, cosines of 8×8 pixels, coarse steps."""

import functools
import io

import numpy as np
from PIL import Image

BLOCK = 8  # pixels a side
TRACED = 512  # pixels a side, at most, in which traces of JPEG are sought
NOTHING = 0.75  # grey levels: what rounding leaves of a cosine that was 0
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


def trace(image) -> float:
    """How much one lattice of 8×8 blocks differs from all others, 0…1: JPEG leaves such a trace.

    Of its own blocks, it makes many cosines 0, and rounding to 8 bits does not hide that.
    Photographs that never were JPEG files have at most 0.02, files of quality 98 at least 0.07.

    Args:
        image: uint8 [h, w, 3], of which the middle is looked at.
    """
    top, left = (max(0, (side - TRACED) // 2) for side in image.shape[:2])
    plane = luma(image[top : top + TRACED, left : left + TRACED])
    inside = plane.shape[0] - BLOCK + 1, plane.shape[1] - BLOCK + 1
    if min(inside) < BLOCK:
        return 0.0
    shares = [
        np.mean(np.abs(to_cosines(plane[y : y + inside[0], x : x + inside[1]])[1:, 1:]) < NOTHING)
        for y in range(BLOCK)
        for x in range(BLOCK)
    ]
    return float(np.max(np.abs(shares - np.median(shares))))
