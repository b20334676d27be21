"""How fast hiders hide, reveal and learn, beside the network of the original notebook.

That is cheesecke's on Kaggle (https://github.com/kunalarora0930/steganography-deep-learning), after
https://github.com/alexandremuzio/deep-steg, after Baluja (NeurIPS 2017).
"""

import bisect
import itertools
import math
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
import skimage
from keras import layers, ops
from tqdm import tqdm

from steglib.channels import parity as correction
from steglib.channels import residues as payload
from steglib.codec.codec import Codec, block_basis, expected_counts
from steglib.codec.learning import train_contexts
from steglib.codec.networks import exact_weights
from steglib.evaluation import metrics
from steglib.evaluation.scores import ROUNDING_PSNR, evaluate
from steglib.hider import Hider
from steglib.images import photos
from steglib.images.datasets import PairBatches
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.models.coded import ResidueHider
from steglib.models.encoder_decoder import EncoderDecoder, join, split
from steglib.training.run import fit
from steglib.zoo import load_model

STEPS_A_MINUTE = {"classic": 250, "residue": 220}  # on 2 cores: their rates fall accordingly
PHOTOGRAPHS = (
    *("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field", "retina"),
    "immunohistochemistry",
)
PIECE = 300  # pixels a side: what the smallest photograph has
LARGE = (3000, 4000)  # height and width: 12 megapixels


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

    The notebook takes two steps on a batch: one of the encoder on the full loss, one of the
    decoder on the reveal loss. The cover's part of the full loss has no gradient in the decoder,
    so one step of both on the full loss does the same, sooner.

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


def train_classic(images, minutes, watch, seed: int = 0) -> pd.DataFrame:
    """Trains the classic model as `training.run.train` does; arguments and result as above."""
    config = ClassicConfig(batch_size=32, learning_rate=2e-3, ema=0.999, epochs=10**6, seed=seed)

    def score():
        return quality(EncoderDecoder(*split(stopwatch.model), "classic"), *watch)

    stopwatch = Stopwatch(minutes, score)
    updates = round(STEPS_A_MINUTE["classic"] * max(minutes))
    fit(ClassicRecipe(config, images), updates, [stopwatch])
    return pd.DataFrame(stopwatch.record)


