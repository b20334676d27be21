"""What happens to a stego image on its way."""

import math

import numpy as np


def _run(rng, shape, count):
    return rng.integers(math.prod(shape) - count) + np.arange(count)


def _square(rng, shape, count):
    side = round((count / 3) ** 0.5)
    top, left = rng.integers(np.array(shape[:2]) - side)
    places = np.arange(math.prod(shape)).reshape(shape)
    return places[top : top + side, left : left + side].reshape(-1)


def _scattered(rng, shape, count):
    return rng.choice(math.prod(shape), count, replace=False)


DAMAGES = {
    "run": _run,
    "square": _square,
    "scattered": _scattered,
}  # → places of the samples
