"""Who sees what is hidden: every hider and every simulator against every detector."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from steglib import zoo
from steglib.channels import costs as prices
from steglib.channels.quiet import LIMIT
from steglib.images.arrays import cut_squares
from steglib.steganalysis import classical
from steglib.steganalysis.block_features import block_cosines
from steglib.steganalysis.detectors import (
    ClassicalDetector,
    FeatureDetector,
    best_threshold,
    detect,
)
from steglib.steganalysis.simulators import SIMULATORS, change_probabilities, simulate

HIDERS = *zoo.scored(), "jpeg-proof:75", "quiet:0.05", "quiet"
RATES = 0.4, 0.1, 0.05  # bits a sample, of simulators
MOST = 8  # squares of a photograph
KEY = b"red team"  # of hiders that take one
COSTS = {  # which the aware attacker takes for those of an opponent
    "HILL": prices.hill,
    "√HILL": prices.root_hill,
    "√HILL, colours together": prices.root_hill,
    "quiet": prices.root_hill,
}


class Opponent(NamedTuple):
    """One whose stego images are to be found.

    Attributes:
        name: what tables call it.
        make: covers uint8 [n, h, w, 3] → the stego images of as many of them as it takes, and
            which these are.
        costs: of changes, for who knows them; None where there are none.
        rate: bits a sample, for who knows them; None: as "quiet" takes them by itself.
    """

    name: str
    make: Callable
    costs: Callable | None = None
    rate: float | None = None


def simulated(name: str, rate: float) -> Opponent:
    """One of `simulators.SIMULATORS`."""

    def make(covers):
        return simulate(name, covers, rate, seed=1), np.arange(len(covers))

    return Opponent(f"{name}, {rate:g}", make, COSTS.get(name), rate)


def hidden(spec: str) -> Opponent:
    """A hider of the zoo, as `zoo.parse` reads it: each cover hides another one, or what fits."""
    name, options = zoo.parse(spec)
    locked = "key" in zoo.find(name).options
    hider = zoo.load_spec(spec, key=KEY if locked else None)

    def make(covers):
        pairs = list(zip(covers, np.roll(covers, len(covers) // 2, axis=0), strict=True))
        found = [_hide(hider, *pair) for pair in tqdm(pairs, hider.name, leave=False)]
        taken = [i for i, stego in enumerate(found) if stego is not None]
        return np.array([found[i] for i in taken], np.uint8), np.array(taken, int)

    return Opponent(hider.name, make, COSTS.get(name), options.get("rate"))


def red_team(photos, hiders=HIDERS, rates=RATES, side: int = 256, splits: int = 10) -> pd.DataFrame:
    """How often each detector errs on each opponent, trained and tested on halves of photographs.

    Args:
        photos: uint8 [h, w, 3] each, which never were JPEG files of this size.
        hiders: as `zoo.parse` reads them, with all that they hide in a cover.
        rates: of simulators, bits a sample.
        side: of the squares that are cut from the photographs, in pixels.
        splits: into halves.

    Returns:
        A row for each opponent: of how many covers there are stego images, and for each detector
        P_E and its standard deviation between splits, such as ".081 ± .026".
    """
    opponents = [hidden(spec) for spec in hiders]
    opponents += [simulated(name, rate) for name in SIMULATORS for rate in rates]
    rows = {}
    for opponent in tqdm(opponents, "Opponents"):
        covers, photographs = cut_squares(photos, side, MOST)
        stegos, taken = opponent.make(covers)
        row = rows[opponent.name] = {"images": len(taken)}
        if len(np.unique(photographs[taken])) < 2:
            continue
        for detector in _detectors(opponent, side):
            known = covers[taken], stegos, photographs[taken]
            found = detect(detector, *known, splits=splits)
            row[detector.name] = f"{found.p_e:.3f} ± {found.p_e_spread:.3f}".replace("0.", ".")
    return pd.DataFrame(rows).T.fillna("–")


def elsewhere(photos, others, rates=RATES, side: int = 256, splits: int = 10) -> pd.DataFrame:
    """What becomes of a detector of features when its test photographs have another source.

    Args:
        photos: to learn from, uint8 [h, w, 3] each.
        others: to be tested on.
        rates, side, splits: as in `red_team`.

    Returns:
        A row for each simulator and rate: P_E in the other half of `photos`; then for a detector
        that learned from all of them, on `others`: P_E, the shares of false alarms and of missed
        stegos.
    """
    opponents, rows = [simulated(name, rate) for name in SIMULATORS for rate in rates], {}
    for opponent in tqdm(opponents, "Opponents"):
        covers, photographs = cut_squares(photos, side, MOST)
        tested, _ = cut_squares(others, side, MOST)
        detector, stegos = FeatureDetector(), opponent.make(covers)[0]
        found = detect(detector, covers, stegos, photographs, splits)
        known = detector.observe(covers), detector.observe(stegos)
        detector.fit(*known)
        threshold = best_threshold(*map(detector.score, known))
        scores = [detector.score(detector.observe(x)) for x in (tested, opponent.make(tested)[0])]
        alarms, missed = np.mean(scores[0] > threshold), np.mean(scores[1] <= threshold)
        rows[opponent.name] = {
            "P_E, same source": found.p_e,
            "another": (alarms + missed) / 2,
            "false alarms": alarms,
            "missed": missed,
        }
    return pd.DataFrame(rows).T


def _hide(hider, cover, secret):
    """None if the hider does not take this cover."""
    try:
        return hider.hide(cover, hider.fit_secret(secret, cover))
    except ValueError:
        return None


def _detectors(opponent, side):
    attacks = classical.chi_square, classical.sample_pairs, classical.weighted_stego
    yield from (ClassicalDetector(attack, attack.__name__.replace("_", " ")) for attack in attacks)
    yield FeatureDetector()
    yield FeatureDetector(block_cosines, name="cosines")
    if opponent.costs is not None:
        rate = opponent.rate or 8 * LIMIT / (3 * side)
        yield FeatureDetector(weigh=aware(opponent.costs, rate), name="aware features")


def aware(costs: Callable, rate: float) -> Callable:
    """For a `FeatureDetector` that knows costs and rate: how likely each pixel moves."""
    return lambda image: change_probabilities(costs(image), rate).sum((0, -1))
