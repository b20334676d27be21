import numpy as np
import pytest
import skimage

from steglib.channels import costs
from steglib.steganalysis import simulators
from steglib.steganalysis.simulators import SIMULATORS, change_probabilities, simulate

PHOTO = skimage.data.astronaut()[100:228, 150:278]


def entropy(*shares):
    shares = np.array([*shares, 1 - sum(shares)])
    return -(shares * np.log2(np.maximum(shares, 1e-12))).sum(0)


@pytest.mark.parametrize("name", SIMULATORS)
def test_stegos_are_one_grey_level_away_and_stay_in_range(name):
    cover = PHOTO.copy()
    cover[:16], cover[16:32] = 0, 255
    stego = simulate(name, cover[None], 0.4)[0]
    assert stego.dtype == np.uint8 and stego.shape == cover.shape
    changes = stego.astype(int) - cover
    assert np.abs(changes).max() == 1
    assert (changes[:16] >= 0).all() and (changes[16:32] <= 0).all()


@pytest.mark.parametrize("name", SIMULATORS)
def test_stegos_depend_on_the_seed_alone(name):
    covers = np.stack([PHOTO, PHOTO])
    stegos = simulate(name, covers, 0.2, seed=1)
    assert np.array_equal(stegos, simulate(name, covers, 0.2, seed=1))
    assert not np.array_equal(stegos, simulate(name, covers, 0.2, seed=2))
    assert not np.array_equal(stegos[0], stegos[1])
    assert np.array_equal(stegos[:1], simulate(name, covers[:1], 0.2, seed=1))


@pytest.mark.parametrize("name", ["LSB replacement", "LSB matching"])
@pytest.mark.parametrize("rate", [0, 0.1, 1])
def test_of_samples_that_carry_a_bit_half_change(name, rate):
    stego = simulate(name, PHOTO[None], rate)[0]
    changed = stego != PHOTO
    assert changed.mean() == pytest.approx(rate / 2, abs=0.006)
    assert np.array_equal(changed, (stego & 1) != (PHOTO & 1))
    if name == "LSB replacement":
        assert np.array_equal(stego >> 1, PHOTO >> 1)
    elif rate:
        inside = changed & (PHOTO > 0) & (PHOTO < 255)
        assert (stego > PHOTO)[inside].mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("rate", [0.01, 0.4, 1.5])
@pytest.mark.parametrize("function", [costs.equal, costs.hill, costs.root_hill])
def test_changes_carry_the_rate_at_the_least_cost(function, rate):
    found = function(PHOTO)
    up, down = change_probabilities(found, rate)
    assert entropy(up, down).mean() == pytest.approx(rate, rel=2e-3)
    # The least cost: one price everywhere, at which the odds of a change fall with its cost.
    possible = np.isfinite(found[0]) & (up > 1e-6)
    prices = -np.log(up[possible] / (1 - up - down)[possible]) / found[0][possible]
    assert np.ptp(prices) < 0.01 * prices.mean()
    assert up[~np.isfinite(found[0])].max(initial=0) == 0


def test_equal_costs_change_as_few_samples_as_theory_allows():
    up, down = change_probabilities(np.ones((2, 50, 50)), 0.4)
    assert up == pytest.approx(down)
    assert entropy(0.06254 / 2, 0.06254 / 2) == pytest.approx(0.4, abs=1e-3)
    assert (up + down).mean() == pytest.approx(0.06254, abs=1e-4)
    stego = simulators.change(PHOTO, 0.4, np.random.default_rng(0))
    assert (stego != PHOTO).mean() == pytest.approx(0.06254, abs=0.005)


def test_drawn_changes_follow_their_probabilities():
    random, found = np.random.default_rng(0), costs.hill(PHOTO)
    changes = [simulators.change(PHOTO, 0.4, random, costs.hill).astype(int) for _ in range(40)]
    up, down = change_probabilities(found, 0.4)
    changes = np.stack(changes) - PHOTO
    for sign, expected in ((1, up), (-1, down)):
        often = (changes == sign).mean(0)
        for low, high in ((0, 0.02), (0.05, 0.1), (0.1, 1)):
            some = (expected > low) & (expected <= high)
            assert often[some].mean() == pytest.approx(expected[some].mean(), rel=0.1)


def test_hill_hides_in_texture():
    cover = np.full((64, 128, 3), 128, np.uint8)
    cover[:, 64:] += np.random.default_rng(0).integers(0, 20, (64, 64, 3), np.uint8)
    changed = simulate("HILL", cover[None], 0.3)[0] != cover
    assert changed[:, :50].sum() == 0 and changed[:, 80:].mean() > 0.05
    flatter = simulate("√HILL", PHOTO[None], 0.1)[0] != PHOTO
    smooth = costs.hill(PHOTO)[0] > np.median(costs.hill(PHOTO)[0])
    assert (
        flatter[smooth].sum() > 3 * (simulate("HILL", PHOTO[None], 0.1)[0] != PHOTO)[smooth].sum()
    )


def test_colours_move_together():
    def agreement(name):
        """Of pixels of which two colours change, how many of these pairs move the same way."""
        stego = simulate(name, PHOTO[None], 0.3)[0]
        red, green, blue = np.moveaxis(stego.astype(int) - PHOTO, -1, 0)
        pairs = np.concatenate([(red * green)[red * green != 0], (blue * green)[blue * green != 0]])
        return (pairs > 0).mean()

    assert agreement("√HILL") == pytest.approx(0.5, abs=0.08)
    assert agreement("√HILL, colours together") > 0.85


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"rate must lie between 0 and 1\.58 bits a sample, not"):
        change_probabilities(np.ones((2, 9)), 1.6)
    with pytest.raises(ValueError, match=r"between 0 and 0\.00"):
        change_probabilities(np.full((2, 9), np.inf), 0.1)
    for name in SIMULATORS:
        with pytest.raises(ValueError, match="rate must lie"):
            simulate(name, PHOTO[None], -0.1)
        with pytest.raises(ValueError, match="must be uint8"):
            simulate(name, PHOTO[None].astype(float), 0.1)
    with pytest.raises(ValueError, match=r"no simulator 'HUGO'\. There are LSB replacement, LSB"):
        simulate("HUGO", PHOTO[None], 0.1)
