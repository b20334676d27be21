import numpy as np

from steglib import load_images
from steglib.codec.transform import block_basis, dequantise, from_blocks, quantise, to_blocks

PHOTOS = load_images("sample", "val").images[::3]


def test_the_basis_is_orthonormal_and_sorted():
    basis = block_basis(PHOTOS)
    assert basis.dtype == np.float32
    assert np.allclose(basis @ basis.T, np.eye(192), atol=1e-5)
    blocks = to_blocks(PHOTOS)
    variance = np.square(blocks @ basis.T).mean((0, 1, 2))
    assert (np.diff(variance[3:]) <= 1e-3 * variance[3:-1]).all()
    assert np.abs(basis[:3].reshape(3, 64, 3).std(1)).max() < 1e-6  # means come first
    assert np.array_equal(from_blocks(blocks), PHOTOS)
    padded = from_blocks(to_blocks(PHOTOS[:, :61, :50]))
    assert padded.shape == (len(PHOTOS), 64, 56, 3)
    assert np.array_equal(padded[:, :61, :50], PHOTOS[:, :61, :50])
    assert np.array_equal(padded[:, 61:, 55], PHOTOS[:, [60] * 3, 49])


def test_coefficients_come_back_but_for_what_was_rounded():
    basis, log_steps = block_basis(PHOTOS), np.linspace(-1, 5, len(PHOTOS))
    coefficients = quantise(PHOTOS, basis, log_steps)
    assert np.array_equal(coefficients, np.rint(coefficients))
    errors = to_blocks(PHOTOS) - to_blocks(dequantise(coefficients, basis, log_steps))
    rounded = np.abs(errors @ basis.T).max((1, 2, 3))
    assert (rounded <= 2**log_steps / 2 + 0.01).all() and (rounded > 2**log_steps / 3).all()
