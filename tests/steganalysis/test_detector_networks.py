from dataclasses import replace

import keras
import numpy as np
import pytest
import skimage
from PIL import Image
from scipy.ndimage import convolve

from steglib.steganalysis.detectors import detect
from steglib.steganalysis.networks import (
    FILTERS,
    DetectorConfig,
    DetectorRecipe,
    HighPass,
    NetworkDetector,
    build_detector,
    join,
    pair_error,
)

SMALL = DetectorConfig(epochs=1, batch_size=8, side=16, width=4, mixed_precision=False)
PHOTO = skimage.data.astronaut()
SQUARES = np.stack([PHOTO[i : i + 24, i + 60 : i + 84] for i in range(0, 400, 20)])


def test_filters_see_no_brightness_and_no_slope_but_steps():
    assert FILTERS.shape == (5, 5, 3, 40)
    assert np.abs(FILTERS.sum((0, 1))).max() < 1e-6
    image = np.random.default_rng(0).integers(100, 104, (1, 9, 11, 3), np.uint8)
    answers = keras.ops.convert_to_numpy(HighPass()(image))
    assert answers.shape == (1, 9, 11, 40) and np.abs(answers).max() <= 3
    green, blue = image[0, ..., 1].astype(float), image[0, ..., 2].astype(float)
    second = convolve(green - blue, [[0.5, -1, 0.5]])
    square = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 4
    inside = np.s_[2:-2, 2:-2]
    for view, picture in ((1, green), (4, green - blue)):
        step = np.clip(np.diff(picture, axis=1), -3, 3)
        assert np.allclose(answers[0, ..., 8 * view][:, :-1][inside], step[inside], atol=1e-5)
        corner = np.clip(convolve(picture, square), -3, 3)
        assert np.allclose(answers[0, ..., 8 * view + 6][inside], corner[inside], atol=1e-5)
    assert np.allclose(answers[0, ..., 36][inside], np.clip(second, -3, 3)[inside], atol=1e-5)


def test_a_detector_takes_any_size_and_comes_back_from_its_file(tmp_path):
    network = build_detector(4)
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 31, 3), np.uint8)
    network.save(tmp_path / "model.keras")
    scores = NetworkDetector(network=network).score(images)
    assert scores.shape == (3,)
    assert np.allclose(NetworkDetector.load(tmp_path / "model.keras").score(images), scores)
    many = np.concatenate([images] * 7)
    assert np.allclose(NetworkDetector(network=network).score(many), np.tile(scores, 7), atol=1e-5)


def test_covers_and_stegos_share_a_batch():
    network = build_detector(4)
    joined, (covers, stegos) = join(network), (SQUARES[:3], SQUARES[3:6])
    logits = keras.ops.convert_to_numpy(joined([covers, stegos]))
    alone = [keras.ops.convert_to_numpy(network(part))[:, 0] for part in (covers, stegos)]
    assert np.allclose(logits, np.stack(alone, axis=1), atol=1e-5)
    # In training, each is normalised with both.
    alike = keras.ops.convert_to_numpy(joined([covers, covers], training=True))
    mixed = keras.ops.convert_to_numpy(joined([covers, stegos], training=True))
    assert not np.allclose(mixed[:, 0], alike[:, 0], atol=1e-4)


def test_pair_error_is_the_share_of_mistakes():
    logits = np.array([[-1, 2], [3, 2], [0.5, -0.5]], np.float32)
    target = np.tile(np.float32([0, 1]), (3, 1))
    assert keras.ops.convert_to_numpy(pair_error(target, logits)).tolist() == [0, 0.5, 1]


def test_batches_are_squares_of_images_with_what_was_embedded():
    recipe = DetectorRecipe(SMALL, SQUARES)
    batches = recipe.batches()
    (covers, stegos), target = batches[0]
    assert covers.shape == stegos.shape == (8, 16, 16, 3) and covers.dtype == np.uint8
    assert target.tolist() == [[0, 1]] * 8
    changed = stegos != covers
    assert np.abs(stegos.astype(int) - covers).max() == 1
    assert changed.mean() == pytest.approx(0.2, abs=0.03)


