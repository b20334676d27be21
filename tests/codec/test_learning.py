import json
import warnings

import numpy as np
import pytest
import tensorflow
from PIL import Image

from steglib import load_images, load_model
from steglib.__main__ import main
from steglib.codec.codec import Codec
from steglib.codec.contexts import largest_sums
from steglib.codec.entropy import LIMIT, WHOLE, Part, expected_counts
from steglib.codec.learning import (
    CodecConfig,
    CodecRecipe,
    CodingBatches,
    learn_codec,
    learn_tables,
)
from steglib.codec.networks import ContextNetwork
from steglib.codec.transform import best_turns, to_coefficients, turned
from steglib.evaluation import metrics
from steglib.training.run import fit, load_history, train

PHOTOS = load_images("sample", "val").images[::3]


@pytest.fixture(scope="module")
def eager():
    """Without graphs, whose compilation takes longer than so few steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not apply to datasets
        tensorflow.config.run_functions_eagerly(True)
        yield
        tensorflow.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def learned(eager):
    images = load_images("sample", "train").images[:, :32, :32]
    return learn_codec(images, updates=3, batch_size=4)


def rate(codec, index=400):
    """Mean bits of a coefficient of the photographs."""
    coefficients = codec._coefficients(PHOTOS, codec._turns(PHOTOS))
    return codec._count_bits(coefficients, [index] * len(PHOTOS)).mean() / coefficients[0].size


@pytest.mark.slow
def test_training_lowers_the_rate(eager):
    """By the same logistic tables; those that `learn_tables` makes lower it further."""
    images = load_images("sample", "train").images[:, :32, :32]
    config = CodecConfig(epochs=1, updates=15, batch_size=8, learning_rate=1e-3)
    recipe = CodecRecipe(config, images)
    begun = recipe.begun(fit(recipe))
    counted = learn_tables(begun, [recipe.counted])
    assert counted.weights is begun.weights and counted.order is begun.order
    bits = [rate(codec) for codec in (recipe.begun(ContextNetwork()), begun, counted)]
    assert bits[1] < 0.9 * bits[0] and bits[2] < 0.98 * bits[1]


def test_tables_are_counted_with_steps_of_a_seed(codec):
    found = [learn_tables(codec, [[PHOTOS[:8]]], seed) for seed in (1, 1, 2)]
    assert (
        found[0].counts.shape == (2, *expected_counts().shape) and found[0].counts.dtype == np.int32
    )
    assert np.array_equal(found[0].counts, found[1].counts)
    assert not np.array_equal(found[0].counts, found[2].counts)
    assert found[0].weights is codec.weights and found[0].order is codec.order


def test_small_and_large_pictures_have_tables_of_their_own(codec, monkeypatch):
    """What was never seen keeps the chance of a logistic distribution, and none is impossible."""

    def levels(codec, pictures, indices):
        yield Part(3, np.int32([[pictures.max()]]), np.array([[True]]), np.uint8([[7]]))

    monkeypatch.setattr(Codec, "levels", levels)
    black, grey = (np.full((1, 8, 8, 3), level, np.uint8) for level in (0, 5))
    counts = learn_tables(codec, [[black] * 30, [grey, black]]).counts
    chances, expected = counts / WHOLE, expected_counts() / WHOLE
    assert counts.shape == (2, *expected.shape) and counts.min() == 1
    assert chances[0, 3, 1, 7, LIMIT] == pytest.approx(1, abs=0.01)
    assert chances[1, 3, 1, 7, [LIMIT, LIMIT + 5]] == pytest.approx([0.5, 0.5], abs=0.01)
    chances[:, 3, 1, 7] = expected[3, 1, 7]
    assert np.allclose(chances, expected, atol=3e-3)
    only = learn_tables(codec, [[black]]).counts
    assert np.array_equal(only[0], only[1])


def test_what_a_recipe_knows_of_its_images():
    """Colours and an order in which the means come first, and the rest falls."""
    recipe = CodecRecipe(CodecConfig(), PHOTOS)
    order = recipe.order
    assert sorted(order) == list(range(192)) and set(order[:3]) == {0, 64, 128}
    colours = turned(recipe.colours, best_turns(PHOTOS, recipe.colours))
    power = np.square(to_coefficients(PHOTOS, colours)[..., order]).mean((0, 1, 2))
    assert (np.diff(power[3:]) <= 0).all()
    (inputs, steps), target = recipe.prepare(PHOTOS[:2], np.float32([[2], [3]]))
    assert inputs.shape == (2, 8, 8, 192) and inputs.dtype == np.float32 and len(target) == 2
    codec = load_model("residue").codec
    own = Codec(recipe.colours, order, codec.weights, codec.counts)
    coefficients = own._coefficients(PHOTOS[:2], own._turns(PHOTOS[:2]))
    assert np.allclose(inputs * 2 ** steps[:, None, None], coefficients, atol=1e-3)


OPTIONS = ["--images=28", "--held-out=8", "--batch-size=4", "--updates=2", "--seed=3"]
OPTIONS += ["--epochs=2"]


@pytest.mark.slow
def test_a_codec_is_trained_by_command_and_hides(eager, home, tmp_path):
    for i, photo in enumerate(PHOTOS[:2]):
        large = Image.fromarray(photo).resize((150, 140))
        (tmp_path / "photographs").mkdir(exist_ok=True)
        large.save(tmp_path / "photographs" / f"{i}.png")
    options = [*OPTIONS, f"--photographs={tmp_path / 'photographs'}"]
    assert main(["train", "residue", "--name", "mine", *options]) == 0
    run = home / "runs" / "mine"
    scores = json.loads((run / "metrics.json").read_text())
    codec = Codec.load(run / "model.npz")
    assert scores["parameters"] == codec.count_parameters()
    assert scores["loss"] == round(load_history(run)["val_loss"].min(), 4)
    assert not list(run.glob("*.keras"))
    assert not np.array_equal(codec.counts, expected_counts())
    hider = load_model(run / "model.npz")
    assert hider.name.startswith("mine")
    revealed = hider.reveal(hider.hide(PHOTOS[:2], PHOTOS[2:4]))
    assert metrics.psnr(PHOTOS[2:4], revealed).min() > 20

    # What was lost after the training is made again, as it was.
    for lost in (run / "metrics.json", run / "model.npz"):
        lost.unlink()
    assert main(["train", "residue", "--name", "mine", "--resume"]) == 0
    again = Codec.load(run / "model.npz")
    assert np.array_equal(again.counts, codec.counts)
    assert all(np.array_equal(again.weights[name], codec.weights[name]) for name in codec.weights)


def test_a_failed_start_leaves_the_name_free(home, tmp_path):
    (tmp_path / "none.txt").touch()
    for wrong in (
        {"data": "/nowhere"},
        {"held_out": 1000},
        {"photographs": "/nowhere"},
        {"photographs": str(tmp_path)},  # one that is no photograph
    ):
        with pytest.raises((FileNotFoundError, ValueError)):
            train(CodecRecipe(CodecConfig(**wrong)), "typo", verbose=0)
    assert not (home / "runs" / "typo").exists()


@pytest.mark.slow
def test_a_learned_codec_saves_and_loads(learned, tmp_path):
    learned.save(tmp_path / "mine.npz")
    other = Codec.load(tmp_path / "mine.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.npz"]
    assert other.count_parameters() == learned.count_parameters()
    assert max(largest_sums(other.weights).values()) < 2**24
    codes = learned.encode(PHOTOS[:4], 5000)
    assert other.encode(PHOTOS[:4], 5000) == codes
    revealed = learned.decode(codes, 64, 64)
    assert np.array_equal(other.decode(codes, 64, 64), revealed)
    assert metrics.psnr(PHOTOS[:4], revealed).min() > 20


def as_batches(seed=0, first_epoch=0, chosen=slice(None), photographs=()):
    """Eight batches of four photographs, as images and steps."""
    chosen = np.arange(len(PHOTOS))[chosen]
    given = PHOTOS, lambda *batch: batch, 4, chosen, 4, 2, first_epoch, seed, photographs
    return CodingBatches(*given)


def test_batches_depend_on_seed_and_number():
    first, same, other = as_batches(), as_batches(), as_batches(seed=1)
    later = as_batches(first_epoch=1)
    assert len(first) == 8 and len(later) == 6
    for i in range(8):
        images, steps = first[i]
        assert images.shape == (4, 64, 64, 3) and images.dtype == np.uint8
        assert steps.shape == (4, 1) and steps.min() >= -1 and steps.max() <= 5.5
        assert all(np.array_equal(*both) for both in zip(first[i], same[i], strict=True))
        if i >= 2:
            assert all(np.array_equal(*both) for both in zip(first[i], later[i - 2], strict=True))
        assert not np.array_equal(images, other[i][0])
    known = {image[:, ::side].tobytes() for image in PHOTOS for side in (1, -1)}
    assert [all(i.tobytes() in known for i in first[n][0]) for n in range(8)] == 2 * [
        True, True, False, True
    ]  # fmt: skip
    few = {image[:, ::side].tobytes() for image in PHOTOS[:5] for side in (1, -1)}
    assert all(i.tobytes() in few for i in as_batches(chosen=slice(5))[0][0])


def test_every_second_batch_shows_pieces_of_photographs():
    """As many pixels as the others, and none from beyond a photograph."""
    random = np.random.default_rng(0)
    sizes = (128, 300, 3), (150, 128, 3)
    photographs = [random.integers(0, 256, size, np.uint8) for size in sizes]
    batches = as_batches(photographs=photographs)
    for i in range(8):
        images, steps = batches[i]
        assert images.shape == ((1, 128, 128, 3) if i % 2 else (4, 64, 64, 3))
        assert steps.shape == (len(images), 1) and images.dtype == np.uint8
        for piece in images if i % 2 else ():
            windows = (
                photograph[top : top + 128, left : left + 128, :][:, ::side]
                for photograph in photographs
                for top in range(photograph.shape[0] - 127)
                for left in range(photograph.shape[1] - 127)
                for side in (1, -1)
            )
            assert any(np.array_equal(piece, window) for window in windows)
    many = CodingBatches(PHOTOS, lambda *batch: batch, 32, np.arange(9), 1, 2, 0, 0, photographs)
    assert len(many[1][0]) == 8 and len({piece.tobytes() for piece in many[1][0]}) > 4


@pytest.mark.slow
def test_another_backend_learns_too_and_writes_the_same(run_python, tmp_path):
    codec = load_model("residue").codec
    np.savez(tmp_path / "in.npz", photos=PHOTOS[:6])
    script = """
