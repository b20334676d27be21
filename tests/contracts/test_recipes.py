"""What every recipe promises: a run folder, nothing overwritten, resume as if nothing had been."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow
from trainings import (
    Killed,
    arrays,
    assert_same_end,
    finished_epochs,
    kill_in_process,
    last_checkpoint,
    poison,
    run_and_kill,
)

from steglib.codec.codec import Codec
from steglib.codec.learning import CodecConfig, CodecRecipe
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.models.plain import PlainConfig, PlainRecipe
from steglib.models.robust import RobustConfig, RobustRecipe
from steglib.steganalysis.networks import DetectorConfig, DetectorRecipe
from steglib.training.recipe import Recipe, TrainingConfig
from steglib.training.run import load_config, load_history, train

FEW = {"images": 20, "held_out": 8, "epochs": 3, "batch_size": 4, "mixed_precision": False}
SMALL = {"width": 16, "hidden": 8, "encoder_blocks": 1, "decoder_blocks": 1}
RECIPES = {
    "classic": (ClassicRecipe, ClassicConfig(**FEW, **SMALL)),
    "plain": (PlainRecipe, PlainConfig(**FEW, **SMALL)),
    "robust": (RobustRecipe, RobustConfig(**FEW, **SMALL)),
    "residue": (CodecRecipe, CodecConfig(**FEW, updates=2)),
    "detector": (DetectorRecipe, DetectorConfig(**FEW, updates=2, width=4)),
}
PICTURELESS = "residue", "detector"


@pytest.fixture(scope="module", autouse=True)
def eager():
    """Without graphs, whose compilation takes longer than so few updates."""
    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)


@pytest.fixture(
    scope="module",
    params=[n if n == "plain" else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES],
)
def make(request):
    """Makes a recipe, with changes to its config."""
    recipe, config = RECIPES[request.param]
    return lambda **changes: recipe(replace(config, **changes))


@pytest.fixture(scope="module")
def trained(make, tmp_path_factory):
    """The run folder of a complete training, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEGLIB_HOME", str(tmp_path_factory.mktemp("trained")))
        return train(make(), "tiny", verbose=0)


@pytest.fixture
def run(trained, home):
    """A copy of it, as a run in the home of one test."""
    return Path(shutil.copytree(trained, home / "runs" / "tiny"))


def test_a_run_folder_tells_all(make, run):
    recipe = make()
    history, scores = load_history(run), json.loads((run / "metrics.json").read_text())
    assert history["epoch"].tolist() == [*range(3)]
    assert {"loss", "val_loss", "learning_rate"} <= set(history)
    assert list((run / "logs").rglob("events*"))
    assert len(list((run / "samples").glob("*.png"))) == 3 * (recipe.name not in PICTURELESS)
    assert load_config(run, recipe.config_class) == recipe.config
    assert scores["epoch"] == history["val_loss"].idxmin() + 1
    assert scores["loss"] == pytest.approx(history["val_loss"].min(), abs=1e-4)
    assert len(list(run.glob("model.*"))) == 1

    # The best weights are those that were scored so.
    model = recipe.build()
    assert scores["parameters"] == model.count_params()
    model.load_weights(run / "best.weights.h5")
    model.compile(loss=recipe.loss())
    loss = model.evaluate(*recipe.watched(), batch_size=4, verbose=0)
    assert loss == pytest.approx(scores["loss"], abs=1e-3)


def test_batches_depend_on_the_epoch_alone(make):
    recipe, other = make(), make(seed=1)
    whole = recipe.batches()
    later = make().batches(first_epoch=2)
    assert len(whole) == 3 * whole.steps_per_epoch and len(later) == whole.steps_per_epoch
    (inputs, target), (same, same_target) = whole[2 * whole.steps_per_epoch + 1], later[1]
    assert all(np.array_equal(*both) for both in zip(inputs, same, strict=True))
    assert np.array_equal(target, same_target)
    assert not np.array_equal(inputs[0], whole[0][0][0])
    assert not np.array_equal(inputs[0], other.batches(first_epoch=2)[1][0][0])


def test_held_out_images_are_never_trained_on(make):
    recipe = make()
    training, held_out = recipe.split
    assert len(training) == 12 and not set(training) & set(held_out)
    assert len(recipe.watched()[0][0]) == 8


