"""Which step of the quantiser? About the finest one whose code fits."""

import numpy as np

from steglib.codec.transform import TILE, tiles

STEPS = 2560  # from 1/2 upwards, 256 in each octave
SPARE_BITS = 64  # need not be used
SECANTS = 8  # so many guesses, then the bracket is halved
SAMPLE = 128  # pixels a side of the squares that stand for a large picture
SAMPLED_TILES = 5  # a picture with so many is large


def log_steps(indices) -> np.ndarray:
    """log2 of the steps with these indices, in grey levels of an orthonormal transform."""
    return np.asarray(indices) / 256 - 1


class StepSearch:
    """Seeks about the finest step with which each of n pictures needs at most `budget` bits.

    The secant method within a bracket, for all pictures at once:

        while search.open.size:
            indices = search.propose()
            search.record(indices, bits that the pictures `search.open` need with these)

    Args:
        budget: bits for each picture.
        guess, slope: float [n], an index to begin with, and bits for an index (below 0).
        spare: bits; no finer step is sought where no more than these are left.

    Attributes:
        open: int [k], the pictures that are not settled.
        finest: int [n], index of the finest step known to fit; `STEPS` where none is.
    """

    def __init__(self, budget, guess, slope, spare=SPARE_BITS):
        n = len(guess)
        self.budget, self.spare = budget, spare
        self.open, self.finest = np.arange(n), np.full(n, STEPS)
        self._too_fine, self._rounds = np.full(n, -1), 0
        self._guess, self._slope = np.array(guess, float), np.array(slope, float)
        self._last_index, self._last_spare = np.full(n, np.nan), np.zeros(n)

    def propose(self) -> np.ndarray:
        """The index to try next for each open picture, int [k]."""
        low, high = self._too_fine[self.open] + 1, self.finest[self.open] - 1
        if self._rounds >= SECANTS:
            return (low + high) // 2
        return np.clip(self._guess[self.open], low, high).astype(int)

    def record(self, indices, bits) -> None:
        """Takes note of how many bits the open pictures need with these indices."""
        open_, spare, slope = self.open, self.budget - bits, self._slope[self.open]
        fit = spare >= 0
        self.finest[open_] = np.where(fit, indices, self.finest[open_])
        self._too_fine[open_] = np.where(fit, self._too_fine[open_], indices)
        settled = fit & (spare <= np.maximum(self.spare, -slope))
        secant = (self._last_spare[open_] - spare) / (indices - self._last_index[open_])
        plausible = (secant < slope / 4) & (secant > slope * 4)  # not in the first round: NaN
        slope = np.where(plausible, secant, slope)
        self._guess[open_] = np.ceil(indices + (spare - self.spare / 3) / slope)
        self._slope[open_], self._last_index[open_], self._last_spare[open_] = slope, indices, spare
        self._rounds += 1
        self.open = open_[~settled & (self.finest[open_] - self._too_fine[open_] > 1)]


def finest_steps(count_bits, pictures, budget, start) -> np.ndarray:
    """What `StepSearch` finds from a start (guess and slope) for pictures uint8 [n, h, w, 3].

    Args:
        count_bits: function of pictures and the indices of their steps, how many bits they need.

    Returns:
        int [n]; `STEPS` where even the coarsest step needs more than `budget`.
    """
    search = StepSearch(budget, *start)
    while search.open.size:
        indices = search.propose()
        search.record(indices, count_bits(pictures[search.open], indices))
    return search.finest


def typical_start(n, budget, samples) -> tuple[np.ndarray, np.ndarray]:
    """Guess and slope to begin with, for n pictures of so many samples and bits each."""
    return np.full(n, 256 * (5.7 - 1.45 * budget / samples)), np.full(n, -samples * 0.65 / 256)


def sampled_start(count_bits, picture, budget) -> tuple[np.ndarray, np.ndarray]:
    """Guess and slope, [1], for a large picture: from what `sample_squares` of it need."""
    sample = sample_squares(picture)
    share = sample.size / picture.size
    typical = typical_start(1, budget, picture.size)
    guess = np.minimum(finest_steps(count_bits, sample, budget * share, typical), STEPS - 17)
    slope = (count_bits(sample, guess + 16) - count_bits(sample, guess)) / 16 / share
    return guess, np.minimum(slope, -picture.size / 2560)


def is_large(height: int, width: int) -> bool:
    """Whether a sample of such a picture is worth while."""
    return len(tiles(height, width)) >= SAMPLED_TILES and min(height, width) >= SAMPLE


def sample_squares(picture) -> np.ndarray:
    """A square from each tile that is so large, as one picture uint8 [1, h, TILE, 3]."""
    squares = [picture[tile][-SAMPLE:, -SAMPLE:] for tile in tiles(*picture.shape[:2])]
    squares = [square for square in squares if square.shape[:2] == (SAMPLE, SAMPLE)]
    columns = TILE // SAMPLE
    rows = -(-len(squares) // columns)
    filled = np.resize(squares, (rows, columns, SAMPLE, SAMPLE, 3))  # the last row with the first
    return filled.swapaxes(1, 2).reshape(1, rows * SAMPLE, TILE, 3)
