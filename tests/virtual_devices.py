"""Trains small models on one and on two virtual devices of this CPU.

    KERAS_BACKEND=jax python tests/virtual_devices.py losses plain classic robust residue
    KERAS_BACKEND=jax python tests/virtual_devices.py float16 plain
    KERAS_BACKEND=jax python tests/virtual_devices.py resume FOLDER

`losses` prints those of twenty updates as a table, a pair of columns for each recipe; `float16`
does so as on a T4. `resume` makes runs in a folder: on one device, on two, and begun on one and
finished on two; all are killed half way. The number of held-out images is odd.
"""

import contextlib
import os
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from trainings import Killed, kill_in_process

from steglib import load_images
from steglib.codec.learning import CodecConfig, CodecRecipe
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.models.plain import PlainConfig, PlainRecipe
from steglib.models.robust import RobustConfig, RobustRecipe
from steglib.training import devices
from steglib.training.run import fit, train

NETWORKS = {"width": 16, "hidden": 8, "encoder_blocks": 1, "decoder_blocks": 1}
RECIPES = {
    "plain": (PlainRecipe, PlainConfig, NETWORKS),
    "classic": (ClassicRecipe, ClassicConfig, NETWORKS),
    "robust": (RobustRecipe, RobustConfig, NETWORKS),
    "residue": (CodecRecipe, CodecConfig, {"updates": 20}),
}
OPTIONS = {"batch_size": 8, "ema": 0.9, "mixed_precision": False}


def split_cpu() -> None:
    """Two devices; before the backend has looked at the CPU."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_num_cpu_devices", 2)
    else:
        import tensorflow as tf

        parts = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)


@contextlib.contextmanager
def on(number: int):
    """Hides the second device, or none."""
    names = devices._names()[:number]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(devices, "_names", lambda: names)
        yield monkeypatch


def small_recipe(name: str, epochs: int, **changes):
    recipe, config, size = RECIPES[name]
    images = load_images("sample", "train", limit=64).images
    return recipe(config(epochs=epochs, **OPTIONS | size | changes), images)


def losses(name: str) -> np.ndarray:
    """Of each of twenty updates."""
    sums = [0.0]
    log = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda update, logs: sums.append((update + 1) * logs["loss"])
    )
    fit(small_recipe(name, epochs=20), 20, [log])
    return np.diff(sums)


def print_losses(*names: str) -> None:
    table = {}
    for name in names:
        for number in (1, 2):
            with on(number):
                table[f"{name}, {number}"] = losses(name)
    print(pd.DataFrame(table).round(4).to_csv(index=False))


def resume(folder) -> None:
    os.environ["STEGLIB_HOME"] = folder
    config = PlainConfig(images=40, held_out=7, epochs=3, **OPTIONS | NETWORKS)
    for name, begun_on, ended_on in (("one", 1, 1), ("two", 2, 2), ("mixed", 1, 2)):
        with on(begun_on) as monkeypatch, contextlib.suppress(Killed):
            kill_in_process(monkeypatch, 1, 1)
            train(PlainRecipe(config), name, verbose=0)
        with on(ended_on):
            train(PlainRecipe(config), name, resume=True, verbose=0)


if __name__ == "__main__":
    split_cpu()
    command, *words = sys.argv[1:]
    if command == "float16":
        devices.dtype_policy = lambda mixed: "mixed_float16"
    (resume if command == "resume" else print_losses)(*words)
