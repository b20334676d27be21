"""Pictures as tiles, tiles as blocks of 8×8 pixels, and the basis in which blocks are coded."""

import numpy as np

BLOCK = 8
TILE = 512  # pixels a side: nothing crosses a tile's border, so that memory stays bounded


def block_basis(images) -> np.ndarray:
    """The transform, float32 [192, 192]: its rows are orthonormal blocks [8, 8, 3].

    Cosines in both directions, times the principal components of the colour differences between
    neighbours; the three means first, then by falling variance.

    Args:
        images: uint8 [n, h, w, 3].
    """
    from scipy.fft import dct  # only now: it takes a while to load, and coding does without

    cosines = dct(np.eye(BLOCK), norm="ortho", axis=0)
    differences = np.diff(images.astype(np.float32), axis=2).reshape(-1, 3)
    colours = np.linalg.eigh(differences.T @ differences)[1].T[::-1]
    colours = colours * np.sign(colours[:, 1:2])
    basis = np.einsum("ui,vj,cd->uvcijd", cosines, cosines, colours).reshape(192, 192)
    variance = np.square(to_blocks(images) @ basis.T).mean((0, 1, 2))
    variance[:3] = np.inf
    return basis[np.argsort(-variance, kind="stable")].astype(np.float32)


def to_blocks(pictures) -> np.ndarray:
    """uint8 [n, h, w, 3] → float32 [n, rows, columns, 192], grey levels around 0.

    Sides that are no multiple of 8 are padded with their last row or column.
    """
    n, h, w, _ = pictures.shape
    padded = np.pad(pictures, ((0, 0), (0, -h % BLOCK), (0, -w % BLOCK), (0, 0)), mode="edge")
    rows, columns = block_grid(h, w)
    split = padded.reshape(n, rows, BLOCK, columns, BLOCK, 3).swapaxes(2, 3)
    return split.reshape(n, rows, columns, -1).astype(np.float32) - 128


def from_blocks(blocks) -> np.ndarray:
    """The inverse of `to_blocks`, float32 [n, 8 rows, 8 columns, 3], neither rounded nor cut."""
    n, rows, columns, _ = blocks.shape
    split = (blocks + 128).reshape(n, rows, columns, BLOCK, BLOCK, 3).swapaxes(2, 3)
    return split.reshape(n, rows * BLOCK, columns * BLOCK, 3)


def quantise(pictures, basis, log_steps) -> np.ndarray:
    """The coefficients of pictures uint8 [n, h, w, 3], whole numbers [n, rows, columns, 192].

    Args:
        basis: from `block_basis`.
        log_steps: log2 of each picture's step, [n].
    """
    return np.rint(to_blocks(pictures) @ basis.T / 2.0 ** log_steps[:, None, None, None])


def dequantise(coefficients, basis, log_steps) -> np.ndarray:
    """The inverse of `quantise`, but for what it rounded: as `from_blocks`."""
    return from_blocks(coefficients * 2.0 ** log_steps[:, None, None, None] @ basis)


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
