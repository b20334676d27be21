"""The trainer: a recipe in, a run folder out, whatever happens in between."""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from steglib import paths
from steglib.training import devices
from steglib.training.callbacks import (
    Checkpoint,
    LearningRate,
    SamplePictures,
    best_then,
    tensorboard,
)
from steglib.training.recipe import Recipe


def train(recipe: Recipe, name: str, *, resume: bool = False, verbose=2) -> Path:
    """Trains a model into the run folder `runs/<name>/` and returns that folder.

    It holds `config.json`, `history.csv`, `checkpoint/`, `best.weights.h5`, `logs/` for
    TensorBoard, `samples/` if the recipe draws any, and at the end the exported model (of the
    best weights, averaged if the config says so, float32) and `metrics.json` (its scores on the
    held-out images).

    Args:
        recipe: what to train.
        name: of the run.
        resume: go on from the run's last checkpoint; a run without one begins anew. A config
            that differs from the run's own is refused.
        verbose: as in `fit`.

    Raises:
        FileExistsError: the run exists and `resume` is not set.
        FloatingPointError: the loss was no number; the message says where the last good
            weights are.
        ValueError: the run was begun with another config.
    """
    run = paths.runs_dir() / name
    _check(run, recipe, resume)
    devices.check(recipe.config.batch_size)
    devices.wait()  # no process may take for an earlier run what another one has begun
    if (run / "metrics.json").is_file():
        print(f"The run {run} is complete.")
        return run
    metrics = _train_model(recipe, run, verbose)
    if metrics:
        _write_json(run / "metrics.json", metrics)
    devices.wait()
    return run


def prepare(recipe: Recipe, updates: int) -> keras.Model:
    """The recipe's model, built and compiled for a training with `updates` updates in all.

    In `devices.scope()`, if it is to use all of them.
    """
    devices.check(recipe.config.batch_size)
    keras.utils.set_random_seed(recipe.config.seed)
    with devices.precision(recipe.config.mixed_precision):
        model = recipe.build()
        model.compile(recipe.optimizer(updates), recipe.loss(), weighted_metrics=recipe.metrics())
    devices.synchronise(model)
    return model


def fit(recipe: Recipe, updates: int | None = None, callbacks=(), verbose=0) -> keras.Model:
    """Trains without a run folder, and without watching.

    Args:
        recipe: what to train.
        updates: how many in all; None for all that the config's epochs make, which is the most.
        callbacks, verbose: as in Keras's `fit`.

    Returns:
        The trained model in float32; its weights are the averages if the config says so.

    Raises:
        ValueError: there are not so many updates.
    """
    batches = recipe.batches()
    most = recipe.config.epochs * batches.steps_per_epoch
    updates = most if updates is None else updates
    if updates > most:
        raise ValueError(f"{updates} updates, but the config's epochs make only {most}.")
    with devices.scope():
        model = prepare(recipe, updates)
        model.fit(
            devices.Part(batches),
            steps_per_epoch=updates,
            shuffle=False,
            callbacks=list(callbacks),
            verbose=verbose,
        )
    exact = _build_exact(recipe)
    exact.set_weights(model.get_weights())
    return exact


def load_config(run: Path, config_class):
    """The config of a run folder, as an instance of the class that its recipe has."""
    fields = _read_json(run / "config.json")
    fields.pop("model", None)
    return config_class(**fields)


def load_history(run: Path) -> pd.DataFrame:
    """One row for each epoch of a run: loss, metrics, the same with `val_`, learning rate."""
    return pd.read_csv(Path(run) / "history.csv")


def _describe(recipe):
    return {"model": recipe.name, **asdict(recipe.config)}


def _check(run, recipe, resume):
    if run.exists() and not resume:
        raise FileExistsError(
            f"The run {run} exists. Choose another name, resume it, or delete its folder."
        )
    wanted = _describe(recipe)
    if (run / "config.json").is_file() and wanted | _read_json(run / "config.json") != wanted:
        raise ValueError(
            f"The run {run} was begun with another config (see its config.json). "
            "Choose another name, or delete its folder."
        )


