"""Learns the codec from images: its basis, its context network, its tables, its restorer."""

import functools
from dataclasses import asdict, dataclass

import keras
import numpy as np
from keras import ops
from PIL import Image

from steglib.codec import entropy, transform
from steglib.codec.codec import Codec
from steglib.codec.networks import ContextNetwork, build_restorer, exact_weights, rate_loss
from steglib.layers import forget_initializers
from steglib.training.recipe import Recipe, TrainingConfig
from steglib.training.run import fit

COUNTED = 2000  # images; their symbols are millions
LOG_STEPS = -1, 5.5  # log2 of the finest and the coarsest step to learn from


@dataclass(frozen=True)
class ContextConfig(TrainingConfig):
    """What the training of the context network has too.

    Attributes:
        updates: in an epoch, which is no pass over the images.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 3e-3
    warmup: float = 1 / 30
    weight_decay: float = 0.0
    ema: float = 0.0
    mixed_precision: bool | None = False
    updates: int = 100


@dataclass(frozen=True)
class RestorerConfig(ContextConfig):
    """What the training of the restorer has: the same, with other defaults."""

    epochs: int = 30
    learning_rate: float = 1e-3
    mixed_precision: bool | None = None


@dataclass(frozen=True)
class CodecConfig:
    """What decides how the training of a codec ends.

    Attributes:
        data: what `load_images` takes as `source`; its "train" split is used.
        images: at most that many training images, None for all.
        held_out: of these, how many are set apart to watch the training (never trained on).
        context_epochs, restorer_epochs: of the two networks; no restorer if the latter is 0.
        updates: in an epoch.
        batch_size: images in an update.
        seed: of the weights, the held-out images and the batches.
    """

    data: str = "sample"
    images: int | None = None
    held_out: int = 64
    context_epochs: int = ContextConfig.epochs
    restorer_epochs: int = RestorerConfig.epochs
    updates: int = ContextConfig.updates
    batch_size: int = ContextConfig.batch_size
    seed: int = 0


class CodingRecipe(Recipe):
    """What both networks of the codec learn from: images, and steps to quantise them with."""

    @property
    def some(self) -> np.ndarray:
        """Indices of images of all kinds, none of them held out: enough to take statistics of."""
        training, _ = self.split
        return training[:: max(1, len(training) // COUNTED)]

    @functools.cached_property
    def basis(self) -> np.ndarray:
        """The transform, learned from images that are not held out."""
        return transform.block_basis(self.images[self.some])

    def batches(self, first_epoch=0):
        config, (training, _) = self.config, self.split
        return CodingBatches(
            self.images,
            self.prepare,
            config.batch_size,
            training,
            config.epochs,
            config.updates,
            first_epoch,
            config.seed,
        )

    def watched(self):
        images = self.images[self.split[1]]
        return self.prepare(images, np.linspace(*LOG_STEPS, len(images), dtype=np.float32)[:, None])

    def prepare(self, images, log_steps) -> tuple:
        """What the network learns from: its inputs and their target.

        Args:
            images: uint8 [n, h, w, 3]; h and w are multiples of 8.
            log_steps: log2 of a step for each, float32 [n, 1].
        """
        raise NotImplementedError


class ContextRecipe(CodingRecipe):
    """The context network, which tells how far coefficients are from their predictions."""

    name = "contexts"
    config_class = ContextConfig

    def build(self):
        return ContextNetwork()

    def loss(self):
        return rate_loss

    def prepare(self, images, log_steps):
        coefficients = transform.to_blocks(images) @ self.basis.T / 2.0 ** log_steps[:, None, None]
        return (coefficients, log_steps), np.zeros(len(images))

    def export(self, model, run):
        self.coded(model).save(run / "model.npz")

    def coded(self, model) -> Codec:
        """A codec of this network, with tables as its loss expects them, without a restorer."""
        return Codec(self.basis, exact_weights(model), entropy.expected_counts())


class RestorerRecipe(CodingRecipe):
    """The restorer, which undoes the quantiser's rounding."""

    name = "restorer"
    config_class = RestorerConfig

    def build(self):
        return build_restorer()

    def loss(self):
        return RestoringLoss()

    def prepare(self, images, log_steps):
        step = 2.0 ** log_steps[:, None, None]
        coefficients = np.rint(transform.to_blocks(images) @ self.basis.T / step) * step
        return (transform.from_blocks(coefficients @ self.basis), log_steps), images

    def pictures(self, model):
        (rounded, log_steps), images = self.watched()
        rounded, log_steps, images = rounded[::8], log_steps[::8], images[::8]
        return images, rounded, ops.convert_to_numpy(model([rounded, log_steps]))

    def export(self, model, run):
        forget_initializers(model)
        model.save(run / "model.keras")


