"""Pictures as tiles, tiles as blocks of 8×8 pixels, and blocks as coefficients.

A block's coefficients are its cosines in both directions, in three colours: a sum and two
differences of red, green and blue. Every picture turns the two differences as suits it. Cosines
and colours are multiples of powers of two that float64 multiplies and adds without rounding, so
that a picture has the very same coefficients on every machine.
"""

import math

import numpy as np

from steglib.images.jpeg import BLOCK
from steglib.images.jpeg import COSINES as REAL_COSINES

COEFFICIENTS = 3 * BLOCK**2
TILE = 512  # pixels a side: nothing crosses a tile's border, so that memory stays bounded
COSINES = np.rint(REAL_COSINES * 2.0**14) / 2**14
TURNS = 32  # of the two colour differences, within a right angle; beyond, they change places
SAMPLE = 2048  # differences of neighbours by which a turn is chosen


def learn_colours(images) -> np.ndarray:
    """Orthonormal rows: the principal components of the differences between neighbours, [3, 3].

    Args:
        images: uint8 [n, h, w, 3].
    """
    differences = np.diff(images.astype(np.float32), axis=2).reshape(-1, 3)
    colours = np.linalg.eigh(differences.T @ differences)[1].T[::-1]
    return colours * np.sign(colours[:, 1:2])


def turned(colours, turns) -> np.ndarray:
    """The colours with their differences turned, multiples of 2^-12, float64 [n, 3, 3].

    Args:
        colours: [3, 3].
        turns: int [n], 0…31; with 0, they are as they were.
    """
    angles = np.asarray(turns) * (np.pi / 2 / TURNS)
    first, second = colours[1:, None]
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    rows = np.broadcast_to(colours[0], (len(angles), 3)), cosine * first + sine * second
    return np.rint(np.stack([*rows, cosine * second - sine * first], 1) * 2**12) / 2**12


def best_turns(pictures, colours) -> np.ndarray:
    """Which turn makes the colour differences of each picture sparsest, int [n].

    Args:
        pictures: uint8 [n, h, w, 3].
        colours: [3, 3].
    """
    _, height, width, _ = pictures.shape
    few = max(1, math.isqrt(height * width // SAMPLE))
    differences = turned(colours, np.arange(TURNS))[:, 1:].reshape(-1, 3).T.astype(np.float32)

    def best(picture):
        left, right = picture[::few, :-1:few], picture[::few, 1::few]
        change = (right.astype(np.float32) - left).reshape(-1, 3) @ differences
        return np.log2(1 + np.square(change)).sum(0).reshape(-1, 2).sum(1).argmin()

    return np.array([best(picture) for picture in pictures])


def to_coefficients(pictures, colours) -> np.ndarray:
    """uint8 [n, h, w, 3] → float64 [n, rows, columns, 192], exact: grey levels around 0.

    Sides that are no multiple of 8 are padded with their last row or column.

    Args:
        colours: float64 [n, 3, 3], of each picture.
    """
    n, h, w, _ = pictures.shape
    rows, columns = block_grid(h, w)
    padding = (0, 0), (0, -h % BLOCK), (0, -w % BLOCK), (0, 0)
    planes = np.moveaxis(np.pad(pictures, padding, mode="edge"), 3, 1) - 128.0
    mixed = colours @ planes.reshape(n, 3, -1)
    down = COSINES @ mixed.reshape(n, 3, rows, BLOCK, columns * BLOCK)
    across = down.reshape(n, 3, rows, BLOCK, columns, BLOCK) @ COSINES.T
    return across.transpose(0, 2, 4, 1, 3, 5).reshape(n, rows, columns, COEFFICIENTS)


def from_coefficients(coefficients, colours) -> np.ndarray:
    """The inverse of `to_coefficients`, float32 [n, 8 rows, 8 columns, 3], not rounded or cut."""
    n, rows, columns, _ = coefficients.shape
    cosines, colours = COSINES.astype(np.float32), colours.astype(np.float32)
    split = coefficients.reshape(n, rows, columns, 3, BLOCK, BLOCK).transpose(0, 3, 1, 4, 2, 5)
    across = (split @ cosines).reshape(n, 3, rows, BLOCK, columns * BLOCK)
    planes = colours.swapaxes(1, 2) @ (cosines.T @ across).reshape(n, 3, -1)
    return np.moveaxis(planes.reshape(n, 3, rows * BLOCK, columns * BLOCK) + 128, 1, 3)


def block_grid(height: int, width: int) -> tuple[int, int]:
    """How many rows and columns of blocks cover so many pixels."""
    return -(-height // BLOCK), -(-width // BLOCK)


def tiles(height: int, width: int) -> list[tuple[slice, slice]]:
    """The tiles of a picture, row by row: which pixel rows and columns each one holds."""
    return [
        (slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width)))
        for top in range(0, height, TILE)
        for left in range(0, width, TILE)
    ]
