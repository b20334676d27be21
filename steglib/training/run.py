"""Trains the classic model: schedule, callbacks, run folder, resume."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from steglib import paths
from steglib.images.datasets import load_images
from steglib.images.pairs import PairBatches, load_pairs, split_images
from steglib.models import classic, losses
from steglib.training.config import TrainingConfig, load_config

SCHEDULES = ("cosine", "steps")


def learning_rates(config: TrainingConfig, steps: int):
    """The Keras schedule of a training with `steps` steps in all.

    Raises:
        ValueError: `config.schedule` is neither "cosine" nor "steps".
    """
    if config.schedule == "cosine":
        warmup = max(1, round(config.warmup * steps))
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=config.learning_rate,
            warmup_steps=warmup,
            decay_steps=max(1, steps - warmup),
        )
    if config.schedule == "steps":
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            [round(part * steps) for part in (0.2, 0.4, 0.6)],
            [config.learning_rate * factor for factor in (1.0, 0.3, 0.1, 0.03)],
        )
    raise ValueError(f"schedule must be one of {SCHEDULES}, not {config.schedule!r}.")


def dtype_policy(mixed_precision: bool | None) -> str:
    """Keras's dtype policy for the networks on this machine."""
    gpu = _compute_capability()
    if mixed_precision is None:
        flags = Path("/proc/cpuinfo")
        on_cpu = flags.is_file() and "avx512_bf16" in flags.read_text()
        mixed_precision = on_cpu if gpu is None else gpu >= 7.0
    if not mixed_precision:
        return "float32"
    return "mixed_bfloat16" if gpu is None or gpu >= 8.0 else "mixed_float16"


def _compute_capability() -> float | None:
    """CUDA compute capability of the first GPU, None without one."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return float(device.compute_capability) if device.platform == "gpu" else None
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            details = tf.config.experimental.get_device_details(gpus[0])
            major, minor = details.get("compute_capability", (7, 0))
            return major + minor / 10
    return None


def build(config: TrainingConfig, images=None):
    """The joined model of a run, begun as linear hiding if `images` are given."""
    size = {"width": config.width, "hidden": config.hidden}
    encoder = classic.build_encoder(config.carried, blocks=config.encoder_blocks, **size)
    decoder = classic.build_decoder(blocks=config.decoder_blocks, **size)
    if images is not None:
        classic.start_linear(encoder, decoder, images, config.carried, config.strength)
    return classic.join(encoder, decoder)


def compile_model(model, config: TrainingConfig, steps: int) -> None:
    """Gives `model` its optimizer, the full loss and the metrics to watch."""
    optimizer = keras.optimizers.AdamW(
        learning_rates(config, steps),
        weight_decay=1e-4,
        global_clipnorm=config.clip_norm,
        use_ema=True,
        ema_momentum=config.ema,
    )
    metrics = [losses.reveal_mse, losses.cover_mse, losses.secret_psnr, losses.cover_psnr]
    model.compile(optimizer, losses.FullLoss(config.beta, config.loss), metrics=metrics)


class Checkpoint(keras.callbacks.Callback):
    """Keeps the whole state between two epochs in `folder`, whenever the run is killed.

    It saves as an epoch begins, when all that the other callbacks wrote for the one before is
    complete and `SwapEMAWeights` (which comes before it) has put the trained weights back. The
    number of finished epochs is in the file's name, and a file appears only when complete.

    Args:
        folder: for the checkpoints.
        best: the best weights so far, which are copied along: whoever writes that file may be
            killed in the middle of it.
    """

    def __init__(self, folder: Path, best: Path):
        super().__init__()
        self.folder, self.best = folder, best

    def on_epoch_begin(self, epoch, logs=None):
        self.folder.mkdir(exist_ok=True)
        if self.best.is_file():
            shutil.copy(self.best, self.folder / f"{epoch:05d}.best.h5")
        scratch = self.folder / "writing.weights.h5"
        self.model.save_weights(scratch, overwrite=True)
        scratch.replace(self.folder / f"{epoch:05d}.weights.h5")
        for older in self.finished(self.folder)[:-1]:
            older.unlink()
            best_then(older).unlink(missing_ok=True)

    @staticmethod
    def finished(folder: Path) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(folder.glob("[0-9]*.weights.h5"))


def best_then(checkpoint: Path) -> Path:
    """The best weights at the time of a checkpoint; no file before the first epoch."""
    return checkpoint.with_name(checkpoint.name.replace(".weights.", ".best."))


class SamplePictures(keras.callbacks.Callback):
    """Saves a picture of cover, secret, stego and revealed after each epoch."""

    def __init__(self, folder: Path, covers, secrets):
        super().__init__()
        self.folder, self.covers, self.secrets = folder, covers, secrets

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite(logs["loss"]):
            return
        self.folder.mkdir(exist_ok=True)
        both = self.model.predict_on_batch([self.covers, self.secrets])
        both = np.clip(np.rint(both), 0, 255).astype(np.uint8)
        columns = [self.covers, self.secrets, both[..., :3], both[..., 3:]]
        rows = np.concatenate(columns, axis=2).reshape(-1, 4 * self.covers.shape[2], 3)
        keras.utils.save_img(self.folder / f"epoch-{epoch + 1:04d}.png", rows, scale=False)


class LearningRate(keras.callbacks.Callback):
    """Puts the learning rate into the logs, for the callbacks after it."""

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def train(config: TrainingConfig, name: str, *, resume: bool = False, verbose=2) -> Path:
    """Trains a model into the run folder `runs/<name>/` and returns that folder.

    It holds `config.json`, `history.csv`, `checkpoint/`, `best.weights.h5`, `logs/` for
    TensorBoard, `samples/`, and at the end `model.keras` (the best averaged weights, float32)
    and `metrics.json` (its scores on the held-out part of the training images).

    Args:
        config: what to train.
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
    _check(run, config, resume)
    if (run / "metrics.json").is_file():
        print(f"The run {run} is complete.")
        return run

    keras.utils.set_random_seed(config.seed)
    usual = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(dtype_policy(config.mixed_precision))
        history = _fit(run, config, verbose)
        keras.config.set_dtype_policy("float32")
        _export(run, config, history)
    finally:
        keras.config.set_dtype_policy(usual)
    return run