def test_a_stopped_run_that_is_resumed_ends_as_an_uninterrupted_one(
    make, trained, home, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_in_process(patch, epoch=1, batch=1)
        train(make(), "tiny", verbose=0)
    run = home / "runs" / "tiny"
    assert not (run / "metrics.json").exists()
    assert finished_epochs(run) == 1
    train(make(), "tiny", resume=True, verbose=0)
    assert_same_end(run, trained)
    assert (run / "metrics.json").read_text() == (trained / "metrics.json").read_text()


def test_nothing_is_overwritten(make, run):
    before = (run / "history.csv").read_bytes()
    with pytest.raises(FileExistsError, match="tiny"):
        train(make(), "tiny", verbose=0)
    with pytest.raises(ValueError, match="another config"):
        train(make(epochs=5), "tiny", resume=True, verbose=0)
    train(make(), "tiny", resume=True, verbose=0)  # complete: nothing to do
    assert (run / "history.csv").read_bytes() == before


def test_a_run_of_another_model_is_refused(make, run):
    class Other(Recipe):
        name = "other"

    with pytest.raises(ValueError, match="another config"):
        train(Other(TrainingConfig()), "tiny", resume=True, verbose=0)
    shutil.copytree(run, run.with_name("other"))
    described = json.loads((run / "config.json").read_text())
    (run.with_name("other") / "config.json").write_text(json.dumps(described | {"model": "mine"}))
    with pytest.raises(ValueError, match="another config"):
        train(make(), "other", resume=True, verbose=0)


def test_a_failed_start_leaves_the_name_free(make, home):
    for wrong in ({"data": "/nowhere"}, {"schedule": "linear"}, {"held_out": 1000}):
        with pytest.raises((FileNotFoundError, ValueError)):
            train(make(**wrong), "typo", verbose=0)
    assert not (home / "runs" / "typo").exists()


def test_nan_stops_the_run_and_keeps_the_last_good_weights(make, home, monkeypatch):
    recipe = make()
    poison(monkeypatch, recipe, epoch=1)
    with pytest.raises(FloatingPointError, match=r"epoch 2.*best\.weights\.h5.*lower learning"):
        train(recipe, "nan", verbose=0)
    run = home / "runs" / "nan"
    assert not (run / "metrics.json").exists()
    for good in (run / "best.weights.h5", last_checkpoint(run)):
        assert all(np.isfinite(values).all() for values in arrays(good).values())


CLASSIC = ["--images=56", "--held-out=8", "--epochs=6", "--batch-size=8", "--no-mixed-precision"]
CLASSIC += ["--width=16", "--hidden=8", "--encoder-blocks=1", "--decoder-blocks=1"]
RESIDUE = ["--images=28", "--held-out=8", "--batch-size=4", "--updates=3", "--epochs=4"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_classic_killed_and_resumed_by_command(home, run_python, backend):
    command, runs = ["train", "classic", "--name"], home / "runs"
    whole = run_python("-m", "steglib", *command, "whole", *CLASSIC, KERAS_BACKEND=backend)
    assert whole.returncode == 0, whole.stderr
    run_and_kill(
        [*command, "killed", *CLASSIC],
        lambda: finished_epochs(runs / "killed") >= 2,
        KERAS_BACKEND=backend,
    )
    finished = finished_epochs(runs / "killed")
    assert 2 <= finished < 6 and not (runs / "killed" / "metrics.json").exists()

    resumed = run_python("-m", "steglib", *command, "killed", "--resume", KERAS_BACKEND=backend)
    assert resumed.returncode == 0, resumed.stderr
    assert f"Epoch {finished + 1}/6" in resumed.stdout
    assert f"Epoch {finished}/6" not in resumed.stdout
    assert_same_end(runs / "killed", runs / "whole")


@pytest.mark.slow
def test_residue_killed_twice_and_resumed_by_command(home, run_python):
    command, runs = ["train", "residue", "--name"], home / "runs"
    whole = run_python("-m", "steglib", *command, "whole", *RESIDUE)
    assert whole.returncode == 0, whole.stderr

    killed = runs / "killed"
    run_and_kill([*command, "killed", *RESIDUE], lambda: finished_epochs(killed) >= 1)
    assert not (killed / "metrics.json").exists()
    run_and_kill([*command, "killed", "--resume"], lambda: finished_epochs(killed) >= 3)
    assert not (killed / "metrics.json").exists()
    resumed = run_python("-m", "steglib", *command, "killed", "--resume")
    assert resumed.returncode == 0, resumed.stderr

    assert_same_end(killed, runs / "whole")
    got, wanted = (Codec.load(run / "model.npz") for run in (killed, runs / "whole"))
    assert np.allclose(got.colours, wanted.colours, atol=1e-6)
    assert np.array_equal(got.order, wanted.order)
    for name, array in wanted.weights.items():
        assert np.abs(got.weights[name] - array).max() <= 1, name  # multiples of a unit