def test_squares_are_turned_and_mirrored_in_all_eight_ways():
    windows = np.lib.stride_tricks.sliding_window_view(SQUARES, (16, 16), (1, 2))
    known = {one.tobytes() for one in np.moveaxis(windows, 3, -1).reshape(-1, 16, 16, 3)}
    batches, seen = DetectorRecipe(SMALL, SQUARES).batches(), set()
    ways = [(side, turns) for side in (1, -1) for turns in range(4)]
    for cover in np.concatenate([batches[i][0][0] for i in range(10)]):
        (way,) = [way for way in ways if np.rot90(cover[:, :: way[0]], way[1]).tobytes() in known]
        seen.add(way)
    assert len(seen) == 8


def test_given_stegos_stay_with_their_covers():
    (covers, stegos), _ = DetectorRecipe(SMALL, SQUARES, SQUARES ^ 1).batches()[3]
    assert np.array_equal(stegos, covers ^ 1)
    (again, _), _ = DetectorRecipe(SMALL, SQUARES).batches()[3]
    assert np.array_equal(again, covers)


def test_photographs_are_held_out_as_a_whole(tmp_path):
    """And watched in squares side by side."""
    for i in range(6):
        level = np.full((40 + i, 70, 3), 40 * i, np.uint8)
        Image.fromarray(level).save(tmp_path / f"{i}.png")
    config = replace(SMALL, photographs=str(tmp_path), held_out=2, side=32, rate=0.1)
    recipe = DetectorRecipe(config)
    (watched, stegos), target = recipe.watched()
    held_out = {40 * i for i in recipe.split[1]}
    assert watched.shape == stegos.shape == (4, 32, 32, 3) and len(target) == 4
    assert set(np.unique(watched)) == held_out
    drawn = {int(level) for i in range(20) for level in np.unique(recipe.batches()[i][0][0])}
    assert len(drawn) == 4 and not drawn & held_out


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match="no simulator 'none'"):
        DetectorRecipe(replace(SMALL, simulator="none"), SQUARES).batches()[0]
    with pytest.raises(ValueError, match="side must be at most 24, as that of an image, not 25"):
        NetworkDetector(replace(SMALL, side=25)).fit(SQUARES, SQUARES)


def marked(images, seed):
    """What any detector should find: noise of ±2 grey levels."""
    noise = np.random.default_rng(seed).integers(-2, 3, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def test_a_network_learns_and_detects():
    config = replace(SMALL, updates=40, learning_rate=5e-3, width=8)
    found = detect(
        NetworkDetector(config), SQUARES, marked(SQUARES, 0), np.arange(20) // 2, splits=1
    )
    assert found.auc > 0.9


@pytest.mark.slow
def test_another_backend_learns_too(run_python, tmp_path):
    np.save(tmp_path / "squares.npy", SQUARES)
    script = """
import sys, keras, numpy as np
from steglib.steganalysis.networks import DetectorConfig, NetworkDetector
squares = np.load(sys.argv[1])
noise = np.random.default_rng(0).integers(-2, 3, squares.shape)
stegos = np.clip(squares + noise, 0, 255).astype(np.uint8)
config = DetectorConfig(epochs=1, batch_size=8, side=16, width=8, mixed_precision=False,
                        updates=40, learning_rate=5e-3)
detector = NetworkDetector(config).fit(squares, stegos)
detector.network.save(sys.argv[2])
np.savez(sys.argv[3], covers=detector.score(squares), stegos=detector.score(stegos),
         backend=keras.backend.backend())
"""
    files = tmp_path / "squares.npy", tmp_path / "model.keras", tmp_path / "scores.npz"
    done = run_python("-c", script, *files, KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    scores = np.load(files[2])
    assert scores["backend"] == "jax"
    assert np.mean(scores["stegos"][:, None] > scores["covers"]) > 0.9
    here = NetworkDetector.load(files[1])
    assert np.allclose(here.score(SQUARES), scores["covers"], atol=1e-3)
