import numpy as np
import pytest

from steglib.steganalysis.classical import weighted_stego
from steglib.steganalysis.detectors import (
    ALARMS,
    ClassicalDetector,
    Detector,
    FeatureDetector,
    best_threshold,
    detect,
    mean_error,
    split_by_photograph,
)
from steglib.steganalysis.features import colour_spam
from steglib.steganalysis.simulators import simulate

PHOTOGRAPHS = np.repeat(np.arange(20), 3)


class Given(Detector):
    """Whose observations are its scores."""

    def score(self, observations):
        return observations


def given(covers, stegos, **options):
    return detect(Given(), np.array(covers), np.array(stegos), PHOTOGRAPHS, **options)


def test_no_photograph_is_in_both_halves():
    splits = split_by_photograph(PHOTOGRAPHS, splits=8)
    assert len(splits) == 8
    for training, test in splits:
        assert not set(PHOTOGRAPHS[training]) & set(PHOTOGRAPHS[test])
        assert sorted([*training, *test]) == list(range(60))
        assert len(set(PHOTOGRAPHS[test])) == 10
    assert len({tuple(test) for _, test in splits}) == 8


def test_splits_depend_on_the_seed_alone():
    def halves(seed):
        return [
            half.tolist() for split in split_by_photograph(PHOTOGRAPHS, 3, seed) for half in split
        ]

    assert halves(1) == halves(1) != halves(2)


def test_scores_that_lie_apart_are_told_apart():
    covers, stegos = np.random.default_rng(0).random((2, 60))
    found = given(covers, stegos + 2)
    assert (found.p_e, found.p_e_spread, found.auc) == (0, 0, 1)
    assert (found.found == 1).all() and found.found.shape == (10, len(ALARMS))
    assert str(found) == "P_E 0.000 ± 0.000, AUC 1.000"


def test_equal_scores_are_guessing():
    scores = np.random.default_rng(0).random(60)
    found = given(scores, scores)
    assert found.p_e == 0.5 and found.auc == pytest.approx(0.5)
    assert np.abs(found.found - ALARMS).max() < 0.05


def test_a_detector_that_is_wrong_is_no_better_than_guessing():
    found = given(np.arange(60) + 60, np.arange(60))
    assert found.p_e >= 0.5 and found.auc == 0


def test_the_threshold_is_chosen_without_the_test_half():
    """It lies halfway between the scores of the training half; those of the test half lie apart."""
    ((training, test),) = split_by_photograph(PHOTOGRAPHS, 1)
    covers, stegos = np.zeros((2, 60))
    covers[training], stegos[training], covers[test], stegos[test] = 0, 4, 3, 5
    found = given(covers, stegos, splits=1)
    assert found.p_e == 0.5 and found.auc == 1


def test_best_threshold_by_search():
    random = np.random.default_rng(0)
    for _ in range(20):
        covers, stegos = random.integers(0, 8, 30), random.integers(2, 12, 25)
        least = min(mean_error(covers, stegos, t) for t in np.arange(-0.5, 12))
        threshold = best_threshold(covers, stegos)
        assert mean_error(covers, stegos, threshold) == pytest.approx(least)
    assert best_threshold(np.array([0, 1]), np.array([3, 4])) == 2
    assert mean_error(np.array([0, 1, 2, 3]), np.array([2, 3]), 2) == (1 / 4 + 1 / 2) / 2


def test_roc_is_the_share_found_at_most_so_many_false_alarms():
    covers = np.tile([0, 1, 2, 3], 15)
    stegos = np.tile([1.5, 2.5, 3.5, 3.5], 15)
    curve = given(covers, stegos, splits=4).found
    assert curve[0, 0] == pytest.approx(0.5, abs=0.1) and curve[0, -1] == 1
    assert (np.diff(curve, axis=1) >= 0).all()


@pytest.fixture(scope="module")
def covers():
    """Three parts of each of twenty noisy pictures."""
    random, pictures = np.random.default_rng(0), []
    for _ in range(20):
        slope = np.tensordot(random.uniform(-0.5, 0.5, 2), np.indices((48, 144)), axes=1)[..., None]
        noise = random.normal(0, random.uniform(0.3, 0.6), (48, 144, 3))
        levels = np.clip(random.uniform(80, 170) + slope + noise, 0, 255)
        pictures += np.split(np.rint(levels).astype(np.uint8), 3, axis=1)
    return np.stack(pictures)


@pytest.fixture(scope="module")
def stegos(covers):
    return simulate("LSB matching", covers, 1)


def test_features_find_strong_embedding(covers, stegos):
    found = detect(FeatureDetector(), covers, stegos, PHOTOGRAPHS, 4)
    assert found.p_e < 0.1 and found.auc > 0.95


def test_there_is_nothing_to_find_between_covers_and_stegos_that_are_swapped(covers, stegos):
    swapped = np.random.default_rng(1).random((60, 1, 1, 1)) < 0.5
    mixed = np.where(swapped, stegos, covers), np.where(swapped, covers, stegos)
    found = detect(FeatureDetector(), *mixed, PHOTOGRAPHS, 4)
    assert found.p_e == pytest.approx(0.5, abs=0.12)


def test_detections_depend_on_the_seed_alone(covers):
    stegos = simulate("LSB matching", covers, 0.2)
    found, same, other = (
        detect(FeatureDetector(colour_spam), covers, stegos, PHOTOGRAPHS, 3, seed)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(found.errors, same.errors) and np.array_equal(found.found, same.found)
    assert not np.array_equal(found.aucs, other.aucs)


def test_weights_are_those_of_each_image(covers):
    def weigh(image):
        return (np.arange(48) < 24) * np.float64(image[..., 0] > 0)

    detector = FeatureDetector(colour_spam, weigh)
    expected = colour_spam(covers[:3], np.stack([weigh(cover) for cover in covers[:3]]))
    assert np.array_equal(detector.observe(covers[:3]), expected)
    assert not np.array_equal(expected, colour_spam(covers[:3]))


def test_a_classical_attack_as_a_detector(covers):
    detector = ClassicalDetector(weighted_stego, "weighted stego")
    replaced = simulate("LSB replacement", covers, 0.6)
    assert detector.score(detector.observe(covers[:2])).tolist() == [
        weighted_stego(cover) for cover in covers[:2]
    ]
    assert detect(detector, covers, replaced, PHOTOGRAPHS, 4).p_e < 0.05


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"as many covers, stegos and photographs, not 3, 2 and 3"):
        detect(Given(), np.zeros(3), np.zeros(2), [0, 1, 2])
    with pytest.raises(ValueError, match="two photographs or more"):
        detect(Given(), np.zeros(3), np.zeros(3), [7, 7, 7])
