import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from steglib import load_images, load_model, load_pairs, paths
from steglib.evaluation import metrics
from steglib.models import encoder_decoder
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.training import devices
from steglib.training.callbacks import Checkpoint, best_then
from steglib.training.run import load_history, train

SIZE = {"width": 16, "hidden": 8, "encoder_blocks": 1, "decoder_blocks": 1}
TINY = TrainingConfig(images=56, held_out=8, epochs=6, batch_size=8, mixed_precision=False, **SIZE)
OPTIONS = ["--images", "56", "--held-out", "8", "--epochs", "6", "--batch-size", "8"]
OPTIONS += ["--width", "16", "--hidden", "8", "--encoder-blocks", "1", "--decoder-blocks", "1"]
OPTIONS += ["--no-mixed-precision"]


def arrays(path):
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run folder of a complete training, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEGLIB_HOME", str(tmp_path_factory.mktemp("trained")))
        return train(TINY, "tiny", verbose=0)


@pytest.fixture
def run(trained, home):
    """A copy of it, as a run in the home of one test."""
    return Path(shutil.copytree(trained, home / "runs" / "tiny"))


def test_run_folder(run):
    history = load_history(run)
    assert history["epoch"].tolist() == [*range(6)]
    assert {"loss", "val_loss", "val_cover_psnr", "val_reveal_mse"} <= set(history)
    assert len(list((run / "samples").glob("*.png"))) == 6
    assert list((run / "logs").rglob("events*"))
    scores = json.loads((run / "metrics.json").read_text())
    assert scores["epoch"] == history["val_loss"].idxmin() + 1

    # The exported model is what was scored: same PSNR on the same held-out images.
    images = load_images(TINY.data, "train", limit=TINY.images).images
    _, held_out = training.split_images(images, TINY.held_out, TINY.seed)
    covers, secrets = load_pairs(images[held_out], TINY.held_out, TINY.seed)
    hider = load_model(run / "model.keras")
    assert hider.name == "tiny"
    psnr = metrics.psnr(covers, hider.hide(covers, secrets)).mean()
    assert psnr == pytest.approx(scores["cover_psnr"], abs=0.05)


