"""What happens to a stego image on its way."""

import math

import numpy as np


def overwrite(image, share: float, kind: str, seed: int = 0) -> np.ndarray:
    """The image with a share of its samples replaced by random ones, at a random place.

    Args:
        image: uint8 [h, w, 3].
        share: of the samples, from 0 to below 1.
        kind: "run" (one after the other, row by row), "square" (of whole pixels, about that
            share) or "scattered".
        seed: of place and samples.

    Returns:
        uint8 [h, w, 3].

    Raises:
        ValueError: there is no such kind, or so many samples do not fit.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}.")
    rng, damaged = np.random.default_rng(seed), image.copy()
    hit = KINDS[kind](rng, image.shape, round(share * image.size))
    damaged.reshape(-1)[hit] = rng.integers(0, 256, len(hit))
    return damaged


def _run(rng, shape, count):
    return rng.integers(math.prod(shape) - count) + np.arange(count)


def _square(rng, shape, count):
    side = round((count / 3) ** 0.5)
    top, left = rng.integers(np.array(shape[:2]) - side)
    samples = np.arange(math.prod(shape)).reshape(shape)
    return samples[top : top + side, left : left + side].reshape(-1)


def _scattered(rng, shape, count):
    return rng.choice(math.prod(shape), count, replace=False)


KINDS = {"run": _run, "square": _square, "scattered": _scattered}
