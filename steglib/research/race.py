"""Models that learn from scratch, in the same minutes, beside the original notebook's network.

That is cheesecke's on Kaggle (https://github.com/kunalarora0930/steganography-deep-learning), after
https://github.com/alexandremuzio/deep-steg, after Baluja (NeurIPS 2017).
"""

from time import perf_counter

import keras
import numpy as np
import pandas as pd
from keras import layers, ops

from steglib.channels.residues import ResidueChannel
from steglib.codec.learning import CodecConfig, CodecRecipe
from steglib.evaluation import metrics
from steglib.hider import Hider
from steglib.images.pairs import PairBatches
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.models.coded import CodedHider
from steglib.models.encoder_decoder import EncoderDecoder, join, take_apart
from steglib.models.plain import PlainConfig, PlainRecipe
from steglib.training.run import fit

# On 2 cores. Learning rates fall accordingly.
UPDATES_A_MINUTE = {"classic": 250, "plain": 190, "residue": 220}


class Original(Hider):
    """Two Keras models as a hider, applied with `predict` as in the original notebook.

    Args:
        encoder, decoder: as `original_network` makes them.
    """

    name = "original"

    def __init__(self, encoder, decoder):
        self.encoder, self.decoder = encoder, decoder

    def _hide(self, covers, secrets):
        return _predict(self.encoder, [covers, secrets])

    def _reveal(self, stegos):
        return _predict(self.decoder, stegos)


def _predict(model, inputs):
    levels = model.predict(inputs, batch_size=64, verbose=0)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def original_network() -> Original:
    """The original notebook's networks, weights random: 293,273 + 155,938 parameters.

    Inside, images lie in 0…1; both models take and give grey levels.
    """
    to_unit, to_grey = layers.Rescaling(1 / 255), layers.Rescaling(255.0)
    cover = keras.Input((None, None, 3), name="cover")
    secret = keras.Input((None, None, 3), name="secret")
    x = _stages(to_unit(secret), 2, sizes=(3, 4, 5))
    x = _stages(layers.Concatenate()([to_unit(cover), x]), 5, sizes=(3, 4, 5))
    encoder = keras.Model([cover, secret], to_grey(_image(x)), name="encoder")

    stego = keras.Input((None, None, 3), name="stego")
    x = layers.GaussianNoise(0.01)(to_unit(stego))
    x = _stages(x, 5, sizes=(3, 3, 3))  # the notebook's; alexandremuzio has 3, 4, 5 here too
    return Original(encoder, keras.Model(stego, to_grey(_image(x)), name="decoder"))


def _stages(x, count, sizes):
    for _ in range(count):
        branches = [
            layers.Conv2D(filters, size, padding="same", activation="relu")(x)
            for filters, size in zip((50, 10, 5), sizes, strict=True)
        ]
        x = layers.Concatenate()(branches)
    return x


def _image(x):
    return layers.Conv2D(3, 3, padding="same", activation="relu")(x)


def original_loss(y_true, y_pred):
    """The notebook's full loss, β = 1: squared errors in 0…1, summed over joined images."""
    return ops.sum(ops.square(y_pred - y_true)) / 255**2


def train_original(images, minutes, watch, seed: int = 0) -> pd.DataFrame:
    """Trains the original network with its own loss, optimizer, rates, noise and batch size.

    The notebook makes two updates for a batch: one of the encoder on the full loss, one of the
    decoder on the reveal loss. The cover's part of the full loss has no gradient in the decoder,
    so one update of both on the full loss does the same, sooner.

    Args:
        images: uint8 [n, h, w, 3] to train on.
        minutes: when to score; the training stops after the last, see `Stopwatch`.
        watch: the covers and secrets to score on, see `quality`.
        seed: of weights, noise and pairs.

    Returns:
        One row for each score: `minutes`, `cover_psnr`, `secret_psnr`.
    """
    keras.utils.set_random_seed(seed)
    original = original_network()
    model = join(original.encoder, original.decoder)
    epochs, rates = [200 * 31, 400 * 31, 600 * 31], [1e-3, 3e-4, 1e-4, 3e-5]  # of 31 batches
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(epochs, rates)
    model.compile(keras.optimizers.Adam(schedule), original_loss)
    stopwatch = Stopwatch(minutes, lambda: quality(original, *watch))
    endless = PairBatches(images, batch_size=32, epochs=10**6, seed=seed)
    model.fit(endless, shuffle=False, verbose=0, callbacks=[stopwatch])
    return pd.DataFrame(stopwatch.record)


