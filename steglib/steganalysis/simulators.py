"""Opponents for detectors: what embedding does to a cover, without a message.

Each takes a cover uint8 [h, w, 3], a rate in bits a sample and a generator of random numbers, and
gives a stego image. Those with costs cost as little as the best code could (the payload-limited
sender of Fridrich and Filler, 2007, https://doi.org/10.1117/12.697471).
"""

import functools

import numpy as np
from scipy.optimize import brentq

from steglib.channels import costs as prices
from steglib.images.arrays import check_image

SPAN = 12.0  # logarithm: how far the price of a bit may be from the inverse of a usual cost
DEAREST = 80.0  # changes with a cost of more than so many natural units of information never happen


def replace_lsb(cover, rate: float, random) -> np.ndarray:
    """LSB replacement: a share `rate` of the samples carries a bit as its lowest one.

    Raises:
        ValueError: another dtype, shape or rate. This holds for all simulators.
    """
    chosen, bits = _message(cover, rate, random)
    return np.where(chosen, cover & 254 | bits, cover)


def match_lsb(cover, rate: float, random) -> np.ndarray:
    """LSB matching: a sample whose lowest bit is wrong moves up or down, at random."""
    chosen, bits = _message(cover, rate, random)
    up = (random.random(cover.shape) < 0.5) & (cover < 255) | (cover == 0)
    moved = np.where(up, cover + np.uint8(1), cover - np.uint8(1))
    return np.where(chosen & (cover & 1 != bits), moved, cover)


def change(cover, rate: float, random, costs=prices.equal) -> np.ndarray:
    """±1 changes, by a cost function of `channels.costs`."""
    return _changed(cover, _draw(costs(cover), rate, random))


def change_together(cover, rate: float, random, costs=prices.root_hill) -> np.ndarray:
    """The same in twelve parts, one after the other, so that neighbours and colours agree."""
    found, changes = costs(cover), np.zeros(cover.shape, np.int8)
    for part in prices.PARTS:
        changes[part] = _draw(prices.together(found, changes, part), rate, random)
    return _changed(cover, changes)


SIMULATORS = {
    "LSB replacement": replace_lsb,
    "LSB matching": match_lsb,
    "equal costs": change,
    "HILL": functools.partial(change, costs=prices.hill),
    "√HILL": functools.partial(change, costs=prices.root_hill),
    "√HILL, colours together": change_together,
}


def simulate(name: str, covers, rate: float, seed: int = 0) -> np.ndarray:
    """Stego images of covers uint8 [n, h, w, 3], by one of `SIMULATORS`.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in SIMULATORS:
        raise ValueError(f"There is no simulator {name!r}. There are {', '.join(SIMULATORS)}.")
    randoms = np.random.default_rng(seed).spawn(len(covers))
    pairs = zip(covers, randoms, strict=True)
    return np.stack([SIMULATORS[name](cover, rate, random) for cover, random in pairs])


def change_probabilities(costs, rate: float) -> np.ndarray:
    """How likely each sample moves up and down, if `rate` bits a sample cost the least.

    Args:
        costs: [2, …], of +1 and −1, some of them infinite.
        rate: bits a sample.

    Returns:
        float32, of the shape of `costs`.

    Raises:
        ValueError: ±1 changes of these samples cannot carry as much, or the rate is not above 0.
    """
    costs = np.asarray(costs, np.float32)
    possible = costs[np.isfinite(costs)]
    usual = np.median(possible) if possible.size else 1.0

    def excess(price):
        return _entropy(costs * np.float32(np.exp(price) / usual)) - rate

    most = excess(-SPAN) + rate
    if not 0 < rate < most:
        raise ValueError(f"rate must lie between 0 and {most:.2f} bits a sample, not at {rate}.")
    odds = np.exp(-costs * np.float32(np.exp(brentq(excess, -SPAN, SPAN, xtol=1e-4)) / usual))
    return odds / (1 + odds.sum(0))


def _entropy(dearness):
    """Bits a sample, if changes have the odds e^−dearness."""
    dearness = np.minimum(dearness, DEAREST)
    odds = np.exp(-dearness)
    total = 1 + odds[0] + odds[1]
    nats = np.log(total) + (odds[0] * dearness[0] + odds[1] * dearness[1]) / total
    return nats.mean(dtype=np.float64) / np.log(2)


def _draw(costs, rate, random):
    up, down = change_probabilities(costs, rate)
    drawn = random.random(up.shape, np.float32)
    return (drawn < up).astype(np.int8) - ((drawn >= up) & (drawn < up + down))


def _changed(cover, changes):
    return (cover + changes.astype(np.int16)).astype(np.uint8)


def _message(cover, rate, random):
    """Which samples carry a bit, bool [h, w, 3], and which bit, uint8 [h, w, 3]."""
    check_image(cover, "cover")
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must lie in 0…1 bits a sample, not at {rate}.")
    return random.random(cover.shape) < rate, random.integers(0, 2, cover.shape, np.uint8)