import sys, keras, numpy as np
from steglib import load_images, load_model
from steglib.codec.learning import learn_codec
photos = np.load(sys.argv[1])["photos"]
shipped = load_model("residue").codec
codes = shipped.encode(photos, 1500)
images = load_images("sample", "train").images[:60, :16, :16]
learned = learn_codec(images, updates=3, batch_size=4)
own = learned.encode(photos, 5000)
learned.save(sys.argv[2])
np.savez(sys.argv[3], codes=codes, revealed=shipped.decode(codes, 64, 64), own=own,
         own_revealed=learned.decode(own, 64, 64), backend=keras.backend.backend())
"""
    files = tmp_path / "in.npz", tmp_path / "jax.npz", tmp_path / "out.npz"
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": 1}  # compiles in half the time
    done = run_python("-c", script, *files, KERAS_BACKEND="jax", **quick)
    assert done.returncode == 0, done.stderr
    other = np.load(tmp_path / "out.npz")
    assert other["backend"] == "jax"
    codes = codec.encode(PHOTOS[:6], 1500)
    assert other["codes"].tolist() == codes
    assert np.abs(other["revealed"].astype(int) - codec.decode(codes, 64, 64)).max() <= 1
    learned = Codec.load(tmp_path / "jax.npz")
    own = other["own"].tolist()
    assert learned.encode(PHOTOS[:6], 5000) == own
    assert np.abs(other["own_revealed"].astype(int) - learned.decode(own, 64, 64)).max() <= 1
    assert metrics.psnr(PHOTOS[:6], other["own_revealed"]).min() > 20