def train_plain(images, minutes, watch, seed: int = 0) -> pd.DataFrame:
    """Trains the plain model as `training.run.train` does; arguments and result as above."""
    config = PlainConfig(batch_size=32, ema=0.99, epochs=10**6, seed=seed)
    return _train_networks(PlainRecipe(config, images), minutes, watch)


def train_classic(images, minutes, watch, seed: int = 0) -> pd.DataFrame:
    """Trains the classic model likewise."""
    config = ClassicConfig(batch_size=32, learning_rate=2e-3, ema=0.999, epochs=10**6, seed=seed)
    return _train_networks(ClassicRecipe(config, images), minutes, watch)


def _train_networks(recipe, minutes, watch):
    def score():
        return quality(EncoderDecoder(*take_apart(stopwatch.model), recipe.name), *watch)

    stopwatch = Stopwatch(minutes, score)
    updates = round(UPDATES_A_MINUTE[recipe.name] * max(minutes))
    fit(recipe, updates, [stopwatch])
    return pd.DataFrame(stopwatch.record)


def train_residue(images, minutes, watch, base: int = 5, seed: int = 0) -> pd.DataFrame:
    """Trains the residue model, with tables as its loss expects; arguments and result as above."""
    updates = round(UPDATES_A_MINUTE["residue"] * max(minutes))
    recipe = CodecRecipe(CodecConfig(epochs=1, updates=updates, seed=seed), images)

    def score():
        hider = CodedHider(recipe.begun(stopwatch.model), ResidueChannel(base), "residue")
        return quality(hider, *watch)

    stopwatch = Stopwatch(minutes, score)
    fit(recipe, callbacks=[stopwatch])
    return pd.DataFrame(stopwatch.record)


TRAININGS = {
    "residue": train_residue,
    "classic": train_classic,
    "plain": train_plain,
    "original": train_original,
}


def learning_curves(images, minutes, watch, seed: int = 0) -> pd.DataFrame:
    """Quality after so many minutes of training, each model from scratch, one after the other.

    Arguments as for `train_original`.

    Returns:
        One row for each model and score: `model`, `minutes`, `cover_psnr`, `secret_psnr`.
    """
    curves = [
        train(images, minutes, watch, seed=seed).assign(model=name)
        for name, train in TRAININGS.items()
    ]
    return pd.concat(curves, ignore_index=True)


def quality(hider, covers, secrets) -> dict[str, float]:
    """Mean PSNR of 8-bit stego and revealed images: `cover_psnr` and `secret_psnr`."""
    stegos = hider.hide(covers, secrets)
    pairs = {"cover_psnr": (covers, stegos), "secret_psnr": (secrets, hider.reveal(stegos))}
    return {name: float(metrics.psnr(*pair).mean()) for name, pair in pairs.items()}


class Stopwatch(keras.callbacks.Callback):
    """Scores a training when it has taken given minutes, and stops it after the last score.

    The clock stands still while it scores. Where the optimizer averages the weights, the
    averages are what is scored. A training that ends before the last minute is scored at its end.

    Args:
        minutes: when to score, ascending; each at the end of the batch that passes it.
        score: a function without arguments that returns a dictionary.

    Attributes:
        record: the dictionaries, each with the `minutes` that the training had taken.
    """

    def __init__(self, minutes, score):
        super().__init__()
        self.minutes, self.score = minutes, score

    def on_train_begin(self, logs=None):
        self.record, self.due, self.begin = [], list(self.minutes), perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        now = perf_counter()
        minutes = (now - self.begin) / 60
        if minutes >= self.due[0]:
            self.record.append({"minutes": minutes, **self._score(self.model)})
            self.due = [later for later in self.due if later > minutes]
            self.model.stop_training = not self.due
            self.begin += perf_counter() - now

    def on_train_end(self, logs=None):
        if self.due:  # the training ended before its time
            minutes = (perf_counter() - self.begin) / 60
            self.record.append({"minutes": minutes, **self._score(self.model)})

    def _score(self, model):
        if not getattr(model.optimizer, "inner_optimizer", model.optimizer).use_ema:
            return self.score()
        averages = keras.callbacks.SwapEMAWeights()
        averages.set_model(model)
        averages.on_test_begin()
        score = self.score()
        averages.on_test_end()
        return score