def _begin(run, recipe) -> Path:
    """Makes the folder: only when all that could be wrong with the config has had its chance.

    Returns:
        Where this process writes. Of several that train together, all do the same, as they wait for
        each other whenever something is computed; what others than the first write is thrown away.
    """
    if not devices.is_first():
        return Path(tempfile.mkdtemp())
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "config.json").is_file():  # its time says when the run began
        _write_json(run / "config.json", _describe(recipe))
    return run


def _train_model(recipe, run, verbose) -> dict:
    with devices.scope():
        history = _fit_epochs(recipe, run, verbose)
    if not devices.is_first():
        return {}
    exported = _build_exact(recipe)
    exported.load_weights(run / "best.weights.h5")
    recipe.export(exported, run)
    return {"parameters": exported.count_params(), **_best_scores(history)}


def _fit_epochs(recipe, run, verbose) -> pd.DataFrame:
    config, watched = recipe.config, recipe.watched()
    steps_per_epoch = recipe.batches().steps_per_epoch
    model = prepare(recipe, config.epochs * steps_per_epoch)
    folder = _begin(run, recipe)
    epoch, best = _restore(run, folder, model)
    model.fit(
        devices.Part(recipe.batches(epoch)),
        epochs=config.epochs,
        initial_epoch=epoch,
        steps_per_epoch=steps_per_epoch,
        validation_data=devices.part(devices.fill_up(*watched)),
        validation_batch_size=config.batch_size // devices.process()[1],
        shuffle=False,  # the batches are random already, in an order that resuming relies on
        verbose=verbose if devices.is_first() else 0,
        callbacks=_callbacks(recipe, folder, epoch, best),
    )
    devices.wait()
    if folder != run:
        shutil.rmtree(folder)
    history = load_history(run)
    _check_finite(run, history)
    return history


def _callbacks(recipe, run, epoch, best) -> list:
    """Those of a run from an epoch on; their order matters, see `Checkpoint`."""
    averages = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if recipe.config.ema else []
    alone = devices.process()[1] == 1
    return [
        keras.callbacks.TerminateOnNaN(),
        LearningRate(),
        *averages,
        Checkpoint(run / "checkpoint", run / "best.weights.h5"),
        keras.callbacks.ModelCheckpoint(
            run / "best.weights.h5",
            monitor="val_loss",
            mode="min",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=best,
        ),
        *([SamplePictures(run / "samples", recipe.pictures)] if alone else []),
        keras.callbacks.CSVLogger(run / "history.csv", append=epoch > 0),
        *tensorboard(run / "logs"),
    ]


def _restore(run, folder, model) -> tuple[int, float]:
    """Loads the run's last checkpoint: the number of finished epochs and the best score of these.

    `folder` is where this process writes, see `_begin`.
    """
    checkpoints = Checkpoint.finished(run / "checkpoint")
    if not checkpoints:
        return 0, np.inf
    model.optimizer.build(model.trainable_variables)
    model.load_weights(checkpoints[-1])
    epoch = int(checkpoints[-1].name.split(".")[0])
    history = load_history(run).iloc[:epoch]  # an epoch that was cut short is trained again
    shutil.copy(best_then(checkpoints[-1]), folder / "best.weights.h5")
    _write(folder / "history.csv", history.to_csv(index=False))
    return epoch, history["val_loss"].min()


def _check_finite(run, history):
    if np.isfinite(history["loss"]).all():
        return
    good = run / "best.weights.h5"
    raise FloatingPointError(
        f"The loss was no number in epoch {len(history)}; the run has stopped. "
        + (f"Its last good weights are in {good}. " if good.is_file() else "")
        + "Begin again with a lower learning rate."
    )


def _build_exact(recipe):
    with devices.precision(False):
        return recipe.build()


def _best_scores(history) -> dict:
    best = history.loc[history["val_loss"].idxmin()]
    scores = {key.removeprefix("val_"): best[key] for key in history if key.startswith("val_")}
    return {"epoch": int(best["epoch"]) + 1, **{k: round(v, 4) for k, v in scores.items()}}


def _read_json(path):
    return json.loads(path.read_text())


def _write_json(path, content):
    _write(path, json.dumps(content, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """Writes a file that is whole whenever it is there."""
    scratch = path.with_name(f"{path.name}.writing")
    scratch.write_text(text)
    scratch.replace(path)
