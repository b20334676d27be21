import numpy as np
import pytest
import skimage
from scipy.ndimage import convolve, uniform_filter

from steglib.channels import costs

COSTS = costs.equal, costs.hill, costs.root_hill
PHOTO = skimage.data.astronaut()[100:180, 150:240]


@pytest.mark.parametrize("function", COSTS)
def test_costs_are_positive_and_impossible_changes_infinite(function):
    cover = PHOTO.copy()
    cover[:9, :9], cover[9:18, :9] = 255, 0
    up, down = function(cover)
    assert up.shape == down.shape == cover.shape and up.dtype == np.float32
    assert np.array_equal(np.isinf(up), cover == 255)
    assert np.array_equal(np.isinf(down), cover == 0)
    assert min(up.min(), down.min()) > 0
    both = np.isfinite(up) & np.isfinite(down)
    assert np.array_equal(up[both], down[both])


def test_hill_is_the_formula_of_the_paper():
    kernel = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]])
    up, _ = costs.hill(PHOTO)
    for colour in range(3):
        texture = np.abs(convolve(PHOTO[..., colour].astype(float), kernel, mode="reflect"))
        texture = np.maximum(uniform_filter(texture, 3, mode="reflect"), costs.FLATTEST)
        expected = uniform_filter(1 / texture, 15, mode="reflect")
        possible = PHOTO[..., colour] < 255
        assert np.allclose(up[..., colour][possible], expected[possible], rtol=1e-4)
    assert np.allclose(costs.root_hill(PHOTO) ** 2, costs.hill(PHOTO), rtol=1e-5)


def test_hill_is_low_in_texture_and_high_where_it_is_flat():
    cover = np.full((64, 64, 3), 128, np.uint8)
    cover[:, 32:] += np.random.default_rng(0).integers(0, 9, (64, 32, 3), np.uint8)
    up, _ = costs.hill(cover)
    assert up[:, :20].min() > 100 * up[:, 44:].max()


def test_conseal_agrees():
    conseal = pytest.importorskip("conseal")
    for colour, (up, down) in enumerate(np.moveaxis(costs.hill(PHOTO), -1, 0)):
        theirs = conseal.hill.compute_cost_adjusted(PHOTO[..., colour])
        for our_costs, their_costs in zip((up, down), theirs, strict=True):
            textured = np.isfinite(our_costs) & (their_costs < 1e3)  # theirs has no `FLATTEST`
            ratios = (our_costs / their_costs)[textured]  # the unit does not matter
            assert textured.mean() > 0.5 and np.ptp(ratios) < 1e-4 * ratios.mean()


def test_parts_hold_every_sample_once():
    seen = np.zeros((5, 8, 3), int)
    for part in costs.PARTS:
        seen[part] += 1
    assert (seen == 1).all()


def test_changes_that_agree_with_those_around_are_cheaper():
    found = costs.equal(np.full((6, 6, 3), 100, np.uint8))
    part = rows, columns, colour = costs.PARTS[0]
    assert (rows.start, columns.start, colour) == (0, 0, 1)

    def at(place):
        """The costs of +1 and −1 of the green sample in row 2, column 2."""
        changes = np.zeros((6, 6, 3), np.int8)
        for sample, change in place.items():
            changes[sample] = change
        assert costs.together(found, changes, part).shape == (2, 3, 3)
        return costs.together(found, changes, part)[:, 1, 1].tolist()

    cheap = pytest.approx(1 / 9)
    assert at({}) == [1, 1]
    for sample in ((1, 2, 1), (3, 2, 1), (2, 1, 1), (2, 3, 1), (2, 2, 0), (2, 2, 2)):
        assert at({sample: 1}) == [cheap, 1]
        assert at({sample: -1}) == [1, cheap]
    assert at({(1, 2, 1): 1, (3, 2, 1): -1}) == [1, 1]
    assert at({(1, 2, 1): 1, (2, 2, 0): -1}) == [1, cheap]  # another colour counts twice
    assert at({(1, 1, 1): 1, (2, 2, 1): 1, (1, 2, 0): 1}) == [1, 1]  # none of them is around


def test_impossible_stays_impossible_beside_others():
    cover = np.full((4, 4, 3), 255, np.uint8)
    changes = np.ones((4, 4, 3), np.int8)
    assert np.isinf(costs.together(costs.equal(cover), changes, costs.PARTS[0])[0]).all()


@pytest.mark.parametrize("function", COSTS)
def test_what_is_no_cover_is_refused(function):
    with pytest.raises(ValueError, match="cover must be uint8"):
        function(PHOTO.astype(float))
    with pytest.raises(ValueError, match="one image"):
        function(PHOTO[None])