def _check(run: Path, config: TrainingConfig, resume: bool) -> None:
    if run.exists() and not resume:
        raise FileExistsError(
            f"The run {run} exists. Choose another name, resume it, or delete its folder."
        )
    if (run / "config.json").is_file() and load_config(run) != config:
        raise ValueError(
            f"The run {run} was begun with another config (see its config.json). "
            "Choose another name, or delete its folder."
        )


def load_history(run: Path) -> pd.DataFrame:
    """One row for each epoch of a run: loss, its parts, PSNRs, the same with `val_`, and rate."""
    return pd.read_csv(Path(run) / "history.csv")


def _fit(run: Path, config: TrainingConfig, verbose) -> pd.DataFrame:
    images = load_images(config.data, "train", limit=config.images).images
    training, held_out = split_images(images, config.held_out, config.seed)
    covers, secrets = load_pairs(images[held_out], len(held_out), config.seed)
    model = build(config, images[training])
    compile_model(model, config, config.epochs * (len(training) // config.batch_size))

    epoch, best = _restore(run, model)
    batches = PairBatches(images, config.batch_size, training, config.epochs, epoch, config.seed)
    # Only now, when all that could be wrong with the config has had its chance.
    run.mkdir(parents=True, exist_ok=True)
    _write(run / "config.json", json.dumps(asdict(config), indent=2) + "\n")
    model.fit(
        batches,
        epochs=config.epochs,
        initial_epoch=epoch,
        steps_per_epoch=batches.steps_per_epoch,
        validation_data=((covers, secrets), np.concatenate([covers, secrets], axis=-1)),
        validation_batch_size=config.batch_size,
        shuffle=False,  # the batches are random already, in an order that resuming relies on
        verbose=verbose,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            LearningRate(),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            Checkpoint(run / "checkpoint", run / "best.weights.h5"),
            keras.callbacks.ModelCheckpoint(
                run / "best.weights.h5",
                monitor="val_loss",
                mode="min",
                save_best_only=True,
                save_weights_only=True,
                initial_value_threshold=best,
            ),
            SamplePictures(run / "samples", covers[:8], secrets[:8]),
            keras.callbacks.CSVLogger(run / "history.csv", append=epoch > 0),
            keras.callbacks.TensorBoard(run / "logs"),
        ],
    )
    history = load_history(run)
    if not np.isfinite(history["loss"]).all():
        good = run / "best.weights.h5"
        raise FloatingPointError(
            f"The loss was no number in epoch {len(history)}; the run has stopped. "
            + (f"Its last good weights are in {good}. " if good.is_file() else "")
            + "Begin again with a lower learning rate."
        )
    return history


def _restore(run: Path, model) -> tuple[int, float]:
    """Loads the last checkpoint: the number of finished epochs and the best score of these."""
    checkpoints = Checkpoint.finished(run / "checkpoint")
    if not checkpoints:
        return 0, np.inf
    model.optimizer.build(model.trainable_variables)
    model.load_weights(checkpoints[-1])
    epoch = int(checkpoints[-1].name.split(".")[0])
    if epoch == 0:
        return 0, np.inf
    shutil.copy(best_then(checkpoints[-1]), run / "best.weights.h5")
    history = load_history(run).iloc[:epoch]  # an epoch that was cut short is trained again
    _write(run / "history.csv", history.to_csv(index=False))
    return epoch, history["val_loss"].min()


def _export(run: Path, config: TrainingConfig, history: pd.DataFrame) -> None:
    model = build(config)
    model.load_weights(run / "best.weights.h5")
    classic.save(model, run / "model.keras")
    best = history.loc[history["val_loss"].idxmin()]
    scores = {key.removeprefix("val_"): best[key] for key in history if key.startswith("val_")}
    metrics = {"epoch": int(best["epoch"]) + 1, **{k: round(v, 4) for k, v in scores.items()}}
    _write(run / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """Writes a file that is whole whenever it is there."""
    scratch = path.with_name(f"{path.name}.writing")
    scratch.write_text(text)
    scratch.replace(path)
