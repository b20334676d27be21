import contextlib
import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow
from trainings import assert_same_end

from steglib.codec.learning import CodecConfig, CodecRecipe
from steglib.training import devices
from steglib.training.run import train

SCRIPT = Path(__file__).parents[1] / "virtual_devices.py"
BACKENDS = pytest.mark.parametrize("backend", ["tensorflow", "jax"])


@pytest.fixture
def processor(monkeypatch):
    """Sets the flags of the processor, and the compute capability of the GPU."""

    def set_up(flags, capability):
        monkeypatch.setattr(Path, "is_file", lambda path: True)
        monkeypatch.setattr(Path, "read_text", lambda path: f"flags : fpu {flags}")
        monkeypatch.setattr(devices, "_compute_capability", lambda: capability)

    return set_up


@pytest.mark.parametrize(
    "flags, capability, undecided, mixed",
    [
        ("avx2", None, "float32", "mixed_bfloat16"),
        ("avx512_bf16", None, "mixed_bfloat16", "mixed_bfloat16"),
        ("avx512_bf16", 6.1, "float32", "mixed_float16"),  # P100
        ("avx2", 7.5, "mixed_float16", "mixed_float16"),  # T4
        ("avx2", 8.0, "mixed_bfloat16", "mixed_bfloat16"),  # A100
    ],
)
def test_the_policy_follows_the_processor(processor, flags, capability, undecided, mixed):
    processor(flags, capability)
    assert devices.dtype_policy(None) == undecided
    assert devices.dtype_policy(True) == mixed
    assert devices.dtype_policy(False) == "float32"


def test_layers_in_the_context_follow_the_policy_and_no_others():
    usual = keras.config.dtype_policy().name
    with devices.precision(True):
        assert keras.layers.Dense(1).compute_dtype in ("bfloat16", "float16")
    with contextlib.suppress(KeyError), devices.precision(True):
        raise KeyError
    assert keras.config.dtype_policy().name == usual


def test_compute_capability_by_tensorflow(monkeypatch):
    config = tensorflow.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [])
    assert devices._compute_capability() is None
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: ["one", "other"])
    details = {"one": {"compute_capability": (8, 6)}, "other": {}}
    monkeypatch.setattr(config.experimental, "get_device_details", details.get)
    assert devices._compute_capability() == 8.6


@pytest.mark.parametrize("platform, found", [("gpu", 7.5), ("cpu", None)])
def test_compute_capability_by_jax(monkeypatch, platform, found):
    device = SimpleNamespace(platform=platform, compute_capability="7.5")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(devices=lambda: [device]))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert devices._compute_capability() == found


def losses_on_one_and_two(run_python, command, backend, *recipes):
    """[20, recipes, 2]"""
    done = run_python(SCRIPT, command, *recipes, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(io.StringIO(done.stdout)).to_numpy()
    assert np.ptp(table, axis=0).min() > 1  # it moves
    return table.reshape(20, -1, 2)


@pytest.mark.slow
@BACKENDS
@pytest.mark.parametrize("command, tolerance", [("losses", 0.01), ("float16", 0.05)])
def test_two_devices_learn_as_one(run_python, backend, command, tolerance):
    table = losses_on_one_and_two(run_python, command, backend, "plain")
    assert np.allclose(table[..., 0], table[..., 1], atol=tolerance)


@pytest.mark.slow
@BACKENDS
def test_two_devices_learn_as_one_with_every_recipe(run_python, backend):
    """Rounding in shaped rounding and in the codec makes more of tiny differences."""
    recipes = "classic", "robust", "residue"
    table = losses_on_one_and_two(run_python, "losses", backend, *recipes)
    assert np.allclose(table[:3, :, 0], table[:3, :, 1], atol=0.01)
    assert np.allclose(table[..., 0], table[..., 1], atol=0.1)


@pytest.mark.slow
@BACKENDS
def test_a_run_of_one_device_is_finished_on_two(run_python, tmp_path, backend):
    done = run_python(SCRIPT, "resume", tmp_path, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    one, two, mixed = (tmp_path / "runs" / name for name in ("one", "two", "mixed"))
    assert_same_end(two, one)
    assert_same_end(mixed, one)


@pytest.mark.slow
def test_two_processes_learn_as_one(tmp_path):
    """On JAX, over the network of this machine, with a held-out image that has no partner."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "steglib", "train", "plain", "--no-mixed-precision"]
    command += ["--images", "40", "--held-out", "7", "--batch-size", "8", "--epochs", "2"]
    command += ["--width", "16", "--hidden", "8"]
    shared = {**os.environ, "KERAS_BACKEND": "jax", "STEGLIB_HOME": str(tmp_path)}
    subprocess.run([*command, "--name", "alone"], env=shared, check=True)
    shared |= {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    }
    together = [
        subprocess.Popen(
            [*command, "--name", "shared"], env={**shared, "KERAS_DISTRIBUTION_PROCESS_ID": i}
        )
        for i in "01"
    ]
    assert [process.wait(300) for process in together] == [0, 0]
    assert_same_end(tmp_path / "runs" / "shared", tmp_path / "runs" / "alone")
    assert (tmp_path / "runs" / "shared" / "model.keras").is_file()


def test_batches_that_devices_cannot_share_are_refused(monkeypatch):
    monkeypatch.setattr(devices, "_names", lambda: ("one", "two", "three"))
    devices.check(9)
    with pytest.raises(ValueError, match=r"batch_size must be a multiple of 3, .* not 16"):
        devices.check(16)


def test_a_refused_batch_size_leaves_no_run_behind(monkeypatch, home):
    monkeypatch.setattr(devices, "_names", lambda: ("one", "two"))
    with pytest.raises(ValueError, match="batch_size must be a multiple of 2"):
        train(CodecRecipe(CodecConfig(batch_size=5)), "odd")
    assert not (home / "runs" / "odd").exists()


def test_examples_are_repeated_without_a_weight_until_devices_can_share_them(monkeypatch):
    monkeypatch.setattr(devices, "_names", lambda: ("one", "two", "three"))
    inputs, target, weights = devices.fill_up(
        (np.arange(4), np.arange(8).reshape(4, 2)), np.arange(4)
    )
    assert inputs[0].tolist() == target.tolist() == [0, 1, 2, 3, 3, 3]
    assert inputs[1][3:].tolist() == [[6, 7]] * 3
    assert weights.tolist() == [1.5, 1.5, 1.5, 1.5, 0, 0]
    assert np.mean(weights * target) == 1.5  # of 0, 1, 2, 3
    assert len(devices.fill_up(np.arange(6), np.arange(6))) == 2


def test_several_processes_are_refused_where_they_would_not_meet(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    with pytest.raises(ValueError, match="on JAX only"):
        devices._join_cluster()


def test_a_notebook_says_what_it_runs_on_and_how_to_get_more(monkeypatch, tmp_path):
    assert "no GPU" in devices.describe() and "tensorflow" in devices.describe()
    monkeypatch.setenv("STEGLIB_KAGGLE", str(tmp_path))
    assert "Accelerator → GPU T4 ×2" in devices.describe()
    monkeypatch.delenv("STEGLIB_KAGGLE")
    monkeypatch.setitem(sys.modules, "google.colab", None)
    assert "Change runtime type" in devices.describe()
    monkeypatch.setattr(devices, "_compute_capability", lambda: 7.5)
    monkeypatch.setattr(devices, "_names", lambda: ("one", "two"))
    assert "mixed_float16, GPUs: 2." in devices.describe()
