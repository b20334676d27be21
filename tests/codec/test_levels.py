import itertools

import numpy as np
import pytest

from steglib.codec.levels import AFTER, STATES, choose_levels, marks

# Schwarz et al.: to which state an even level leads from each, and an odd one; in odd states, marks
# lie between the steps.
PAPER = [(0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5)]
FREE = np.zeros((2, 1, 61), np.float32)


def choose(distances, prices=FREE):
    """Of one picture, of one class; with the values."""
    distances = np.float32(distances)[None]
    levels, between = choose_levels(distances, prices, np.zeros(distances.shape, np.uint8))
    return levels[0], between[0], marks(levels, between)[0]


def walk(levels):
    """On which ruler each level is, as a reader finds out."""
    state, between = 0, []
    for level in levels:
        between.append(state >= STATES // 2)
        state = AFTER[state ^ 2 * (level & 1)]
    return between


def test_states_are_those_of_the_paper():
    """Whatever they are called: the same ruler after the same levels."""
    pairs, known = {0: 0}, [0]
    for state in known:
        for odd in (0, 1):
            theirs, ours = PAPER[state][odd], AFTER[pairs[state] ^ 2 * odd]
            known += [] if theirs in pairs else [theirs]
            assert pairs.setdefault(theirs, ours) == ours
    assert sorted(pairs) == sorted(pairs.values()) == list(range(STATES))
    assert all((theirs % 2 == 1) == (ours >= STATES // 2) for theirs, ours in pairs.items())


def test_marks():
    """Whole numbers on one ruler; 0 and what lies between on the other."""
    levels = np.int32([-3, -1, 0, 1, 2, 7])
    found = marks(levels, np.zeros(6, bool)), marks(levels, np.ones(6, bool))
    assert found[0].tolist() == [-3, -1, 0, 1, 2, 7] and found[0].dtype == np.float32
    assert found[1].tolist() == [-2.5, -0.5, 0, 0.5, 1.5, 6.5]
    mixed = marks(levels, np.array([0, 1] * 3, bool))
    assert mixed.tolist() == [-3, -0.5, 0, 0.5, 2, 6.5]


@pytest.mark.parametrize("thrift", [0, 0.1, 0.5])
def test_no_other_levels_cost_less(thrift):
    """Of all that there are, of few residuals."""
    prices = thrift * np.stack([np.sqrt(np.arange(61)), 0.3 + np.arange(61) / 2])
    prices = prices[:, None].astype(np.float32)
    random = np.random.default_rng(0)
    for _ in range(20):
        distances = np.float32(random.laplace(size=6))
        best = np.inf
        around = [range(int(abs(x)) + 3) for x in distances]
        for sizes in itertools.product(*around):
            between = np.array(walk(sizes))
            away = np.abs(distances) - marks(np.int32(sizes), between)
            bits = prices[between.astype(int), 0, sizes]
            best = min(best, np.square(away).sum() + bits.sum())
        levels, between, values = choose(distances, prices)
        assert between.tolist() == walk(levels)
        cost = np.square(distances - values).sum()
        cost += prices[between.astype(int), 0, np.abs(levels)].sum()
        assert cost == pytest.approx(best, rel=1e-5)
        assert (levels * distances >= 0).all()


def test_errors_are_smaller_than_those_of_one_ruler():
    """With as many bits: by 1.1 dB where all levels are about as probable."""
    distances = np.random.default_rng(0).uniform(-50, 50, 20_000)
    levels, between, values = choose(distances)
    assert between.tolist() == walk(levels) and 0.4 < between.mean() < 0.6
    gain = (1 / 12) / np.square(distances - values).mean()
    assert 10 * np.log10(gain) == pytest.approx(1.1, abs=0.05)  # the limit is 1.53


def test_levels_far_out():
    """Beyond the last price, too."""
    levels, _, values = choose([70.2, -3000.6, 0.1, 12000.4])
    assert np.abs(values - [70.2, -3000.6, 0.1, 12000.4]).max() < 1.01
    assert np.array_equal(np.sign(levels), np.sign(values))


def test_pictures_do_not_depend_on_each_other():
    random = np.random.default_rng(0)
    distances = np.float32(random.laplace(size=(3, 400)) * 2)
    classes = random.integers(0, 5, (3, 400)).astype(np.uint8)
    prices = np.float32(np.sort(random.random((2, 5, 61))))
    together = choose_levels(distances, prices, classes)
    alone = choose_levels(distances[1:2], prices, classes[1:2])
    for a, b in zip(together, alone, strict=True):
        assert np.array_equal(a[1:2], b)
    assert together[0].dtype == np.int32 and together[1].dtype == bool