class CodecRecipe(Recipe):
    """The whole codec: its two networks one after the other, and the tables in between."""

    name = "residue"
    config_class = CodecConfig

    @functools.cached_property
    def parts(self):
        given = asdict(self.config)
        epochs, restorer_epochs = given.pop("context_epochs"), given.pop("restorer_epochs")
        parts = {"contexts": ContextRecipe(ContextConfig(epochs=epochs, **given))}
        if restorer_epochs:
            parts["restorer"] = RestorerRecipe(RestorerConfig(epochs=restorer_epochs, **given))
        return parts

    def assemble(self, run):
        begun = Codec.load(run / "contexts" / "model.npz")
        contexts = self.parts["contexts"]
        counts = count_symbols(contexts.images[contexts.some], begun, self.config.seed)
        restorer = run / "restorer" / "model.keras" if "restorer" in self.parts else None
        whole = Codec(begun.basis, begun.weights, counts, restorer)
        whole.save(run / "model.npz")
        return whole.count_parameters()


def learn_codec(
    images,
    context_updates: int = 5000,
    restorer_updates: int = 3000,
    batch_size: int = 32,
    seed: int = 0,
    callbacks=(),
    verbose=0,
) -> Codec:
    """A codec learned at once, without a run folder.

    Args:
        images: uint8 [n, h, w, 3]; h and w are multiples of 8.
        context_updates, restorer_updates: how many; no restorer if that is 0.
        batch_size: images in an update.
        seed: of weights and batches.
        callbacks, verbose: as in Keras's `fit`, for both networks.
    """
    given = {"epochs": 1, "batch_size": batch_size, "seed": seed}
    contexts = ContextRecipe(ContextConfig(updates=context_updates, **given), images)
    begun = contexts.coded(fit(contexts, callbacks=callbacks, verbose=verbose))
    counts, restorer = count_symbols(images, begun, seed), None
    if restorer_updates:
        recipe = RestorerRecipe(RestorerConfig(updates=restorer_updates, **given), images)
        restorer = fit(recipe, callbacks=callbacks, verbose=verbose)
        forget_initializers(restorer)
    return Codec(begun.basis, begun.weights, counts, restorer)


def count_symbols(images, begun: Codec, seed: int = 0) -> np.ndarray:
    """Counts what the residuals are in each scale class, int [56, 122].

    What was never seen keeps the chance that a logistic distribution gives it.

    Args:
        images: uint8 [n, h, w, 3]; the first 2000 are looked at.
        begun: a codec with the trained context network.
        seed: of the steps.
    """
    expected = entropy.expected_counts()
    random = np.random.default_rng(seed)
    counts = np.zeros(expected.shape)
    for start in range(0, min(len(images), COUNTED), 50):
        some = images[start : start + 50]
        indices = random.integers(0, 6 * 256, len(some))
        for residuals, classes in begun.residuals(some, indices):
            tables, shifts = entropy.symbol_tables(classes)
            np.add.at(counts, (tables, entropy.symbols(residuals, shifts)), 1)
    mixed = counts + expected * (1000 / 2**16)  # as if 1000 more had been seen
    return np.maximum(np.rint(2**16 * mixed / mixed.sum(1, keepdims=True)), 1).astype(np.int32)


class CodingBatches(keras.utils.PyDataset):
    """Batches of images and steps to learn from.

    Images are mirrored at random; every fourth batch shows enlarged parts of them, as smooth as
    large photographs are. Steps are drawn evenly in their logarithm. A batch depends on the seed
    and its number alone.

    Args:
        images: uint8 [n, h, w, 3]; h and w are multiples of 8.
        prepare: function of images uint8 and log2 steps float32 [n, 1] → what `fit` gets.
        batch_size: images in a batch.
        chosen: indices of the images to draw from.
        epochs, steps_per_epoch: how many batches there are in all.
        first_epoch: the epoch to begin with, counted from 0.
        seed: integer.
    """

    def __init__(
        self, images, prepare, batch_size, chosen, epochs, steps_per_epoch, first_epoch=0, seed=0
    ):
        super().__init__()
        self.images, self.prepare, self.batch_size = images, prepare, batch_size
        self.chosen, self.steps_per_epoch, self.seed = chosen, steps_per_epoch, seed
        self.first, self.last = first_epoch * steps_per_epoch, epochs * steps_per_epoch

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, index):
        number = self.first + index
        random = np.random.default_rng([self.seed, number])
        drawn = np.sort(random.integers(len(self.chosen), size=self.batch_size))
        images = self.images[self.chosen[drawn]]
        if random.random() < 0.5:
            images = images[:, :, ::-1]
        if number % 4 == 3:
            images = _enlarge(images, random)
        log_steps = random.uniform(*LOG_STEPS, (len(images), 1))
        return self.prepare(images, log_steps.astype(np.float32))


def _enlarge(images, random):
    """A part of each image, scaled to the whole size."""
    h, w = images.shape[1:3]
    part = random.uniform(0.4, 0.9)
    left, top = random.uniform(0, 1 - part, 2) * (w, h)
    box = (left, top, left + part * w, top + part * h)
    kernel = random.choice([Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
    parts = (Image.fromarray(image).resize((w, h), kernel, box) for image in images)
    return np.stack([np.asarray(part) for part in parts])


@keras.saving.register_keras_serializable("steglib")
class RestoringLoss(keras.losses.Loss):
    """Error in decibels, [n]; rounding to 8 bits will add a twelfth to the mean square."""

    def call(self, y_true, y_pred):
        error = ops.square(y_pred - ops.cast(y_true, y_pred.dtype))
        return 10 * ops.log10(ops.mean(error, axis=(1, 2, 3)) + 1 / 12)
