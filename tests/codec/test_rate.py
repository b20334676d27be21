import numpy as np
import pytest

from steglib.codec.rate import (
    STEPS,
    StepSearch,
    finest_steps,
    is_large,
    log_steps,
    sample_squares,
    sampled_start,
    typical_start,
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


class Rates:
    """Counts the bits of "pictures", which are rows of `RATES`, and its own calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, rows, indices):
        self.calls += 1
        return RATES[rows, indices]


def test_steps_grow_by_256ths_of_an_octave():
    assert log_steps([0, 256, 384]).tolist() == [-1, 0, 0.5]
    assert 2 ** log_steps(STEPS - 1) == pytest.approx(512, rel=0.01)


@pytest.mark.parametrize("budget", range(904_000, 1_000_001, 4_800))
def test_a_step_depends_on_no_other_picture(budget):
    """Rates that fall steeply, slowly, late or by leaps: found soon, and in a batch as alone."""
    count_bits = Rates()
    start = typical_start(4, budget, 196_608)
    found = finest_steps(count_bits, np.arange(4), budget, start)
    assert count_bits.calls < 25
    assert (RATES[range(4), found] <= budget).all()
    assert (RATES[range(4), np.maximum(found - 3, 0)] > budget - 500)[:2].all()
    alone = [
        finest_steps(count_bits, np.array([row]), budget, typical_start(1, budget, 196_608))[0]
        for row in range(4)
    ]
    assert found.tolist() == alone


@pytest.mark.parametrize("guess", [-5000, 0, 1300, STEPS + 5000])
def test_a_bad_guess_costs_few_attempts(guess):
    """And no more spare bits than asked for, where the rates allow that."""
    search, attempts = StepSearch(960_000, np.full(4, guess), np.full(4, -100.0), spare=500), 0
    while search.open.size:
        indices, attempts = search.propose(), attempts + 1
        assert len(indices) == len(search.open) and set(indices) <= set(INDICES)
        search.record(indices, RATES[search.open, indices])
    assert attempts < 25
    spare = 960_000 - RATES[range(4), search.finest]
    assert (spare >= 0).all() and (spare[:3] <= [850, 540, 2000]).all()


@pytest.mark.parametrize("spare, attempts", [(6000, 1), (5000, 2)])
def test_nothing_finer_is_sought_where_few_bits_are_left(spare, attempts):
    search, bits = StepSearch(960_000, [130], [-350.0], spare), []
    while search.open.size:
        indices = search.propose()
        bits.append(RATES[0, indices])
        search.record(indices, bits[-1])
    assert len(bits) == attempts and bits[0] == 960_000 - 5500


def test_no_step_fits():
    """That is known after few attempts, and said by an index that is none."""
    count_bits = Rates()
    assert finest_steps(count_bits, np.arange(4), 1000, typical_start(4, 1000, 9999)).tolist() == (
        [STEPS] * 4
    )
    assert count_bits.calls < 25


def test_the_finest_step_fits_at_once():
    search = StepSearch(1e9, *typical_start(1, 1e9, 1000))
    assert search.propose().tolist() == [0]
    search.record(search.propose(), np.array([1e6]))
    assert search.open.size == 0 and search.finest.tolist() == [0]


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
    assert is_large(1024, 1025) and is_large(128, 2049)
    assert not is_large(1024, 1024) and not is_large(127, 9999)


def test_the_start_for_a_large_picture_is_almost_the_end():
    """Where the sample is like the rest: one bit for a sample less with each octave of the step."""
    picture = np.zeros((1024, 1536, 3), np.uint8)

    def count_bits(pictures, indices):
        return pictures[0].size * (10 - log_steps(indices))

    budget = 5 * picture.size
    guess, slope = sampled_start(count_bits, picture, budget)
    assert guess == pytest.approx([256 * 6], abs=8)
    assert slope == pytest.approx([-picture.size / 256], rel=0.01)
