import itertools

import numpy as np
import pytest

from steglib.steganalysis.features import ORBITS, RANGE, colour_rich, colour_spam

FEATURES = colour_spam, colour_rich
IMAGES = np.random.default_rng(0).integers(100, 106, (3, 12, 17, 3), np.uint8)


def same(triple):
    """What mirrored and negative pictures have in place of a triple."""
    negative = tuple(-value for value in triple)
    return {triple, triple[::-1], negative, negative[::-1]}


def shares(lines, weights=None):
    """The features of triples along lines, counted one by one: by kind of triple, sorted."""
    counts = {}
    for i, triple in enumerate(lines):
        kind = min(same(tuple(int(np.clip(value, -RANGE, RANGE)) for value in triple)))
        counts[kind] = counts.get(kind, 0) + (1 if weights is None else weights[i])
    kinds = {min(same(t)) for t in itertools.product(range(-RANGE, RANGE + 1), repeat=3)}
    return np.sqrt([counts.get(kind, 0) / sum(counts.values()) for kind in sorted(kinds)])


def lines_of(picture, way, length):
    (down, across), (h, w) = way, picture.shape
    for y, x in itertools.product(range(h), range(w)):
        places = [(y + i * down, x + i * across) for i in range(length)]
        if all(0 <= y < h and 0 <= x < w for y, x in places):
            yield [int(picture[place]) for place in places]


def differences(image):
    return [image[..., 1].astype(int) - image[..., colour] for colour in (0, 2)]


def test_colour_spam_of_a_loop():
    for image, found in zip(IMAGES, colour_spam(IMAGES), strict=True):
        for ways, part in (
            (((0, 1), (1, 0)), found[:100]),
            (((1, 1), (1, -1)), found[100:]),
        ):
            lines = [
                np.diff(line)
                for picture in differences(image)
                for way in ways
                for line in lines_of(picture, way, 4)
            ]
            assert part == pytest.approx(shares(lines), abs=1e-6)


def test_colour_rich_of_a_loop():
    narrow = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    wide = [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2]]
    wide = np.array([*wide, *wide[1::-1]])
    image, found = IMAGES[0], colour_rich(IMAGES[:1])[0]
    assert np.array_equal(found[:200], colour_spam(IMAGES[:1])[0])
    for kernel, step, part in (
        (narrow, 1, found[200:300]),
        (narrow, 4, found[300:400]),
        (wide, 8, found[400:]),
    ):
        lines = []
        for picture in differences(image):
            padded = np.pad(picture, len(kernel) // 2, "symmetric")
            windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
            answers = np.round((windows * kernel).sum((2, 3)) / step)
            lines += [line for way in ((0, 1), (1, 0)) for line in lines_of(answers, way, 3)]
        assert part == pytest.approx(shares(lines), abs=1e-6)


def test_a_hundred_kinds_of_triples():
    assert len(ORBITS) == 343 and sorted(set(ORBITS)) == list(range(100))


@pytest.mark.parametrize("features", FEATURES)
def test_mirrored_turned_and_negative_images_have_the_same_features(features):
    expected = features(IMAGES)
    others = IMAGES[:, ::-1], IMAGES[:, :, ::-1], IMAGES.swapaxes(1, 2), 255 - IMAGES, IMAGES + 7
    for images in (*others, IMAGES[..., ::-1]):
        assert features(images) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("features", FEATURES)
def test_squares_of_features_are_shares(features):
    found = features(IMAGES)
    assert found.shape == (3, 200 if features is colour_spam else 500) and found.dtype == np.float32
    assert np.square(found).reshape(3, -1, 100).sum(2) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("features", FEATURES)
def test_each_image_has_its_own(features):
    assert np.array_equal(features(IMAGES)[1:2], features(IMAGES[1:2]))


@pytest.mark.parametrize("features", FEATURES)
def test_the_scene_itself_does_not_count(features):
    """The same is added to all colours of a pixel."""
    scene = np.random.default_rng(1).integers(0, 99, (3, 12, 17, 1), np.uint8)
    assert np.array_equal(features(IMAGES + scene), features(IMAGES))


@pytest.mark.parametrize("features", FEATURES)
def test_equal_weights_are_none(features):
    weights = np.full(IMAGES.shape[:3], 0.3)
    assert features(IMAGES, weights) == pytest.approx(features(IMAGES), abs=1e-6)
    assert not features(IMAGES, 0 * weights).any()


def test_a_triple_weighs_what_its_weightiest_pixel_does():
    weights = np.random.default_rng(2).random(IMAGES.shape[:3])
    lines, most = [], []
    for picture in differences(IMAGES[0]):
        for way in ((0, 1), (1, 0)):
            lines += [np.diff(line) for line in lines_of(picture, way, 4)]
            most += [max(line) for line in lines_of(1000 * weights[0], way, 4)]
    found = colour_spam(IMAGES[:1], np.floor(1000 * weights[:1]))
    assert found[0, :100] == pytest.approx(shares(lines, most), abs=1e-6)


@pytest.mark.parametrize("features", FEATURES)
def test_what_is_no_batch_of_images_is_refused(features):
    with pytest.raises(ValueError, match="images must be uint8"):
        features(IMAGES / 255)
    with pytest.raises(ValueError, match="sides of 4 pixels"):
        features(IMAGES[:, :3])
    with pytest.raises(ValueError):
        features(IMAGES, np.ones((2, 12, 17)))
