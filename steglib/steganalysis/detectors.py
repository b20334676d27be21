"""Detectors, which score how suspicious an image is, and how well they tell stegos from covers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import auc, roc_curve
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from steglib.steganalysis.features import colour_rich

ALARMS = np.linspace(0, 1, 101)


class Detector:
    """Base class: learns from covers and stegos, then scores images; larger is more suspicious.

    What it looks at in an image, it observes once; it learns from observations and scores these.

    Attributes:
        name: what tables and figures call it.
    """

    name = "detector"

    def observe(self, images) -> np.ndarray:
        """What it looks at in images uint8 [n, h, w, 3]: an array [n, …]."""
        return np.asarray(images)

    def fit(self, covers, stegos) -> "Detector":
        """Learns from observations of covers and of stegos, in the same order; gives itself."""
        return self

    def score(self, observations) -> np.ndarray:
        """float [n], larger is more suspicious."""
        raise NotImplementedError


class ClassicalDetector(Detector):
    """One of the attacks in `classical`, which has nothing to learn.

    Args:
        attack: function of an image → a number, larger is more suspicious.
        name: what tables call it.
    """

    def __init__(self, attack: Callable, name: str):
        self.attack, self.name = attack, name

    def observe(self, images):
        return np.array([self.attack(image) for image in images])

    def score(self, observations):
        return observations


class FeatureDetector(Detector):
    """Features and a linear classifier: Fisher's discriminant, with a shrunk covariance.

    Args:
        features: function of images and weights → float [n, d], as in `features`.
        weigh: function of an image → how much each pixel matters, float [h, w], for an attacker who
            knows where changes are likely; None for all alike.
        shrinkage: 0…1, the part of the covariance, of features scaled to variance 1, that gives
            way to independence.
        name: what tables call it.
    """

    def __init__(
        self,
        features: Callable = colour_rich,
        weigh: Callable | None = None,
        shrinkage: float = 0.01,
        name: str = "features",
    ):
        self.features, self.weigh, self.name = features, weigh, name
        discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        self.classifier = make_pipeline(StandardScaler(), discriminant)

    def observe(self, images):
        weights = self.weigh and np.stack([self.weigh(image) for image in images])
        return self.features(images, weights)

    def fit(self, covers, stegos):
        labels = np.repeat([0, 1], [len(covers), len(stegos)])
        self.classifier.fit(np.concatenate([covers, stegos]), labels)
        return self

    def score(self, observations):
        return self.classifier.decision_function(observations)


@dataclass(frozen=True)
class Detection:
    """How well a detector tells stegos from covers, on the test halves of several splits.

    Attributes:
        errors: P_E in each split, float [splits]: the mean of the shares of false alarms and of
            missed stegos. 0.5 is guessing.
        aucs: area under the ROC curve in each split, float [splits]. 0.5 is guessing, 1 certainty.
        found: ROC curves, float [splits, 101]: the share of stegos found with a share of false
            alarms of at most `ALARMS`.
    """

    errors: np.ndarray
    aucs: np.ndarray
    found: np.ndarray

    @property
    def p_e(self) -> float:
        """Mean of the splits."""
        return float(self.errors.mean())

    @property
    def p_e_spread(self) -> float:
        """Standard deviation between splits: how sure one half of the photographs makes."""
        return float(self.errors.std())

    @property
    def auc(self) -> float:
        """Mean of the splits."""
        return float(self.aucs.mean())

    def __str__(self):
        return f"P_E {self.p_e:.3f} ± {self.p_e_spread:.3f}, AUC {self.auc:.3f}"


def detect(
    detector: Detector, covers, stegos, photographs, splits: int = 10, seed: int = 0
) -> Detection:
    """Trains a detector on half of the photographs and tests it on the others, several times.

    The threshold is the best one for the training half: the best one for the test half would
    flatter the detector.

    Args:
        covers, stegos: uint8 [n, h, w, 3], each stego at the place of its cover.
        photographs: [n], from which photograph each is.
        splits: how often.
        seed: of the splits.

    Raises:
        ValueError: there are fewer than two photographs, or not as many covers, stegos and
            photographs.
    """
    if not len(covers) == len(stegos) == len(photographs):
        raise ValueError(
            f"There must be as many covers, stegos and photographs, not {len(covers)}, "
            f"{len(stegos)} and {len(photographs)}."
        )
    observed = detector.observe(covers), detector.observe(stegos)
    results = []
    for training, test in split_by_photograph(photographs, splits, seed):
        known, unknown = ([part[half] for part in observed] for half in (training, test))
        detector.fit(*known)
        threshold = best_threshold(*map(detector.score, known))
        results.append(_rate(*map(detector.score, unknown), threshold))
    return Detection(*map(np.array, zip(*results, strict=True)))


def split_by_photograph(photographs, splits: int = 10, seed: int = 0) -> list[tuple]:
    """Indices of a training half and of a test half, drawn several times by `seed`.

    All of a photograph is in one half: a detector would know its noise again.

    Args:
        photographs: [n], from which photograph each image is.

    Raises:
        ValueError: all are from one photograph.
    """
    if len(np.unique(photographs)) < 2:
        raise ValueError("Halves need images of two photographs or more.")
    halves = GroupShuffleSplit(splits, test_size=0.5, random_state=seed)
    return list(halves.split(photographs, groups=photographs))


def best_threshold(covers, stegos) -> float:
    """The score above which an image had best count as a stego, for the least mean error.

    Args:
        covers, stegos: scores, float [n] and [m].
    """
    alarms, found, scores = _curve(covers, stegos)
    best = np.argmin(alarms - found)
    return np.append(scores, -np.inf)[best : best + 2].mean()


def mean_error(covers, stegos, threshold: float) -> float:
    """The mean of the shares of covers above a threshold, and of stegos that are not."""
    return float(np.mean(covers > threshold) + np.mean(stegos <= threshold)) / 2


def _rate(covers, stegos, threshold):
    alarms, found, _ = _curve(covers, stegos)
    curve = found[np.searchsorted(alarms, ALARMS, side="right") - 1]
    return mean_error(covers, stegos, threshold), auc(alarms, found), curve


def _curve(covers, stegos):
    labels = np.repeat([0, 1], [len(covers), len(stegos)])
    return roc_curve(labels, np.concatenate([covers, stegos]), drop_intermediate=False)
