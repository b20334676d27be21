import numpy as np

from steglib.codec.rate import STEPS, finest_steps, typical_start


def test_a_step_depends_on_no_other_picture():
    """Rates that fall steeply, slowly, late or by leaps: found soon, and in a batch as alone."""
    indices = np.arange(STEPS)
    rates = 1e6 + np.stack(
        [
            -350.0 * indices,
            -40.0 * indices,
            -3.0 * np.maximum(indices - 2000, 0) ** 2,
            -1e5 * (indices // 300),
        ]
    )
    calls = []

    def count_bits(pictures, indices):
        calls.append(1)
        return rates[pictures[:, 0, 0, 0], indices]

    def find(pictures, budget):
        start = typical_start(len(pictures), budget, 256 * 256 * 3)
        return finest_steps(count_bits, pictures, budget, start)

    pictures = np.zeros((4, 8, 8, 3), np.uint8) + np.uint8([0, 1, 2, 3])[:, None, None, None]
    for budget in range(904_000, 1_000_000, 5600):
        calls.clear()
        found = find(pictures, budget)
        assert len(calls) < 30
        assert (rates[range(4), found] <= budget).all()
        assert (rates[range(4), np.maximum(found - 3, 0)] > budget - 500)[:2].all()
        assert found.tolist() == [find(picture[None], budget)[0] for picture in pictures]


def test_a_budget_that_no_step_meets():
    def count_bits(pictures, indices):
        return 5000.0 - indices

    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    found = finest_steps(count_bits, pictures, 1000, typical_start(2, 1000, 192))
    assert found.tolist() == [STEPS, STEPS]
