"""Learns the codec from images: its basis, its context network, its tables, its restorer."""

import keras
import numpy as np
from keras import ops
from PIL import Image

from steglib.codec import codec
from steglib.codec.codec import Codec
from steglib.codec.networks import ContextNetwork, build_restorer, exact_weights, rate_loss
from steglib.layers import forget_initializers
from steglib.training.devices import dtype_policy

COUNTED = 2000  # images; their symbols are millions


class CodingBatches(keras.utils.PyDataset):
    """Images and steps to learn from, as `prepare` wants them.

    Images are mirrored at random; every fourth batch shows enlarged parts of them, as smooth as
    large photographs are. Steps are drawn evenly in their logarithm. A batch depends on the seed
    and its number alone.

    Args:
        images: uint8 [n, h, w, 3]; h and w are multiples of 8.
        prepare: function of images uint8 and log2 steps float32 [n, 1] → what `fit` gets.
        batch_size, batches, seed: integers.
    """

    def __init__(self, images, prepare, batch_size, batches, seed):
        super().__init__()
        self.images, self.prepare = images, prepare
        self.batch_size, self.batches, self.seed = batch_size, batches, seed

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        random = np.random.default_rng([self.seed, index])
        images = self.images[np.sort(random.integers(len(self.images), size=self.batch_size))]
        if random.random() < 0.5:
            images = images[:, :, ::-1]
        if index % 4 == 3:
            images = _enlarge(images, random)
        return self.prepare(images, random.uniform(-1, 5.5, (len(images), 1)).astype(np.float32))


def _enlarge(images, random):
    """A part of each image, scaled to the whole size."""
    h, w = images.shape[1:3]
    part = random.uniform(0.4, 0.9)
    left, top = random.uniform(0, 1 - part, 2) * (w, h)
    box = (left, top, left + part * w, top + part * h)
    kernel = random.choice([Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
    parts = (Image.fromarray(image).resize((w, h), kernel, box) for image in images)
    return np.stack([np.asarray(part) for part in parts])


def learn_codec(
    images,
    context_steps: int = 5000,
    restorer_steps: int = 3000,
    batch_size: int = 32,
    seed: int = 0,
    callbacks=(),
    verbose=0,
) -> Codec:
    """All parts, one after the other.

    Args:
        images: uint8 [n, h, w, 3]; h and w are multiples of 8.
        context_steps, restorer_steps: gradient steps; no restorer if that is 0.
        batch_size: images in a step.
        seed: of weights and batches.
        callbacks, verbose: for `fit`.
    """
    basis = codec.block_basis(images[:: max(1, len(images) // COUNTED)])
    options = {"batch_size": batch_size, "seed": seed, "callbacks": callbacks, "verbose": verbose}
    network = train_contexts(images, basis, context_steps, **options)
    counts = count_symbols(images, basis, network, seed)
    restorer = train_restorer(images, basis, restorer_steps, **options) if restorer_steps else None
    return Codec(basis, exact_weights(network), counts, restorer)


def train_contexts(
    images, basis, steps, batch_size=32, seed=0, callbacks=(), verbose=0, learning_rate=3e-3
) -> ContextNetwork:
    """Learns to tell the scales of coefficients: the fewest bits (`rate_loss`)."""

    def prepare(images, log_steps):
        coefficients = codec.to_blocks(images) @ basis.T / 2.0 ** log_steps[:, None, None]
        return (coefficients, log_steps), np.zeros(len(images))

    keras.utils.set_random_seed(seed)
    network = ContextNetwork()
    network.compile(_optimizer(learning_rate, steps), rate_loss)
    batches = CodingBatches(images, prepare, batch_size, steps, seed)
    network.fit(batches, shuffle=False, callbacks=list(callbacks), verbose=verbose)
    return network


def count_symbols(images, basis, network, seed=0) -> np.ndarray:
    """Counts what the residuals are at each level of scale, int [56, 122].

    What was never seen keeps the chance that a logistic distribution gives it.
    """
    expected = codec.expected_counts()
    counter = Codec(basis, exact_weights(network), expected)
    random = np.random.default_rng(seed)
    counts = np.zeros(expected.shape)
    for start in range(0, min(len(images), COUNTED), 50):
        some = images[start : start + 50]
        indices = random.integers(0, 6 * 256, len(some))
        for residuals, levels in counter.residuals(some, indices):
            tables, shifts = codec.symbol_tables(levels)
            np.add.at(counts, (tables, codec.symbols(residuals, shifts)), 1)
    mixed = counts + expected * (1000 / 2**16)  # as if 1000 more had been seen
    return np.maximum(np.rint(2**16 * mixed / mixed.sum(1, keepdims=True)), 1).astype(np.int32)


def train_restorer(
    images, basis, steps, batch_size=32, seed=0, callbacks=(), verbose=0, learning_rate=1e-3
) -> keras.Model:
    """Learns to undo the quantiser's rounding: the logarithm of each image's error."""

    def prepare(images, log_steps):
        step = 2.0 ** log_steps[:, None, None]
        coefficients = np.rint(codec.to_blocks(images) @ basis.T / step) * step
        return (codec.from_blocks(coefficients @ basis), log_steps), images

    keras.utils.set_random_seed(seed)
    usual = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(dtype_policy(None))
        trained = build_restorer()
    finally:
        keras.config.set_dtype_policy(usual)
    trained.compile(_optimizer(learning_rate, steps), restoring_loss)
    batches = CodingBatches(images, prepare, batch_size, steps, seed)
    trained.fit(batches, shuffle=False, callbacks=list(callbacks), verbose=verbose)
    restorer = build_restorer()
    restorer.set_weights(trained.get_weights())
    forget_initializers(restorer)
    return restorer


def restoring_loss(y_true, y_pred):
    """Error in decibels, [n]; rounding to 8 bits will add a twelfth to the mean square."""
    error = ops.square(y_pred - ops.cast(y_true, y_pred.dtype))
    return 10 * ops.log10(ops.mean(error, axis=(1, 2, 3)) + 1 / 12)


def _optimizer(learning_rate, steps):
    warmup = max(1, steps // 30)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )
    return keras.optimizers.Adam(schedule, global_clipnorm=1.0)
