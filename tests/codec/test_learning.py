import json
import shutil
import warnings

import numpy as np
import pytest
import tensorflow

from steglib import load_images, load_model
from steglib.__main__ import main
from steglib.codec.codec import Codec
from steglib.codec.entropy import expected_counts
from steglib.codec.learning import (
    CodecConfig,
    CodecRecipe,
    CodingBatches,
    ContextConfig,
    ContextRecipe,
    RestorerConfig,
    RestorerRecipe,
    RestoringLoss,
    count_symbols,
    learn_codec,
)
from steglib.codec.networks import ContextNetwork
from steglib.evaluation import metrics
from steglib.training.run import fit, load_history, prepare, train

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
    return learn_codec(images, context_updates=3, restorer_updates=2, batch_size=4)


@pytest.mark.slow
def test_training_lowers_the_rate(eager, learned):
    """By the same logistic tables; those that `count_symbols` makes lower it further."""
    images = load_images("sample", "train").images[:, :32, :32]
    config = ContextConfig(epochs=1, updates=15, batch_size=8, learning_rate=1e-3)
    recipe = ContextRecipe(config, images)
    begun = recipe.coded(fit(recipe))
    counts = count_symbols(images, begun)
    assert counts.shape == expected_counts().shape and counts.min() >= 1
    bits = [
        codec.count_bits(PHOTOS, np.full(32, 400)).mean()
        for codec in (
            recipe.coded(ContextNetwork()),
            begun,
            Codec(begun.basis, begun.weights, counts),
        )
    ]
    assert bits[1] < 0.9 * bits[0] and bits[2] < 0.98 * bits[1]


@pytest.mark.slow
def test_the_restorer_can_learn_what_rounding_took():
    """Of eight pictures, by heart: in general, it takes minutes."""
    images = load_images("sample", "train").images[:8, :32, :32]
    recipe = RestorerRecipe(RestorerConfig(mixed_precision=False), images)
    inputs, wanted = recipe.prepare(images, np.full((8, 1), 4.5, np.float32))
    model = prepare(recipe, updates=40)
    losses = model.fit(inputs, wanted, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 1  # decibel


def test_the_restoring_loss_is_the_error_in_decibels():
    wanted = np.zeros((2, 4, 4, 3), np.uint8)
    got = np.float32([0, 3])[:, None, None, None] + np.zeros(wanted.shape, np.float32)
    errors = 10 * np.log10([1 / 12, 9 + 1 / 12])
    assert np.allclose(RestoringLoss().call(wanted, got), errors, atol=1e-4)
    assert float(RestoringLoss()(wanted, got)) == pytest.approx(errors.mean(), abs=1e-4)


OPTIONS = ["--images=28", "--held-out=8", "--batch-size=4", "--updates=2", "--seed=3"]
OPTIONS += ["--context-epochs=2", "--restorer-epochs=1"]


@pytest.mark.slow
def test_a_codec_is_trained_by_command_and_hides(eager, home):
    assert main(["train", "residue", "--name", "mine", *OPTIONS]) == 0
    run = home / "runs" / "mine"
    scores = json.loads((run / "metrics.json").read_text())
    codec = Codec.load(run / "model.npz")
    assert scores["parameters"] == codec.count_parameters() == 756_259
    assert scores["contexts"]["loss"] == round(load_history(run / "contexts")["val_loss"].min(), 4)
    assert len(load_history(run / "restorer")) == 1
    assert len(list((run / "restorer" / "samples").glob("*.png"))) == 1
    hider = load_model(run / "model.npz")
    assert hider.name.startswith("mine")
    revealed = hider.reveal(hider.hide(PHOTOS[:2], PHOTOS[2:4]))
    assert metrics.psnr(PHOTOS[2:4], revealed).min() > 20

    # The tables are those of the training, and counted with its weights.
    assert not np.array_equal(codec.counts, expected_counts())
    alone = Codec.load(run / "contexts" / "model.npz")
    assert alone.restorer is None and np.array_equal(alone.counts, expected_counts())
    assert all(np.array_equal(codec.weights[name], alone.weights[name]) for name in alone.weights)

    # What was lost after the contexts is made again, as it was.
    for lost in (run / "metrics.json", run / "model.npz", run / "model.keras"):
        lost.unlink()
    shutil.rmtree(run / "restorer")
    assert main(["train", "residue", "--name", "mine", "--resume"]) == 0
    again = Codec.load(run / "model.npz")
    assert np.array_equal(again.counts, codec.counts)
    for both in zip(again.restorer.get_weights(), codec.restorer.get_weights(), strict=True):
        assert np.allclose(*both, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_codec_may_do_without_a_restorer(eager, home):
    config = CodecConfig(
        images=24, held_out=8, batch_size=4, updates=1, context_epochs=1, restorer_epochs=0
    )
    run = train(CodecRecipe(config), "plain", verbose=0)
    assert not (run / "restorer").exists() and not (run / "model.keras").exists()
    assert Codec.load(run / "model.npz").restorer is None


def test_a_failed_start_leaves_the_name_free(home):
    for wrong in ({"data": "/nowhere"}, {"held_out": 1000}):
        with pytest.raises((FileNotFoundError, ValueError)):
            train(CodecRecipe(CodecConfig(**wrong)), "typo", verbose=0)
    assert not (home / "runs" / "typo").exists()


@pytest.mark.slow
def test_a_learned_codec_saves_and_loads(learned, tmp_path):
    learned.save(tmp_path / "mine.npz")
    other = Codec.load(tmp_path / "mine.npz")
    codes = learned.encode(PHOTOS[:4], 5000)
    assert other.encode(PHOTOS[:4], 5000) == codes
    weights = zip(learned.restorer.get_weights(), other.restorer.get_weights(), strict=True)
    assert all(np.array_equal(*both) for both in weights)
    revealed = learned.decode(codes, 64, 64)
    assert np.array_equal(other.decode(codes, 64, 64), revealed)
    assert metrics.psnr(PHOTOS[:4], revealed).min() > 20
    Codec(other.basis, other.weights, other.counts).save(tmp_path / "plain.npz")
    plain = Codec.load(tmp_path / "plain.npz")
    assert plain.restorer is None and plain.encode(PHOTOS[:4], 5000) == codes


def test_batches_depend_on_seed_and_number():
    def batches(seed, first_epoch=0, chosen=slice(None)):
        chosen = np.arange(len(PHOTOS))[chosen]
        return CodingBatches(PHOTOS, lambda *batch: batch, 4, chosen, 4, 2, first_epoch, seed)

    first, same, other, later = batches(0), batches(0), batches(1), batches(0, first_epoch=1)
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
        *[True] * 3, False
    ]  # fmt: skip
    few = {image[:, ::side].tobytes() for image in PHOTOS[:5] for side in (1, -1)}
    assert all(i.tobytes() in few for i in batches(0, chosen=slice(5))[0][0])


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
learned = learn_codec(images, context_updates=3, restorer_updates=1, batch_size=4)
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
    assert np.abs(other["own_revealed"].astype(int) - learned.decode(own, 64, 64)).max() <= 1
    assert metrics.psnr(PHOTOS[:6], other["own_revealed"]).min() > 20
