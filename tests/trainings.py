"""What the tests of trainings share: ends that are compared, kills, numbers that are none."""

import os
import signal
import subprocess
import sys
import time

import h5py
import keras
import numpy as np
import pytest

from steglib.training.callbacks import Checkpoint, LearningRate
from steglib.training.run import load_history


def arrays(path):
    """All arrays of an HDF5 file by name."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def last_checkpoint(run):
    return Checkpoint.finished(run / "checkpoint")[-1]


def finished_epochs(run):
    return max((int(file.name[:5]) for file in Checkpoint.finished(run / "checkpoint")), default=0)


def assert_same_end(run, whole):
    """Weights, averages, moments, count of updates, history, best weights: all are the same."""
    history, expected = load_history(run), load_history(whole)
    assert history["epoch"].tolist() == expected["epoch"].tolist()
    assert np.allclose(history, expected, rtol=1e-4)
    assert any("optimizer" in name for name in arrays(last_checkpoint(run)))
    for pair in (
        (last_checkpoint(run), last_checkpoint(whole)),
        (run / "best.weights.h5", whole / "best.weights.h5"),
    ):
        got, wanted = map(arrays, pair)
        assert got.keys() == wanted.keys()
        for name in wanted:
            assert np.allclose(got[name], wanted[name], rtol=1e-3, atol=1e-5), name


class Killed(BaseException):
    pass


def kill_in_process(monkeypatch, epoch, batch):
    """Ends the process, so to speak, in the middle of an epoch."""

    def on_epoch_begin(callback, index, logs=None):
        callback.epoch = index

    def on_train_batch_end(callback, index, logs=None):
        if (callback.epoch, index) == (epoch, batch):
            raise Killed

    monkeypatch.setattr(LearningRate, "on_epoch_begin", on_epoch_begin, raising=False)
    monkeypatch.setattr(LearningRate, "on_train_batch_end", on_train_batch_end, raising=False)


def run_and_kill(arguments, moment, **environment):
    """Runs `steglib ARGUMENTS`, and kills it with -9 as soon as `moment()` is true."""
    process = subprocess.Popen(
        [sys.executable, "-m", "steglib", *arguments],
        env={**os.environ, **environment},
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not moment():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail("It ended before its moment came, or took too long.")
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Poisoned(keras.utils.PyDataset):
    """Batches of which none is a number, from some batch on."""

    def __init__(self, batches, first):
        super().__init__()
        self.batches, self.first = batches, first
        self.steps_per_epoch = batches.steps_per_epoch

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        inputs, target = self.batches[index]
        factor = np.float32("nan" if index >= self.first else 1)
        return keras.tree.map_structure(lambda part: np.float32(part) * factor, inputs), target


def poison(monkeypatch, recipe, epoch):
    """From the second batch of an epoch on, no input is a number."""
    batches = recipe.batches()
    poisoned = Poisoned(batches, epoch * batches.steps_per_epoch + 1)
    monkeypatch.setattr(recipe, "batches", lambda first_epoch=0: poisoned)
