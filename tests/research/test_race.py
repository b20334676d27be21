import itertools

import keras
import numpy as np
import pandas as pd
import pytest

from steglib import LSB, load_images, load_model
from steglib.evaluation import metrics
from steglib.research import race
from steglib.research.race import Stopwatch, original_network, train_original


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    now = {"seconds": 1000.0}
    monkeypatch.setattr(race, "perf_counter", lambda: now["seconds"])
    return now


class Ticks(keras.callbacks.Callback):
    """Lets every batch take 30 seconds."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.batches = clock, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.clock["seconds"] += 30
        self.batches += 1


def pass_on(model, gain):
    """Lets each stage pass on the first three channels that it gets, and multiplies the last."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = map(np.zeros_like, layer.get_weights())
            if layer.filters in (50, 3):
                kernel[1, 1, range(3), range(3)] = gain if layer.filters == 3 else 1
            layer.set_weights([kernel, bias])


def test_the_original_network_is_that_of_the_notebook(pairs):
    original = original_network()
    assert original.encoder.count_params() == 293_273
    assert original.decoder.count_params() == 155_938
    gain = np.sqrt(3)
    pass_on(original.encoder, gain)
    pass_on(original.decoder, 1 / gain)
    covers, secrets = pairs[0][:2, :20, :13], pairs[1][:2, :20, :13]
    stegos = original.hide(covers, secrets)
    assert stegos.dtype == np.uint8
    assert np.array_equal(stegos, np.minimum(np.rint(covers * gain), 255))
    revealed = original.reveal(stegos)
    assert revealed.dtype == np.uint8
    assert np.array_equal(revealed, np.rint(stegos / gain))
    grey = np.full((1, 64, 64, 3), 128.0)
    noisy = keras.ops.convert_to_numpy(original.decoder(grey, training=True))
    assert (noisy * gain - grey).std() == pytest.approx(0.01 * 255, rel=0.1)


def test_the_original_loss_is_the_sum_over_all_pixels(pairs):
    both = np.concatenate(pairs, axis=-1).astype(np.float32)
    assert float(race.original_loss(both, both + 51)) == pytest.approx(0.04 * both.size, rel=1e-5)


def fit(stopwatch, clock, **adam):
    """Trains y = w·x by a model of one weight that begins at 0; returns it and the batches."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.zeros((1, 1))])
    model.compile(keras.optimizers.Adam(0.1, **adam), "mse")
    ticks = Ticks(clock)
    x = np.ones((64, 1), np.float32)
    model.fit(x, x, batch_size=1, verbose=0, callbacks=[ticks, stopwatch])
    return model, ticks.batches


def test_the_stopwatch_stands_still_while_it_scores_and_stops_the_training(clock):
    def score():
        clock["seconds"] += 3600
        return {"psnr": 20 + clock["seconds"]}

    stopwatch = Stopwatch([0.4, 0.9, 1.0, 3.6], score)
    _, batches = fit(stopwatch, clock)
    assert [row["minutes"] for row in stopwatch.record] == [0.5, 1.0, 4.0]
    assert batches == 8
    assert stopwatch.record[0]["psnr"] == 20 + 1000 + 30 + 3600


@pytest.mark.parametrize("averaged", [False, True])
def test_the_stopwatch_scores_averaged_weights_where_there_are(clock, averaged):
    weights = []

    def score():
        weights.append(stopwatch.model.layers[0].get_weights()[0].item())
        return {}

    stopwatch = Stopwatch([1, 2], score)
    adam = {"use_ema": True, "ema_momentum": 0.5} if averaged else {}
    fit(stopwatch, clock, **adam)
    # Adam's steps here are of 0.1: weights 0.1, 0.2, 0.3, 0.4 after the batches.
    expected = [0.15, 0.3125] if averaged else [0.2, 0.4]
    assert weights == pytest.approx(expected, abs=0.01)


@pytest.fixture
def small(pairs, monkeypatch):
    """Arguments of a training on small images; each of its looks at the clock is 30 s later."""

    def arguments(minutes, side=16):
        monkeypatch.setattr(race, "perf_counter", itertools.count(step=30).__next__)
        train = load_images("sample", "train").images
        images, *watch = (part[:, :side, :side] for part in (train, *pairs))
        return images, minutes, watch

    return arguments


@pytest.mark.slow
def test_the_original_learns(small):
    record = train_original(*small(minutes=[0.5, 10]))
    assert record.columns.tolist() == ["minutes", "cover_psnr", "secret_psnr"]
    assert record["minutes"].tolist() == [0.5, 10]
    assert record["cover_psnr"].iloc[1] > record["cover_psnr"].iloc[0] + 1
    assert record["secret_psnr"].iloc[1] > record["secret_psnr"].iloc[0] + 1


@pytest.mark.slow
def test_residue_learns(small):
    record = race.train_residue(*small(minutes=[0.5, 10], side=32))
    assert record["minutes"].tolist() == [0.5, 10]
    assert record["cover_psnr"].tolist() == pytest.approx([45.1, 45.1], abs=0.3)  # of base 5
    assert record["secret_psnr"].iloc[1] > record["secret_psnr"].iloc[0] + 3


@pytest.mark.slow
def test_classic_begins_as_linear_hiding(small):
    images, minutes, watch = small(minutes=[0.5, 1], side=32)
    record = race.train_classic(images, minutes, watch)
    assert record["minutes"].tolist() == minutes
    linear = race.quality(load_model("linear", images=images), *watch)
    assert record[list(linear)].iloc[0].to_dict() == pytest.approx(linear, abs=0.2)


@pytest.mark.slow
def test_plain_begins_at_random(small):
    record = race.train_plain(*small(minutes=[0.5, 1], side=32))
    assert record["minutes"].tolist() == [0.5, 1]
    assert (record["secret_psnr"] < 20).all()


def test_learning_curves_are_of_all_trainings(monkeypatch):
    def train(images, minutes, watch, seed):
        return pd.DataFrame({"minutes": minutes, "secret_psnr": [images + watch + seed] * 2})

    monkeypatch.setattr(race, "TRAININGS", {"b": train, "a": train})
    curves = race.learning_curves(1, [3, 4], 10, seed=100)
    assert curves["model"].tolist() == ["b", "b", "a", "a"]
    assert curves["minutes"].tolist() == [3, 4, 3, 4] and (curves["secret_psnr"] == 111).all()


def test_quality(pairs):
    covers, secrets = pairs
    stegos = LSB(2).hide(covers, secrets)
    assert race.quality(LSB(2), covers, secrets) == {
        "cover_psnr": metrics.psnr(covers, stegos).mean(),
        "secret_psnr": metrics.psnr(secrets, LSB(2).reveal(stegos)).mean(),
    }
