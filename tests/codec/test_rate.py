import numpy as np
import pytest

from steglib.codec.rate import (
    STEPS,
    StepSearch,
    Trend,
    forecast_bits,
    is_large,
    log_steps,
    sample_squares,
)

INDICES = np.arange(STEPS)
RATES = 1e6 + np.stack(
    [
        -350.0 * INDICES,
        -40.0 * INDICES,
        -3.0 * np.maximum(INDICES - 2000, 0) ** 2,
        -1e5 * (INDICES // 300),
    ]
)
STEEP, FLAT = (np.tile(2.0 ** (-INDICES / octave), (4, 1)) for octave in (50, 9000))


def search_all(search, rates):
    """Goes through a search among rows of rates; returns the number of attempts."""
    attempts = 0
    while search.open.size:
        indices, attempts = search.propose(), attempts + 1
        assert len(indices) == len(search.open) and set(indices) <= set(INDICES)
        search.record(indices, rates[search.open, indices])
    return attempts


def test_steps_grow_by_256ths_of_an_octave():
    assert log_steps([0, 256, 384]).tolist() == [-1, 0, 0.5]
    assert 2 ** log_steps(STEPS - 1) == pytest.approx(512, rel=0.01)


def test_a_forecast_follows_the_size_of_coefficients():
    """As many bits for twice as large ones with a step twice as large; fewer with each step."""
    coefficients = np.random.default_rng(0).laplace(size=(2, 4, 4, 192)) * [[[[20.0]]], [[[90.0]]]]
    found = forecast_bits(coefficients)
    assert found.shape == (2, STEPS) and (np.diff(found) < 0).all() and found.min() > 0
    twice = forecast_bits(2 * coefficients)
    assert np.abs(twice[:, 256:] - found[:, :-256]).max() < 1e-3
    assert (found[1] > found[0]).all()
    (alone,) = forecast_bits(coefficients[1:])
    assert np.allclose(alone, found[1], rtol=1e-12)
    for wanted, value in ((0.5 * np.log2(5), 8), (0, 0)):
        (same,) = forecast_bits(np.full((1, 7), value))
        assert same[256 * 4] == pytest.approx(wanted, abs=0.1)  # of 8 with a step of 8


def test_a_trend_goes_through_what_was_needed():
    forecast = 2.0 ** (-INDICES / 512)
    bits = 3 * forecast**0.9
    trend = Trend(2)
    both = np.stack([forecast] * 2)
    for index in (300, 900):
        trend.learn(both[:, index], np.full(2, bits[index]))
        for which in (slice(None), np.array([1])):
            assert (np.abs(trend.index(both[which], bits[index], which) - index) <= 1).all()
    assert np.abs(trend.index(both, bits[2000]) - 2000).max() <= 1  # and beyond both
    assert trend.index(both, 1e9).tolist() == [0, 0]
    for nothing in (1e-9, 0, -5):
        assert trend.index(both, nothing).tolist() == [STEPS - 1] * 2
    trend.learn(forecast[[2001]], bits[[2000]] * 2, np.array([0]))  # it cannot rise
    index = trend.index(both, bits[2000] * 2)
    assert abs(index[0] - 2001) <= 1 and bits[index[1]] == pytest.approx(bits[2000] * 2, rel=0.01)


def test_a_corrected_trend_is_as_steep_as_before():
    forecast = 2.0 ** (-INDICES / 512)[None]
    trend, before = Trend(), Trend()
    trend.correct(forecast[:, 700], 0.1)
    assert np.abs(trend.index(forecast, [0.1]) - 700) <= 1
    apart = [
        trend.index(forecast, [0.05]) - trend.index(forecast, [0.1]),
        before.index(forecast, [0.5]) - before.index(forecast, [1]),
    ]
    assert np.abs(apart[0] - apart[1]) <= 1 and apart[0] > 500


@pytest.mark.parametrize("budget", range(904_000, 1_000_001, 4_800))
def test_a_step_depends_on_no_other_picture(budget):
    """Rates that fall steeply, slowly, late or by leaps: found soon, and in a batch as alone."""
    search = StepSearch(budget, FLAT)
    assert search_all(search, RATES) < 25
    found = search.finest
    assert (RATES[range(4), found] <= budget).all()
    spare = budget - RATES[range(4), found]
    assert (spare[:3] <= 0.003 * budget).all() or (found[:3][spare[:3] > 0.003 * budget] == 0).all()
    for row in range(4):
        alone = StepSearch(budget, FLAT[:1])
        search_all(alone, RATES[row : row + 1])
        assert alone.finest == found[row]


@pytest.mark.parametrize("height, forecast", [(-99, FLAT), (14, FLAT), (14, STEEP), (99, STEEP)])
def test_a_bad_forecast_costs_few_attempts(height, forecast):
    """And no more spare bits than asked for, where the rates allow that."""
    trend = Trend(4)
    trend.correct(np.ones(4), np.exp(height))
    search = StepSearch(960_000, forecast, trend, spare=500)
    assert search_all(search, RATES) < 25
    spare = 960_000 - RATES[range(4), search.finest]
    assert (spare >= 0).all() and (spare[:3] <= [850, 540, 2000]).all()


def test_a_forecast_of_the_right_shape_is_enough():
    """Two attempts tell height and slope."""
    forecast = np.tile(2.0 ** (-INDICES / 512), (4, 1))
    rates = np.array([[0.5], [1], [2], [4]]) * forecast ** np.array([[0.6], [0.8], [1], [1.2]])
    search = StepSearch(0.1, forecast)
    assert search_all(search, rates) <= 4
    spare = 0.1 - rates[range(4), search.finest]
    assert (spare >= 0).all() and (spare <= 0.0003).all()


@pytest.mark.parametrize("spare, attempts", [(6000, 1), (5000, 2)])
def test_nothing_finer_is_sought_where_few_bits_are_left(spare, attempts):
    class Guess:
        def index(self, *_):
            return np.array([130])

        def learn(self, *_):
            pass

    search, bits = StepSearch(960_000, FLAT[:1], Guess(), spare), []
    while search.open.size and len(bits) < attempts:
        indices = search.propose()
        bits.append(RATES[0, indices])
        search.record(indices, bits[-1])
    assert len(bits) == attempts and bits[0] == 960_000 - 5500
    assert (search.open.size == 0) == (attempts == 1)


def test_no_step_fits():
    """That is known after few attempts, and said by an index that is none."""
    for budget in (1000, 0, -7):
        search = StepSearch(budget, FLAT)
        assert search_all(search, RATES) < 25
        assert search.finest.tolist() == [STEPS] * 4


def test_the_finest_step_fits_at_once():
    search = StepSearch(1e9, FLAT)
    assert search_all(search, RATES) == 1
    assert search.finest.tolist() == [0] * 4


def test_a_sample_shows_a_square_of_each_tile():
    """The lower right one; tiles too narrow for one are left out, the last row is filled up."""
    picture = np.zeros((1100, 1500, 3), np.uint8)
    for i, (top, left) in enumerate((y, x) for y in (0, 512, 1024) for x in (0, 512, 1024)):
        tile = picture[top : top + 512, left : left + 512]
        tile[:] = 100 + i
        tile[-128:, -128:] = i
    sample = sample_squares(picture)
    assert sample.shape == (1, 256, 512, 3)
    squares = sample[0, ::128, ::128, 0]
    assert squares.tolist() == [[0, 1, 2, 3], [4, 5, 0, 1]]
    assert np.array_equal(sample[0, ..., 0], np.kron(squares, np.ones((128, 128))))


def test_large_pictures():
    """Of five tiles or more, none of them too narrow for a sample."""
    assert is_large(1024, 1025) and is_large(128, 2049)
    assert not is_large(1024, 1024) and not is_large(127, 9999)