def test_beta_decides_what_training_improves(home):
    fast = {"images": 72, "held_out": 8, "epochs": 8, "batch_size": 8, "learning_rate": 5e-3}
    fast |= {**SIZE, "width": 32, "ema": 0.9, "mixed_precision": False}
    secret_only = load_history(train(TrainingConfig(beta=0.0, **fast), "b0", verbose=0))
    assert secret_only["loss"].iloc[-1] < secret_only["loss"].iloc[0] - 0.1
    cover_first = load_history(train(TrainingConfig(beta=20.0, **fast), "b20", verbose=0))
    assert cover_first["val_cover_psnr"].iloc[-1] > cover_first["val_cover_psnr"].iloc[0] + 0.5
    assert cover_first["val_cover_psnr"].iloc[-1] > secret_only["val_cover_psnr"].iloc[-1] + 0.5


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_killed_and_resumed_run_ends_as_an_uninterrupted_one(home, run_python, backend):
    whole = run_python("-m", "steglib", "train", "--name", "whole", *OPTIONS, KERAS_BACKEND=backend)
    assert whole.returncode == 0, whole.stderr

    command = [sys.executable, "-m", "steglib", "train", "--name", "killed", *OPTIONS]
    run = home / "runs" / "killed"
    process = subprocess.Popen(
        command, env={**os.environ, "KERAS_BACKEND": backend}, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not any(int(f.name[:5]) >= 2 for f in Checkpoint.finished(run / "checkpoint")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (run / "metrics.json").exists()
    finished = int(Checkpoint.finished(run / "checkpoint")[-1].name[:5])
    assert 2 <= finished < 6

    resumed = run_python(
        "-m", "steglib", "train", "--name", "killed", "--resume", KERAS_BACKEND=backend
    )
    assert resumed.returncode == 0, resumed.stderr
    assert f"Epoch {finished + 1}/6" in resumed.stdout
    assert f"Epoch {finished}/6" not in resumed.stdout

    expected, history = load_history(home / "runs" / "whole"), load_history(run)
    assert history["epoch"].tolist() == [*range(6)]
    for column in expected:
        assert history[column].to_numpy() == pytest.approx(expected[column].to_numpy(), rel=1e-4)
    # Weights, averages, moments, step count: everything that the last checkpoint holds.
    wanted = arrays(Checkpoint.finished(home / "runs" / "whole" / "checkpoint")[-1])
    got = arrays(Checkpoint.finished(run / "checkpoint")[-1])
    assert wanted.keys() == got.keys() and any("optimizer" in name for name in wanted)
    for name in wanted:
        assert np.allclose(got[name], wanted[name], rtol=1e-3, atol=1e-5), name
    best, best_2 = (arrays(home / "runs" / n / "best.weights.h5") for n in ("whole", "killed"))
    assert all(np.allclose(best_2[name], best[name], rtol=1e-3, atol=1e-5) for name in best)


def test_resuming_keeps_the_best_score(run):
    """A best score that was forgotten would be replaced by whatever comes next."""
    history = load_history(run)
    (run / "metrics.json").unlink()
    checkpoint = Checkpoint.finished(run / "checkpoint")[-1]
    best = best_then(checkpoint).read_bytes()
    history.loc[2, "val_loss"] = -1000.0  # no epoch can beat it
    history.to_csv(run / "history.csv", index=False)
    train(TINY, "tiny", resume=True, verbose=0)  # the last epoch again
    assert (run / "best.weights.h5").read_bytes() == best
    assert json.loads((run / "metrics.json").read_text())["epoch"] == 3


def test_nothing_is_overwritten(run):
    before = (run / "history.csv").read_bytes()
    with pytest.raises(FileExistsError, match="tiny"):
        train(TINY, "tiny", verbose=0)
    with pytest.raises(ValueError, match="another config"):
        train(TrainingConfig(), "tiny", resume=True, verbose=0)
    train(TINY, "tiny", resume=True, verbose=0)  # complete: nothing to do
    assert (run / "history.csv").read_bytes() == before


def poison(monkeypatch, epoch):
    """From the third step of `epoch` on, no loss is a number."""

    class Poisoned(training.PairBatches):
        def __getitem__(self, index):
            inputs, target = super().__getitem__(index)
            if self.first + index >= epoch * self.steps_per_epoch + 2:
                target = target * np.float32("nan")
            return inputs, target.astype(np.float32)

    monkeypatch.setattr(training, "PairBatches", Poisoned)


def test_nan_in_the_first_epoch_leaves_no_weights(home, monkeypatch):
    poison(monkeypatch, epoch=0)
    with pytest.raises(FloatingPointError, match=r"epoch 1; the run has stopped\. Begin again"):
        train(TINY, "nan", verbose=0)
    assert not (paths.runs_dir() / "nan" / "best.weights.h5").exists()


def test_nan_stops_the_run_and_keeps_the_last_good_weights(home, monkeypatch):
    poison(monkeypatch, epoch=3)
    with pytest.raises(FloatingPointError, match=r"epoch 4.*best\.weights\.h5.*lower learning"):
        train(TINY, "nan", verbose=0)
    run = paths.runs_dir() / "nan"
    assert not (run / "metrics.json").exists()
    for good in (run / "best.weights.h5", Checkpoint.finished(run / "checkpoint")[-1]):
        assert all(np.isfinite(values).all() for values in arrays(good).values())


def test_cosine_schedule():
    rates = learning_rates(TrainingConfig(learning_rate=0.01, warmup=0.1), 1000)
    values = [float(rates(step)) for step in (0, 50, 100, 550, 1000)]
    assert values == pytest.approx([0, 0.005, 0.01, 0.005, 0], abs=1e-6)


def test_step_schedule_of_the_original_notebook():
    rates = learning_rates(TrainingConfig(learning_rate=0.001, schedule="steps"), 1000)
    values = [float(rates(step)) for step in (0, 199, 201, 399, 401, 599, 601, 999)]
    assert values == pytest.approx([1e-3, 1e-3, 3e-4, 3e-4, 1e-4, 1e-4, 3e-5, 3e-5])
    with pytest.raises(ValueError, match="schedule"):
        learning_rates(TrainingConfig(schedule="linear"), 10)


def test_failed_start_leaves_the_name_free(home):
    for wrong in ({"data": "/nowhere"}, {"schedule": "linear"}, {"held_out": 1000}):
        with pytest.raises((FileNotFoundError, ValueError)):
            train(replace(TINY, **wrong), "typo", verbose=0)
    assert not (home / "runs" / "typo").exists()


def test_half_written_best_weights_are_restored(run):
    """Keras writes them in place: a kill at that moment leaves a broken file."""
    expected = (run / "metrics.json").read_bytes()
    (run / "metrics.json").unlink()
    (run / "best.weights.h5").write_bytes(b"half")
    train(TINY, "tiny", resume=True, verbose=0)
    assert (run / "metrics.json").read_bytes() == expected
    assert load_model(run / "model.keras").name == "tiny"


def test_float16_trains_with_a_scaled_loss(home, monkeypatch):
    """What a GPU without bfloat16 uses."""
    monkeypatch.setattr(training, "dtype_policy", lambda _: "mixed_float16")
    run = train(replace(TINY, epochs=2), "half", verbose=0)
    assert np.isfinite(load_history(run)["val_loss"]).all()
    assert keras.config.dtype_policy().name == "float32"


def test_mixed_precision_leaves_sums_and_the_export_in_float32(home):
    config = TrainingConfig(images=24, held_out=8, epochs=1, batch_size=8, mixed_precision=True)
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = training.build(config)
    keras.config.set_dtype_policy("float32")
    encoder = model.get_layer("encoder")
    assert encoder.get_layer("encoder_0_3x3").compute_dtype == "bfloat16"
    for name in ("components", "encoder_0_sum", "encoder_1_sum", "to_pixels", "fit_range", "stego"):
        assert encoder.get_layer(name).compute_dtype == "float32", name
    exported = load_model(train(config, "mixed", verbose=0) / "model.keras")
    assert exported.encoder.get_layer("encoder_0_3x3").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