def train_residue(images, minutes, watch, base: int = 5, seed: int = 0) -> pd.DataFrame:
    """Trains the residue model's contexts, without a restorer; arguments and result as above."""
    basis = block_basis(images[:: max(1, len(images) // 2000)])

    def score():
        weights = exact_weights(stopwatch.model)
        return quality(ResidueHider(Codec(basis, weights, expected_counts()), base), *watch)

    stopwatch = Stopwatch(minutes, score)
    steps = round(STEPS_A_MINUTE["residue"] * max(minutes))
    train_contexts(images, basis, steps, seed=seed, callbacks=[stopwatch])
    return pd.DataFrame(stopwatch.record)


TRAININGS = {"residue": train_residue, "classic": train_classic, "original": train_original}


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


MODELS = {
    "residue": lambda: load_model("residue"),
    "classic": lambda: load_model("classic"),
    "original": original_network,
}


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


def throughput_large(models=tuple(MODELS), size=LARGE) -> pd.DataFrame:
    """Speed and memory for one large picture, each measured in a fresh process.

    Args:
        models: keys of `MODELS`.
        size: height and width.

    Returns:
        One row for each model and direction: `megapixels` a second, the first call being all,
        and `gibibytes`, the peak of the process's memory.
    """
    fresh, rows = multiprocessing.get_context("spawn"), {}
    with tempfile.TemporaryDirectory() as folder:
        for row in [(model, direction) for model in models for direction in ("hide", "reveal")]:
            with ProcessPoolExecutor(1, fresh) as process:
                rows[row] = process.submit(_measure, *row, size, folder).result()
    return pd.DataFrame.from_dict(rows, "index", columns=["megapixels", "gibibytes"])


def _measure(model, direction, size, folder):
    hider, file = MODELS[model](), Path(folder) / f"{model}.npy"
    if direction == "hide":
        seconds, stego = _timed(hider.hide, large_picture(size, 0), large_picture(size, 1))
        np.save(file, stego)
    else:
        seconds, _ = _timed(hider.reveal, np.load(file))
    return size[0] * size[1] / 1e6 / seconds, _peak_memory() / 2**30


def large_picture(size=LARGE, seed: int = 0) -> np.ndarray:
    """A collage uint8 [h, w, 3] of pieces of full-size photographs, as sharp as they are."""
    random, sources = np.random.default_rng(seed), list(photographs().values())
    picture = np.empty((*size, 3), np.uint8)
    for top, left in itertools.product(range(0, size[0], PIECE), range(0, size[1], PIECE)):
        place = picture[top : top + PIECE, left : left + PIECE]
        source = sources[random.integers(len(sources))]
        y, x = random.integers(0, np.array(source.shape[:2]) - PIECE, endpoint=True)
        piece = source[y : y + PIECE, x : x + PIECE][:, :: random.choice([1, -1])]
        place[:] = piece[: place.shape[0], : place.shape[1]]
    return picture


def _peak_memory():
    """Bytes. On Linux, getrusage begins with the peak of the parent process."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def photographs() -> dict[str, np.ndarray]:
    """The colour photographs inside scikit-image, uint8 [h, w, 3], by name."""
    return {name: getattr(skimage.data, name)() for name in PHOTOGRAPHS}


def photograph_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cover and secret of one size: each photograph, and two collages of 6 megapixels, hides
    the next larger one, scaled and cropped; the largest hides the one before it."""
    pictures = photographs() | {
        f"collage {seed}": large_picture((2000, 3000), seed) for seed in (1, 2)
    }
    names = sorted(pictures, key=lambda name: pictures[name].size)
    return {
        f"{secret} in {cover}": (
            pictures[cover],
            photos.fit_to(pictures[secret], *pictures[cover].shape[:2]),
        )
        for cover, secret in zip(names, [*names[1:], names[-2]], strict=True)
    }


def score_photographs(hiders) -> pd.DataFrame:
    """PSNRs and SSIMs of `photograph_pairs`, after a PNG file, and their means.

    Returns:
        A row for each pair and one for the mean; columns by hider and score.
    """
    scores = []
    for name, pair in tqdm(photograph_pairs().items(), desc="Photographs"):
        found = evaluate(hiders, *(image[None] for image in pair), progress=False)
        scores.append(found.filter(regex="model|psnr|ssim").assign(photographs=name))
    table = pd.concat(scores).pivot_table(index="photographs", columns="model", sort=False)
    table = table.clip(upper=ROUNDING_PSNR).swaplevel(axis=1).sort_index(axis=1)
    return pd.concat([table, table.mean().to_frame("mean").T])


def full_size(bases, formats=("jpeg", "webp", "avif", "jpeg2000")) -> pd.DataFrame:
    """PSNR in dB of each photograph, hidden in itself upside down, and the means.

    Args:
        bases: of the residues.
        formats: of the rivals, names of the zoo.

    Returns:
        A column for each photograph; rows for each base and codec.
    """
    hiders = [load_model(name, base=base) for base in bases for name in ("residue", *formats)]
    rows = {}
    for name, photo in tqdm(photographs().items(), desc="Photographs"):
        revealed = {h.name: h.reveal(h.hide(photo[::-1, ::-1], photo)) for h in hiders}
        rows[name] = {k: float(metrics.psnr(photo[None], r[None])[0]) for k, r in revealed.items()}
    table = pd.DataFrame(rows)
    return table.assign(mean=table.mean(axis=1))


def _run(rng, shape, count):
    return rng.integers(math.prod(shape) - count) + np.arange(count)


def _square(rng, shape, count):
    side = round((count / 3) ** 0.5)
    top, left = rng.integers(np.array(shape[:2]) - side)
    places = np.arange(math.prod(shape)).reshape(shape)
    return places[top : top + side, left : left + side].reshape(-1)


def _scattered(rng, shape, count):
    return rng.choice(math.prod(shape), count, replace=False)


DAMAGES = {"run": _run, "square": _square, "scattered": _scattered}  # → places of the samples


def survived_damage(size=(256, 256), base: int = 5, trials: int = 10) -> pd.DataFrame:
    """How much of a stego image may be destroyed, at random places, at each level of protection.

    Args:
        size: height and width.
        base: of the residues, 2…16.
        trials: all of which the secret must survive.

    Returns:
        A row for each level; for each kind of damage in `DAMAGES` the % of samples, to a tenth of
        itself.
    """
    cover, found = large_picture(size), {}
    for level, name in enumerate(correction.LEVELS[1:], 1):
        data = np.random.default_rng(0).bytes(payload.capacity(cover.shape, base, level=level))
        stego = payload.embed(cover, data, base, level=level)
        kinds = tqdm(DAMAGES.items(), name)
        found[name] = {kind: _most_damage(stego, data, it, trials) for kind, it in kinds}
    return pd.DataFrame(found).T


def _most_damage(stego, data, places, trials):
    def dies(share):
        return not all(survives(share, np.random.default_rng(seed)) for seed in range(trials))

    def survives(share, rng):
        damaged = stego.copy()
        where = places(rng, stego.shape, round(share * stego.size))
        damaged.reshape(-1)[where] = rng.integers(0, 256, len(where))
        try:
            return payload.extract(damaged).data == data
        except payload.PayloadError:
            return False

    shares = np.append(0, np.geomspace(0.0001, 0.5, 90))
    return 100 * shares[bisect.bisect_left(shares, True, key=dies) - 1]


def machine() -> str:
    """What a speed depends on, in one line."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"Keras {keras.__version__} on {keras.backend.backend()}, NumPy {np.__version__}"
    )
