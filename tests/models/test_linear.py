import numpy as np
import pytest

from steglib import load_images
from steglib.evaluation import metrics
from steglib.models.linear import linear_hider, linear_hiding, principal_components


def test_principal_components_are_orthonormal_and_sorted():
    basis, power = principal_components(load_images("sample", "train").images)
    assert np.allclose(basis.T @ basis, np.eye(192), atol=1e-5)
    assert (np.diff(power) <= 0).all() and (power > 0).all()


def test_blocks_are_the_sum_of_their_components():
    images = load_images("sample", "train").images[:50, :16, :24]
    basis, power = principal_components(images)
    block = images[3, 8:16, 16:24].reshape(-1) - 127.5
    assert np.allclose(basis @ (basis.T @ block), block, atol=1e-2)
    blocks = images.reshape(50, 2, 8, 3, 8, 3).swapaxes(2, 3).reshape(-1, 192) - 127.5
    assert np.allclose(np.square(blocks @ basis).mean(0), power, rtol=1e-3, atol=1e-2)


def test_gains_share_out_the_strength_by_deviation():
    power = np.float32([100, 25, 4, 1])
    gains = linear_hiding(power, carried=3, strength=16)
    carried = gains**2 * power[:3]
    assert carried.sum() == pytest.approx(3 * 16)
    assert np.allclose(carried / np.sqrt(power[:3]), carried[0] / 10)


def test_linear_hiding_without_training(pairs):
    """More strength or fewer components: the trade-off moves as it should."""
    covers, secrets = pairs
    images, found = load_images("sample", "train").images, {}
    for options in ((80, 16.0), (40, 16.0), (80, 4.0)):
        hider = linear_hider(images, *options)
        stegos = hider.hide(covers, secrets)
        revealed = hider.reveal(stegos)
        found[options] = metrics.psnr(covers, stegos).mean(), metrics.psnr(secrets, revealed).mean()
    cover, secret = found[80, 16.0]
    assert hider.name == "linear hiding" and cover > 42 and secret > 38
    for other_cover, other_secret in (found[40, 16.0], found[80, 4.0]):
        assert other_cover > cover + 1 and other_secret < secret - 1
