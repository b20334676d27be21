"""Polar codes: bits that come through noise, and that say as little as they can against a wish.

Adding bits in pairs, again and again, makes some places of a word nearly certain to be read
right and others nearly worthless (Arıkan, 2009, https://doi.org/10.1109/TIT.2009.2021379). The good
places carry the message. The very best of them are left to the writer, who fills them in as the
reader would who had only the writer's wishes to go by: so the word agrees with as many of these
as possible (Korada and Urbanke, 2010, https://doi.org/10.1109/TIT.2010.2040961).

Wishes and observations are log-likelihood ratios: log of P(bit is 0) / P(bit is 1).
"""

import functools
from dataclasses import dataclass

import numpy as np

GAMMA = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Code:
    """Words of `2**log_size` bits.

    Attributes:
        log_size: 0…20.
        noise: the share of bits that the observations leave open, at worst, 0…1.
        freedom: the share that the wishes leave open.
        failures: how many of the places may be read wrongly, on the mean: the sum of their
            probabilities were the channel one that erases.
    """

    log_size: int
    noise: float
    freedom: float
    failures: float = 0.01

    @functools.cached_property
    def readable(self) -> np.ndarray:
        """bool [size]: the places that a reader can tell from what was observed."""
        lost = unreliability(self.log_size, self.noise)
        order = np.argsort(lost, kind="stable")
        chosen = np.zeros(len(lost), bool)
        chosen[order[np.cumsum(lost[order]) <= self.failures]] = True
        return chosen

    @functools.cached_property
    def free(self) -> np.ndarray:
        """bool [size]: of these, the places that the writer's wishes decide."""
        return self.readable & (unreliability(self.log_size, self.freedom) < 0.5)

    @functools.cached_property
    def message(self) -> np.ndarray:
        """int [k]: the places that say the message."""
        return np.flatnonzero(self.readable & ~self.free)

    @functools.cached_property
    def _mask(self):
        """Pseudo-random bits, added to every word: zeros would be a poor choice for the rest."""
        return (scattered(2**self.log_size, self.log_size) & 1).astype(np.uint8)

    def write(self, messages, wishes) -> np.ndarray:
        """The words that say the messages and agree with most of the wishes.

        Args:
            messages: uint8 [n, k], bits.
            wishes: float32 [n, size].

        Returns:
            uint8 [n, size], bits.
        """
        values = np.zeros(wishes.shape, np.uint8)
        values[:, self.message] = messages
        return self._decide(wishes, self.free, values)

    def read(self, observed) -> np.ndarray:
        """The most plausible messages, uint8 [n, k], for float32 [n, size]."""
        words = self._decide(observed, self.readable, np.zeros(observed.shape, np.uint8))
        return transform(words ^ self._mask)[:, self.message]

    def _decide(self, ratios, open_places, values):
        """Words in which open places follow the ratios, and the others are as given."""
        counts = np.concatenate([[0], np.cumsum(open_places)]).tolist()
        masked = np.where(self._mask, -ratios, ratios).astype(np.float32)
        return _decide(masked, values, counts, 0) ^ self._mask


@functools.lru_cache(32)
def unreliability(log_size: int, lost: float) -> np.ndarray:
    """float64 [2**log_size]: how often each place stays open if a channel erases bits.

    Args:
        lost: the share that it erases.
    """
    found = np.array([lost])
    for _ in range(log_size):
        found = np.stack([2 * found - found**2, found**2], axis=-1).reshape(-1)
    return found


def scattered(count: int, seed: int) -> np.ndarray:
    """Pseudo-random uint64 [count], the same everywhere: SplitMix64 (Steele et al., 2014).

    https://doi.org/10.1145/2660193.2660195; NumPy's own generators may change with its versions.
    """
    x = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(GAMMA)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


def transform(bits) -> np.ndarray:
    """What the places say, uint8 [n, size], as the bits of words; its own inverse."""
    bits, size = bits.copy(), bits.shape[1]
    half = 1
    while half < size:
        pairs = bits.reshape(len(bits), -1, 2, half)
        pairs[:, :, 0] ^= pairs[:, :, 1]
        half *= 2
    return bits


def _decide(ratios, values, counts, start):
    """Successive cancellation: the words, uint8 [n, size], of the places from `start` on.

    Args:
        ratios: float32 [n, size], of the words' bits.
        values: uint8 [n, all places], what places say that are not open.
        counts: how many places before each are open.
    """
    size = ratios.shape[1]
    opened = counts[start + size] - counts[start]
    if opened == size:
        return (ratios < 0).view(np.uint8)
    if opened == 0:
        return transform(values[:, start : start + size])
    if opened == 1 and counts[start + size - 1] == counts[start]:  # one bit, repeated
        fixed = transform(values[:, start : start + size])
        total = np.where(fixed, -ratios, ratios).sum(axis=1, keepdims=True)
        return fixed ^ (total < 0)
    half = size // 2
    left, right = ratios[:, :half], ratios[:, half:]
    sums = _decide(_of_sum(left, right), values, counts, start)
    seconds = _decide(right + np.where(sums, -left, left), values, counts, start + half)
    return np.concatenate([sums ^ seconds, seconds], axis=1)


def _of_sum(a, b):
    """The ratio of the sum of two bits with ratios a and b, modulo 2."""
    total, difference = np.abs(a + b), np.abs(a - b)
    return 0.5 * (total - difference) + np.log1p(np.exp(-total)) - np.log1p(np.exp(-difference))
