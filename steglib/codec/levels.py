"""Which level for each residual: dependent quantisation.

Two rulers take turns: one has its marks at whole steps, the other at 0 and halfway between them. A
level is the number of a mark, counted from 0. Whether a level is odd says, with those before it,
which ruler is next. So marks lie half a step apart, and yet a level tells only every second one.
Which levels are best, in error + thrift · bits, the Viterbi algorithm finds (Schwarz, Nguyen, Marpe
and Wiegand, 2019, https://doi.org/10.1109/DCC.2019.00015, with their eight states; before them,
trellis-coded quantisation: Marcellin and Fischer, 1990, https://doi.org/10.1109/26.46532).
"""

import numpy as np

from steglib.compiled import compiled

# After an even level in a state, and after an odd one in the state with bit 1 flipped; the first
# state is 0. States 4 to 7 use the ruler with marks between the steps.
AFTER = np.array([0, 5, 1, 6, 2, 4, 3, 7])
BEFORE = np.argsort(AFTER)
STATES = len(AFTER)


def marks(levels, between) -> np.ndarray:
    """Where the marks lie, in steps: whole and half numbers, float32.

    Args:
        levels: whole numbers.
        between: bool, whether the ruler is the one with marks between the steps.
    """
    whole = np.float32(levels)
    return whole - 0.5 * np.sign(whole) * between


def choose_levels(distances, prices, classes) -> tuple[np.ndarray, np.ndarray]:
    """The levels that cost least.

    Args:
        distances: residuals in steps, float32 [n, k], of n pictures.
        prices: of both rulers, of each class, of levels 0, 1, …, in squared steps, float32 [2, 129,
            61]; larger levels cost as much as the last.
        classes: uint8 [n, k].

    Returns:
        The levels, int32 [n, k], and `between` for `marks`, bool [n, k].
    """
    levels, between = np.empty(distances.shape, np.int32), np.empty(distances.shape, bool)
    for row in zip(distances, classes, levels, between, strict=True):
        _choose(*row, prices)
    return levels, between


@compiled
def _choose(distances, classes, levels, between, prices):
    """Fills `levels` and `between`, [k]."""
    takes_odd = np.empty((len(distances), STATES), np.bool_)
    least, then, costs = np.full(STATES, np.inf), np.empty(STATES), np.empty(4)
    least[0] = 0
    for i, distance in enumerate(distances):
        for way in range(4):
            costs[way] = _nearest(abs(distance), way, prices[:, classes[i]])[1]
        for state in range(STATES):
            way = state // 4 * 2
            even, odd = least[state] + costs[way], least[state ^ 2] + costs[way + 1]
            takes_odd[i, state] = odd < even
            then[AFTER[state]] = min(odd, even)
        least[:] = then
    state = np.argmin(least)
    for i in range(len(distances) - 1, -1, -1):
        state = BEFORE[state]
        is_odd = int(takes_odd[i, state])
        state ^= 2 * is_odd
        way = state // 4 * 2 + is_odd
        level, _ = _nearest(abs(distances[i]), way, prices[:, classes[i]])
        levels[i] = -level if distances[i] < 0 else level
        between[i] = state >= 4


@compiled
def _nearest(size, way, prices):
    """The best even or odd level for a residual ≥ 0, and its cost; `way` is 2 · ruler + odd."""
    ruler, is_odd = way // 2, way % 2
    level = 2 * int(np.rint((size + 0.5 * ruler - is_odd) / 2)) + is_odd
    away = size - max(level - 0.5 * ruler, 0)
    cost = away * away + prices[ruler, min(level, prices.shape[1] - 1)]
    nothing = np.float64(size) * size + prices[ruler, 0]
    if not is_odd and nothing < cost:
        return 0, nothing
    return level, cost
