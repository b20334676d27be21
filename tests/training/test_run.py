"""What the trainer does alike for all recipes, tried on the smallest one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from trainings import last_checkpoint, poison

from steglib.training import devices
from steglib.training.callbacks import best_then
from steglib.training.recipe import Recipe, TrainingConfig
from steglib.training.run import fit, load_config, load_history, prepare, train

CONFIG = TrainingConfig(epochs=5, batch_size=4, learning_rate=0.1, ema=0.5, mixed_precision=False)


class Sums(keras.utils.PyDataset):
    """Numbers and their sums."""

    steps_per_epoch = 3

    def __init__(self, first, last):
        super().__init__()
        self.numbers = range(first * self.steps_per_epoch, last * self.steps_per_epoch)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        x = np.random.default_rng(self.numbers[index]).normal(size=(4, 3)).astype(np.float32)
        return x, x.sum(1, keepdims=True)


class SumRecipe(Recipe):
    """A layer that learns to add."""

    name = "sum"

    def build(self):
        x = keras.Input((3,))
        return keras.Model(x, keras.layers.Dense(1, name="add")(x))

    def batches(self, first_epoch=0):
        return Sums(first_epoch, self.config.epochs)

    def watched(self):
        return Sums(99, 100)[0]

    def loss(self):
        return keras.losses.MeanSquaredError()

    def metrics(self):
        return ["mean_absolute_error"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run folder of a complete training, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEGLIB_HOME", str(tmp_path_factory.mktemp("trained")))
        return train(SumRecipe(CONFIG), "tiny", verbose=0)


@pytest.fixture
def run(trained, home):
    """A copy of it, as a run in the home of one test."""
    return Path(shutil.copytree(trained, home / "runs" / "tiny"))


def test_it_learns_and_exports_what_was_scored(run):
    history, scores = load_history(run), json.loads((run / "metrics.json").read_text())
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0] / 2
    assert history["val_mean_absolute_error"].iloc[-1] < 1
    model = keras.saving.load_model(run / "model.keras")
    numbers, sums = SumRecipe(CONFIG).watched()
    error = np.square(model.predict(numbers, verbose=0) - sums).mean()
    assert scores == {
        "parameters": 4,
        "epoch": history["val_loss"].idxmin() + 1,
        "loss": pytest.approx(error, abs=1e-3),
        "mean_absolute_error": pytest.approx(history["val_mean_absolute_error"].min(), abs=1e-3),
    }


def test_averaged_weights_are_what_is_kept(home):
    """The momentum of 1 never moves them from where they were after the first update."""
    run = train(SumRecipe(replace(CONFIG, ema=1.0)), "averaged", verbose=0)
    history = load_history(run)
    assert history["val_loss"].nunique() == 1 and history["loss"].nunique() == CONFIG.epochs


def test_half_written_best_weights_are_restored(run):
    """Keras writes them in place: a kill at that moment leaves a broken file."""
    expected = (run / "metrics.json").read_bytes()
    (run / "metrics.json").unlink()
    (run / "best.weights.h5").write_bytes(b"half")
    train(SumRecipe(CONFIG), "tiny", resume=True, verbose=0)
    assert (run / "metrics.json").read_bytes() == expected


def test_resuming_keeps_the_best_score(run):
    """A best score that was forgotten would be replaced by whatever comes next."""
    history = load_history(run)
    (run / "metrics.json").unlink()
    best = best_then(last_checkpoint(run)).read_bytes()
    history.loc[2, "val_loss"] = -1000.0  # no epoch can beat it
    history.to_csv(run / "history.csv", index=False)
    train(SumRecipe(CONFIG), "tiny", resume=True, verbose=0)  # the last epoch again
    assert (run / "best.weights.h5").read_bytes() == best
    assert json.loads((run / "metrics.json").read_text())["epoch"] == 3


def test_configs_of_runs_before_a_field_was_added_agree(run):
    stored = json.loads((run / "config.json").read_text())
    del stored["model"], stored["weight_decay"]
    (run / "config.json").write_text(json.dumps(stored))
    assert load_config(run, TrainingConfig) == CONFIG
    train(SumRecipe(CONFIG), "tiny", resume=True, verbose=0)


def test_nan_in_the_first_epoch_leaves_no_weights(home, monkeypatch):
    recipe = SumRecipe(CONFIG)
    poison(monkeypatch, recipe, epoch=0)
    with pytest.raises(FloatingPointError, match=r"epoch 1; the run has stopped\. Begin again"):
        train(recipe, "nan", verbose=0)
    assert not (home / "runs" / "nan" / "best.weights.h5").exists()


def test_float16_trains_with_a_scaled_loss(home, monkeypatch):
    """What a GPU without bfloat16 uses."""
    monkeypatch.setattr(devices, "dtype_policy", lambda m: "mixed_float16" if m else "float32")
    recipe = SumRecipe(replace(CONFIG, mixed_precision=True))
    assert isinstance(prepare(recipe, 10).optimizer, keras.optimizers.LossScaleOptimizer)
    run = train(recipe, "half", verbose=0)
    assert np.isfinite(load_history(run)["val_loss"]).all()
    assert keras.saving.load_model(run / "model.keras").get_layer("add").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_fit_trains_as_train_does_without_a_folder(home, trained):
    batches = []
    counter = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: batches.append(batch)
    )
    model = fit(SumRecipe(CONFIG), callbacks=[counter])
    assert len(batches) == 15 and not (home / "runs").exists()
    assert load_history(trained)["val_loss"].idxmin() == 4  # so the best weights are the last
    kept = keras.saving.load_model(trained / "model.keras")
    for weights in zip(model.get_weights(), kept.get_weights(), strict=True):
        assert np.allclose(*weights, atol=1e-5)
    fit(SumRecipe(CONFIG), updates=2, callbacks=[counter])
    assert len(batches) == 17
    with pytest.raises(ValueError, match="only 15"):
        fit(SumRecipe(CONFIG), updates=16)
