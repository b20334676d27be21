import numpy as np
import pytest

from steglib import load_images
from steglib.evaluation import metrics
from steglib.models.linear import (
    linear_hider,
    linear_hiding,
    principal_components,
    rounding_order,
)


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


def test_gains_share_out_the_strength():
    power = np.float32([100, 25, 4, 1])
    gains = {s: linear_hiding(power, carried=3, strength=16, shaped=s) for s in (True, False)}
    carried = {shaped: gains[shaped] ** 2 * power[:3] for shaped in gains}
    assert np.allclose(carried[True], 16)  # the same for each
    assert carried[False].sum() == pytest.approx(3 * 16)  # or by standard deviation
    assert np.allclose(carried[False] / np.sqrt(power[:3]), carried[False][0] / 10)


def test_the_samples_to_come_make_up_for_an_error_as_well_as_they_can():
    random = np.random.default_rng(0)
    roots = random.normal(size=(6, 6))
    cost = roots @ roots.T + 0.1 * np.eye(6)
    order, feedback = rounding_order(cost)
    assert sorted(order) == list(range(6))
    cost = cost[np.ix_(order, order)]
    for first in range(5):
        rest = slice(first + 1, None)
        best = np.linalg.solve(cost[rest, rest], -cost[rest, first])  # for an error of 1
        assert np.allclose(-feedback[rest, first], best)
        left = [1 / np.linalg.inv(cost[first:, first:])[i, i] for i in range(6 - first)]
        assert left[0] == pytest.approx(max(left))


def test_linear_hiding_without_training(pairs):
    """More strength or fewer components: the trade-off moves as it should."""
    covers, secrets = pairs
    images = load_images("sample", "train").images

    def scored(**options):
        hider = linear_hider(images, **options)
        stegos = hider.hide(covers, secrets)
        assert hider.name == "linear hiding"
        return metrics.psnr(covers, stegos).mean(), metrics.psnr(
            secrets, hider.reveal(stegos)
        ).mean()

    cover, secret = scored(shaped=False, carried=80, strength=16)
    assert cover > 42 and secret > 38
    for options in ({"carried": 40, "strength": 16}, {"carried": 80, "strength": 4}):
        other_cover, other_secret = scored(shaped=False, **options)
        assert other_cover > cover + 1 and other_secret < secret - 1
    shaped_cover, shaped_secret = scored()
    assert shaped_cover > cover + 1 and shaped_secret > secret + 1
