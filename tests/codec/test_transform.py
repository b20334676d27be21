import numpy as np
import pytest

from steglib.codec.transform import (
    block_basis,
    block_grid,
    dequantise,
    from_blocks,
    quantise,
    tiles,
    to_blocks,
)


def test_the_basis_is_orthonormal_and_sorted(photos):
    basis = block_basis(photos)
    assert basis.dtype == np.float32
    assert np.allclose(basis @ basis.T, np.eye(192), atol=1e-5)
    variance = np.square(to_blocks(photos) @ basis.T).mean((0, 1, 2))
    assert (np.diff(variance[3:]) <= 1e-3 * variance[3:-1]).all()
    assert np.abs(basis[:3].reshape(3, 64, 3).std(1)).max() < 1e-6  # means come first


def test_the_basis_is_of_cosines_in_three_colours(photos):
    """Each pair of cosines is in three of its rows, one for each colour, and in no other."""
    basis = block_basis(photos).reshape(192, 8, 8, 3)
    x = (2 * np.arange(8) + 1) * np.pi / 16
    cosines = np.cos(x) * np.cos(5 * x)[:, None] / 4
    colours = np.einsum("kijc,ij->kc", basis, cosines)
    colours = colours[np.abs(colours).max(1) > 0.01]
    assert colours.shape == (3, 3)
    assert np.allclose(colours @ colours.T, np.eye(3), atol=1e-5)


def test_blocks_come_back(photos):
    assert np.array_equal(from_blocks(to_blocks(photos)), photos)
    padded = from_blocks(to_blocks(photos[:, :61, :50]))
    assert padded.shape == (len(photos), 64, 56, 3)
    assert np.array_equal(padded[:, :61, :50], photos[:, :61, :50])
    assert np.array_equal(padded[:, 61:, 55], photos[:, [60] * 3, 49])


def test_rounding_costs_half_a_step_at_most(photos):
    basis, log_steps = block_basis(photos), np.linspace(-1, 6, len(photos))
    coefficients = quantise(photos, basis, log_steps)
    assert np.array_equal(coefficients, np.rint(coefficients))
    assert np.abs(coefficients).max() > 1000
    rounded = dequantise(coefficients, basis, log_steps) - photos
    errors = np.abs(to_blocks(128 + rounded) @ basis.T).max((1, 2, 3)) / 2**log_steps
    assert errors.max() < 0.501 and errors.min() > 0.45


@pytest.mark.parametrize("height, width", [(1, 1), (512, 512), (513, 64), (1025, 1500)])
def test_tiles_hold_each_pixel_once(height, width):
    seen = np.zeros((height, width), int)
    parts = tiles(height, width)
    for tile in parts:
        seen[tile] += 1
        assert seen[tile].shape == tuple(part.stop - part.start for part in tile)
        assert max(seen[tile].shape) <= 512  # a part of the format
    assert (seen == 1).all()
    assert parts == sorted(parts, key=lambda tile: (tile[0].start, tile[1].start))
    blocks = sum(np.prod(block_grid(*seen[tile].shape)) for tile in parts)
    assert blocks == np.prod(block_grid(height, width))
