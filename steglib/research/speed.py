"""How fast hiders hide and reveal, and in how much memory."""

import itertools
import multiprocessing
import os
import platform
import re
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import pandas as pd

from steglib import zoo
from steglib.hider import Hider
from steglib.images.pairs import PairBatches
from steglib.research.photographs import collage
from steglib.research.race import original_network
from steglib.training.run import fit

LARGE = (3000, 4000)  # height and width: 12 megapixels
ORIGINAL = "original"


def models() -> list[str]:
    """Names of what is measured: the trained models of the zoo, and the original network."""
    return [*(name for name, entry in zoo.MODELS.items() if entry.weights), ORIGINAL]


def load(name: str) -> Hider:
    """One of `models`."""
    return original_network() if name == ORIGINAL else zoo.load_model(name)


def throughput(hiders, covers, secrets, repeats: int = 5) -> pd.DataFrame:
    """Images that hiders hide and reveal in a second, in turn in one process.

    Args:
        hiders: any number of them, of different names.
        covers, secrets: uint8 [n, h, w, 3], for one call.
        repeats: of every call, after one to warm up; the median counts.

    Returns:
        One row for each hider: `hide` and `reveal`.
    """
    seconds = []
    for _ in range(repeats + 1):
        for hider in hiders:
            hide, stegos = _timed(hider.hide, covers, secrets)
            reveal, _ = _timed(hider.reveal, stegos)
            seconds.append({"model": hider.name, "hide": hide, "reveal": reveal})
    warm = pd.DataFrame(seconds[len(hiders) :])
    return len(covers) / warm.groupby("model", sort=False).median()


def _timed(function, *arguments):
    begin = perf_counter()
    result = function(*arguments)
    return perf_counter() - begin, result


def throughput_large(names, size=LARGE) -> pd.DataFrame:
    """Speed and memory for one large picture, each measured in a fresh process.

    Args:
        names: of `models`.
        size: height and width.

    Returns:
        One row for each model and direction: `megapixels` a second, the first call being all,
        and `gibibytes`, the peak of the process's memory.
    """
    fresh, rows = multiprocessing.get_context("spawn"), {}
    with tempfile.TemporaryDirectory() as folder:
        for row in itertools.product(names, ("hide", "reveal")):
            with ProcessPoolExecutor(1, fresh) as process:
                rows[row] = process.submit(_measure, *row, size, folder).result()
    return pd.DataFrame.from_dict(rows, "index", columns=["megapixels", "gibibytes"])


def _measure(name, direction, size, folder):
    hider, file = load(name), Path(folder) / f"{name}.npy"
    if direction == "hide":
        seconds, stego = _timed(hider.hide, collage(size, 0), collage(size, 1))
        np.save(file, stego)
    else:
        seconds, _ = _timed(hider.reveal, np.load(file))
    return size[0] * size[1] / 1e6 / seconds, _peak_memory() / 2**30


def _peak_memory():
    """Bytes. On Linux, getrusage begins with the peak of the parent process."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def pipeline(images, batch_size: int = 32, updates: int = 40) -> pd.Series:
    """Pairs a second: of the batches alone, and of trainings that they feed.

    Args:
        images: uint8 [n, h, w, 3] to make pairs of.
        batch_size: pairs in a batch.
        updates: of each training; the second half of them is timed.
    """
    batches = PairBatches(images, batch_size, epochs=10**6)
    seconds, _ = _timed(lambda: [batches[i] for i in range(10 * updates)])
    rates = {"the batches alone": 10 * updates * batch_size / seconds}
    for name in ("plain", "classic"):
        ends = []
        clock = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda update, logs, ends=ends: ends.append(perf_counter())
        )
        recipe = zoo.load_recipe(name)
        config = recipe.config_class(batch_size=batch_size, epochs=10**6)
        fit(recipe(config, images), updates, [clock])
        timed = ends[updates // 2 :]
        rates[f"training {name}"] = (len(timed) - 1) * batch_size / (timed[-1] - timed[0])
    return pd.Series(rates, name="pairs a second")


def machine() -> str:
    """What a speed depends on, in one line."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"Keras {keras.__version__} on {keras.backend.backend()}, NumPy {np.__version__}"
    )
