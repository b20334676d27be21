"""Which step of the quantiser? About the finest one whose code fits."""

import numpy as np

from steglib.codec.transform import TILE, tiles

STEPS = 2560  # from 1/2 upwards, 256 in each octave
UNUSED = 0.003  # of its room may stay unused
GUESSES = 8  # then the bracket is halved
HEIGHT, SLOPE = 0.62, 0.95  # of the trend that is usual
SAMPLE = 128  # pixels a side of the squares that stand for a large picture
SAMPLED_TILES = 5  # a picture with so many is large
SIZES = np.arange(-24, 104) / 8  # log2, of coefficients that are counted together
GAIN = 2.0  # a coefficient of one step is expected to take log2(1 + GAIN²) / 2 bits


def log_steps(indices) -> np.ndarray:
    """log2 of the steps with these indices, in grey levels of an orthonormal transform."""
    return np.asarray(indices) / 256 - 1


def forecast_bits(coefficients) -> np.ndarray:
    """About how many bits a coefficient takes on the mean, with every step: float64 [n, STEPS].

    It falls with the step; `Trend` turns it into what a codec needs.

    Args:
        coefficients: float [n, …].
    """
    sizes = np.log2(np.maximum(np.abs(coefficients, dtype=np.float32), 2.0 ** SIZES[0]))
    bins = np.minimum((sizes - SIZES[0]) * 8, len(SIZES) - 1).astype(np.uint8)
    counts = [np.bincount(row, minlength=len(SIZES)) for row in bins.reshape(len(bins), -1)]
    steps = log_steps(np.arange(STEPS))
    each = np.log2(1 + (GAIN * 2.0 ** (SIZES[:, None] - steps)) ** 2) / 2
    each = np.rint(each * 2**20) / 2**20  # whole units add exactly, in a batch as alone
    return np.stack(counts) @ each / (coefficients[0].size)


class Trend:
    """How bits follow from a forecast, of n pictures: log bits = height + slope · log forecast."""

    def __init__(self, n: int = 1):
        self._height, self._slope = np.full(n, HEIGHT), np.full(n, SLOPE)
        self._last = np.full((2, n), np.nan)

    def index(self, forecast, bits, which=slice(None)) -> np.ndarray:
        """The step with which pictures need so many bits, [k]; `which` of the n they are."""
        bits = np.log(np.maximum(bits, 1e-9))
        wanted = np.exp((bits - self._height[which]) / self._slope[which])
        return np.minimum((forecast > wanted[:, None]).sum(1), STEPS - 1)

    def learn(self, forecast, bits, which=slice(None)) -> None:
        """Takes note of what pictures needed: the trend goes through that and what was before."""
        now = np.log(np.maximum([forecast, bits], 1e-9))
        x, y = now - self._last[:, which]
        self._last[:, which] = now
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = y / x  # at first, NaN
        plausible = (np.abs(x) > 1e-3) & (slope > SLOPE / 2) & (slope < 2 * SLOPE)
        self._slope[which] = np.where(plausible, slope, self._slope[which])
        self._height[which] = now[1] - self._slope[which] * now[0]

    def correct(self, forecast, bits) -> None:
        """Moves the trend, in parallel, through what some pictures needed."""
        self._height += np.log(bits) - self._height - self._slope * np.log(forecast)


class StepSearch:
    """Seeks about the finest step with which each of n pictures needs at most `budget` bits.

        while search.open.size:
            indices = search.propose()
            search.record(indices, bits that the pictures `search.open` need with these)

    Bits are those of a coefficient, on the mean.

    Args:
        budget: bits.
        forecast: from `forecast_bits`, [n, STEPS].
        trend: what is known of n such pictures; None for nothing.
        spare: bits that need not be used; None for a small part of the budget.
        finest: int [n], index of the finest step that is of use; None for any.

    Attributes:
        open: int [k], the pictures that are not settled.
        finest: int [n], index of the finest step known to fit; `STEPS` where none is.
        trend: of these pictures, by now.
    """

    def __init__(self, budget, forecast, trend=None, spare=None, finest=None):
        n = len(forecast)
        self.budget, self.spare = budget, UNUSED * budget if spare is None else spare
        self.open, self.finest = np.arange(n), np.full(n, STEPS)
        self.trend = trend or Trend(n)
        self._too_fine = np.full(n, -1) if finest is None else finest - 1
        self._rounds, self._forecast = 0, forecast

    def propose(self) -> np.ndarray:
        """The index to try next for each open picture, int [k]."""
        low, high = self._too_fine[self.open] + 1, self.finest[self.open] - 1
        if self._rounds >= GUESSES:
            return (low + high) // 2
        aim = np.full(len(self.open), self.budget - self.spare / 2)
        return np.clip(self.trend.index(self._forecast[self.open], aim, self.open), low, high)

    def record(self, indices, bits) -> None:
        """Takes note of how many bits the open pictures need with these indices."""
        open_, spare = self.open, self.budget - bits
        fit = spare >= 0
        self.finest[open_] = np.where(fit, indices, self.finest[open_])
        self._too_fine[open_] = np.where(fit, self._too_fine[open_], indices)
        self.trend.learn(self._forecast[open_, indices], bits, open_)
        self._rounds += 1
        settled = fit & (spare <= self.spare)
        self.open = open_[~settled & (self.finest[open_] - self._too_fine[open_] > 1)]


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
