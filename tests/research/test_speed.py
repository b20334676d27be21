import functools
import itertools
import re

import keras
import numpy as np
import pandas as pd
import pytest

from steglib import zoo
from steglib.__main__ import main
from steglib.hider import Hider
from steglib.research import speed
from steglib.research.photographs import collage


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    now = {"seconds": 1000.0}
    monkeypatch.setattr(speed, "perf_counter", lambda: now["seconds"])
    return now


def test_a_new_trained_model_is_measured_too(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "MODELS", zoo.MODELS.copy())
    toy = Hider()
    zoo.register("toy", zoo.Entry("a toy", lambda weights: toy, weights=tmp_path / "toy.npz"))
    assert speed.models() == ["residue", "classic", "plain", "robust", "toy", "original"]
    assert speed.load("toy") is toy


def test_a_large_picture_is_hidden_then_revealed(tmp_path, monkeypatch):
    speed._measure("lsb", "hide", (64, 96), tmp_path)
    stego = np.load(tmp_path / "lsb.npy")
    wanted = zoo.load_model("lsb").hide(collage((64, 96), 0), collage((64, 96), 1))
    assert np.array_equal(stego, wanted)
    monkeypatch.setattr(speed, "perf_counter", itertools.count(step=3).__next__)
    megapixels, gibibytes = speed._measure("lsb", "reveal", (64, 96), tmp_path)
    assert megapixels == 64 * 96 / 1e6 / 3 and gibibytes > 0.05


@pytest.mark.slow
def test_large_pictures_are_measured_in_fresh_processes():
    fat = np.ones(2**30, np.uint8)
    table = speed.throughput_large(["classic"], size=(64, 96))
    assert table.index.tolist() == [("classic", "hide"), ("classic", "reveal")]
    assert (table["megapixels"] > 0).all()
    assert table["gibibytes"].between(0.1, speed._peak_memory() / fat.size - 0.5).all()


def test_benchmark_prints_a_row_for_each_model(capsys, monkeypatch):
    large = pd.DataFrame({"megapixels": [1.234]}, [("classic", "hide")])
    monkeypatch.setattr(speed, "throughput_large", lambda names: large)
    assert main(["benchmark", "--images", "2", "--large"]) == 0
    printed = capsys.readouterr().out
    assert speed.machine() in printed and keras.__version__ in printed
    assert "4000×3000" in printed and "1.23" in printed
    for model in ("residue, 50 dB", "classic", "original"):
        hide, reveal = re.search(rf"^{model} +([0-9.]+) +([0-9.]+)$", printed, re.M).groups()
        assert float(hide) > 0 and float(reveal) > 0


def test_throughput_is_the_median_of_warm_calls(clock):
    class Slow(Hider):
        """Hides in 1 minute and reveals in 2; the first time, and later once, in an hour more."""

        def __init__(self, name):
            self.name, self.calls = name, 0

        def _hide(self, covers, secrets):
            self.calls += 1
            clock["seconds"] += 60 + 3600 * (self.calls in (1, 3))
            order.append(self.name)
            return covers

        def _reveal(self, stegos):
            clock["seconds"] += 120 + 3600 * (self.calls in (1, 3))
            return stegos

    order, images = [], np.zeros((30, 8, 8, 3), np.uint8)
    table = speed.throughput([Slow("a"), Slow("b")], images, images, repeats=3)
    assert table.loc["b"].to_dict() == {"hide": 0.5, "reveal": 0.25}
    assert order == ["a", "b"] * 4


@pytest.mark.slow
def test_batches_are_timed_alone_and_in_trainings(capsys, monkeypatch):
    short = functools.partial(speed.pipeline, batch_size=2, updates=6)
    monkeypatch.setattr(speed, "pipeline", short)
    assert main(["benchmark", "--pipeline"]) == 0
    printed = capsys.readouterr().out
    alone, *trainings = [
        float(re.search(rf"{name} +([0-9.]+)$", printed, re.M)[1])
        for name in ("the batches alone", "training plain", "training classic")
    ]
    assert min(trainings) > 0 and max(trainings) < alone
