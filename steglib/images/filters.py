"""Filters of the samples around each one, mirrored at the borders.

Images are [h, w, c] of any dtype; answers are float32 of the same shape.
"""

import numpy as np


def both_ways(image, line) -> np.ndarray:
    """Weighs the samples along a line, then what came out of that along lines across.

    Args:
        image: [h, w, c].
        line: the weights, the same from both ends; an odd number of them.
    """
    half = len(line) // 2
    x = np.pad(np.asarray(image, np.float32), [(half, half), (half, half), (0, 0)], "symmetric")
    for _ in range(2):
        count = len(x) - 2 * half
        x = sum(np.float32(weight) * x[i : i + count] for i, weight in enumerate(line))
        x = x.swapaxes(0, 1)
    return x


def high_pass(image) -> np.ndarray:
    """Four times what a sample differs from what its eight neighbours foretell.

    The filter of Ker and Böhme (2008, https://doi.org/10.1117/12.766820).
    """
    return both_ways(image, (-1, 2, -1))


def box_mean(image, side: int) -> np.ndarray:
    """The mean of the square of `side` × `side` samples around each one; `side` is odd."""
    return both_ways(image, [1 / side] * side)
