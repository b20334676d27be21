import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
import tensorflow

from steglib.training import devices


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
