"""How little a cover needs to change to say so much."""

import math
from time import perf_counter

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from tqdm import tqdm

from steglib.channels.residues import BASES, ResidueChannel, expected_psnr
from steglib.channels.trellis import Trellis
from steglib.evaluation import metrics

STEPS = np.arange(-60, 61)  # grey levels: none that matters is further away
SHOWN = 1.0, 1.3, 1.45, 1.585, 2.0, 2.32, 2.58, 3.0, 4.0


def least_error(rate: float) -> float:
    """The least mean square change of samples that say `rate` bits each, by any code.

    Of all changes with that error, those of a Gaussian at whole numbers have the largest entropy.
    """

    def chances(slope):
        found = np.exp(-slope * np.square(STEPS))
        return found / found.sum()

    def missing(slope):
        found = chances(slope)
        return rate + np.sum(found * np.log2(np.maximum(found, 1e-300)))

    return float(np.sum(chances(brentq(missing, 1e-3, 40)) * np.square(STEPS)))


def payloads(shape=(3000, 4000, 3), rates=SHOWN, seed: int = 0) -> pd.DataFrame:
    """What a cover in the middle of the range costs that is filled with random bytes.

    Returns:
        A row for each rate: PSNR of the cover in dB with a trellis, at the bound, and with plain
        digits of about that rate; % of samples that change with a trellis and with plain digits;
        seconds to write and to read with a trellis.
    """
    random, rows = np.random.default_rng(seed), {}
    cover = random.integers(32, 224, shape, np.uint8)
    for rate in tqdm(rates, desc="Rates"):
        psnr, changed, seconds = _filled(ResidueChannel(rate=rate), cover, random)
        row = {"trellis": psnr, "bound": 10 * math.log10(255**2 / least_error(rate))}
        plain = [base for base in BASES if abs(math.log2(base) - rate) < 0.01]
        if plain:
            row["plain"] = expected_psnr(*plain)
            row["changed, plain"] = 100 * (1 - 1 / plain[0])
        row |= {"changed": changed, "write, s": seconds[0], "read, s": seconds[1]}
        rows[rate] = row
    columns = "plain", "trellis", "bound", "changed, plain", "changed", "write, s", "read, s"
    return pd.DataFrame(rows).T[list(columns)]


def best_seed(base: int, memory: int, rates, seeds: int = 60, samples: int = 200_000) -> int:
    """Of `seeds` seeds of a trellis, the one with which covers are best, on the mean of rates."""
    random = np.random.default_rng(0)
    residues = random.integers(0, base, samples, np.uint8)
    message = random.integers(0, base, samples, np.uint8)
    steps = np.minimum(np.arange(base), base - np.arange(base)).astype(np.float32)

    def costs(some):
        return np.square(steps)[:, None].repeat(some.stop - some.start, 1)

    def psnr(seed, rate):
        symbols = message[: int(samples * rate / math.log2(base))]
        changes = Trellis(base, memory, seed).embed(residues, costs, symbols)
        return -10 * math.log10(np.mean(np.square(steps[changes])))

    return max(tqdm(range(seeds)), key=lambda seed: sum(psnr(seed, rate) for rate in rates))


def _filled(channel, cover, random):
    """PSNR of a cover with as many random bytes as fit, % of samples changed, and seconds."""
    data = random.bytes(channel.capacity(cover.shape))
    started = perf_counter()
    stego = channel.write(cover, data)
    written = perf_counter()
    assert channel.read(stego).data == data
    seconds = written - started, perf_counter() - written
    return metrics.psnr(cover[None], stego[None])[0], 100 * np.mean(cover != stego), seconds
