"""Learns the codec from images: its colours, its context network, its tables."""

import functools
from dataclasses import dataclass

import keras
import numpy as np
from PIL import Image

from steglib.codec import entropy, transform
from steglib.codec.codec import Codec
from steglib.codec.networks import ContextNetwork, exact_weights, rate_loss
from steglib.images.datasets import list_pictures
from steglib.images.photos import read_photo
from steglib.training.recipe import Recipe, TrainingConfig
from steglib.training.run import fit

COUNTED = 2000  # images; their symbols are millions
ROUNDS = 2  # of counting: what is chosen depends on the tables, and these on what is chosen
PRIOR = 1e-5  # how much of all symbols counts as seen in each class before one is
LOG_STEPS = -1, 5.5  # log2 of the finest and the coarsest step to learn from
PIECE = 128  # pixels a side, of photographs


@dataclass(frozen=True)
class CodecConfig(TrainingConfig):
    """What the training of a codec has too.

    Attributes:
        updates: in an epoch, which is no pass over the images.
        photographs: a folder of photographs to learn from in every second update, or None.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 3e-3
    warmup: float = 1 / 30
    weight_decay: float = 0.0
    ema: float = 0.0
    mixed_precision: bool | None = False
    updates: int = 100
    photographs: str | None = None


class CodecRecipe(Recipe):
    """The context network, which tells how far coefficients are from their predictions."""

    name = "residue"
    config_class = CodecConfig

    @property
    def some(self) -> np.ndarray:
        """Images of all kinds, none of them held out, enough to take statistics of."""
        training, _ = self.split
        return self.images[training[:: max(1, len(training) // COUNTED)]]

    @property
    def counted(self) -> list[np.ndarray]:
        """Those in batches."""
        return np.array_split(self.some, -(-len(self.some) // 50))

    @functools.cached_property
    def photographs(self) -> list[np.ndarray]:
        """Those of the config's folder, uint8 [h, w, 3] each."""
        folder = self.config.photographs
        return [read_photo(path).image for path in list_pictures(folder)] if folder else []

    @functools.cached_property
    def colours(self) -> np.ndarray:
        """Those in which pictures are coded, [3, 3]."""
        return transform.learn_colours(self.some)

    @functools.cached_property
    def order(self) -> np.ndarray:
        """In which coefficients are coded: the means, then by falling variance, int [192]."""
        coefficients = transform.to_coefficients(self.some, self._colours_of(self.some))
        variance = np.square(coefficients).mean((0, 1, 2))
        variance[:: transform.BLOCK**2] = np.inf
        return np.argsort(-variance, kind="stable")

    def build(self):
        return ContextNetwork()

    def loss(self):
        return rate_loss

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
            self.photographs,
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
        coefficients = transform.to_coefficients(images, self._colours_of(images))[..., self.order]
        scaled = coefficients / 2.0 ** log_steps[:, None, None]
        return (scaled.astype(np.float32), log_steps), np.zeros(len(images))

    def export(self, model, run):
        pieces = [whole[None, : transform.TILE, : transform.TILE] for whole in self.photographs]
        sources = [self.counted, pieces] if pieces else [self.counted]
        learn_tables(self.begun(model), sources, self.config.seed).save(run / "model.npz")

    def begun(self, model) -> Codec:
        """A codec of a network, with tables as its loss expects them."""
        counts = np.stack([entropy.expected_counts()] * 2)
        return Codec(self.colours, self.order, exact_weights(model), counts)

    def _colours_of(self, images):
        return transform.turned(self.colours, transform.best_turns(images, self.colours))


def learn_codec(
    images, updates: int = 5000, batch_size: int = 32, seed: int = 0, callbacks=(), verbose=0
) -> Codec:
    """A codec learned at once, without a run folder.

    Args:
        images: uint8 [n, h, w, 3]; h and w are multiples of 8.
        updates: how many.
        batch_size: images in an update.
        seed: of weights and batches.
        callbacks, verbose: as in Keras's `fit`.
    """
    config = CodecConfig(epochs=1, updates=updates, batch_size=batch_size, seed=seed)
    recipe = CodecRecipe(config, images)
    begun = recipe.begun(fit(recipe, callbacks=callbacks, verbose=verbose))
    return learn_tables(begun, [recipe.counted], seed)


def learn_tables(codec: Codec, sources, seed: int = 0) -> Codec:
    """A codec whose tables count which levels there are.

    What was never seen keeps the chance that a logistic distribution gives it.

    Args:
        codec: as the training of its network left it.
        sources: lists of batches uint8 [n, h, w, 3]: of small pictures, and of large ones if there
            are any.
        seed: of the steps.
    """
    for _ in range(ROUNDS):
        random = np.random.default_rng(seed)
        counts = [_count_symbols(codec, batches, random) for batches in sources]
        counts = np.stack([counts[0], counts[-1]])
        codec = Codec(codec.colours, codec.order, codec.weights, counts, codec.thrift)
    return codec


def _count_symbols(codec, batches, random):
    expected = entropy.expected_counts()
    seen = np.zeros(expected.shape)
    for some in batches:
        for part in codec.levels(some, random.integers(0, 6 * 256, len(some))):
            ruler, row = part.between.astype(np.uint8), entropy.ROWS[part.classes]
            found = entropy.symbols(part.levels, entropy.SHIFTS[part.classes])
            np.add.at(seen[part.group], (ruler, row, found), 1)
    seen = seen / seen.sum() + PRIOR * expected / entropy.WHOLE
    return entropy.whole_chances(seen / seen.sum(-1, keepdims=True))


class CodingBatches(keras.utils.PyDataset):
    """Batches of images and steps to learn from.

    Every second batch shows pieces of photographs, if there are any. Images are mirrored at
    random; every fourth batch shows enlarged parts of them, as smooth as large photographs are.
    Steps are drawn evenly in their logarithm. A batch depends on the seed and its number alone.

    Args:
        images: uint8 [n, h, w, 3]; h and w are multiples of 8.
        prepare: function of images uint8 and log2 steps float32 [n, 1] → what `fit` gets.
        batch_size: images in a batch; of photographs, there are as many pixels.
        chosen: indices of the images to draw from.
        epochs, steps_per_epoch: how many batches there are in all.
        first_epoch: the epoch to begin with, counted from 0.
        seed: integer.
        photographs: uint8 [h, w, 3] each, of 128 pixels a side or more.
    """

    def __init__(
        self,
        images,
        prepare,
        batch_size,
        chosen,
        epochs,
        steps_per_epoch,
        first_epoch=0,
        seed=0,
        photographs=(),
    ):
        super().__init__()
        self.images, self.prepare, self.batch_size = images, prepare, batch_size
        self.chosen, self.steps_per_epoch, self.seed = chosen, steps_per_epoch, seed
        self.first, self.last = first_epoch * steps_per_epoch, epochs * steps_per_epoch
        self.photographs = photographs

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, index):
        number = self.first + index
        random = np.random.default_rng([self.seed, number])
        images = self._pieces(random) if self.photographs and number % 2 else self._drawn(random)
        if random.random() < 0.5:
            images = images[:, :, ::-1]
        if number % 4 == 2:
            images = _enlarge(images, random)
        log_steps = random.uniform(*LOG_STEPS, (len(images), 1))
        return self.prepare(images, log_steps.astype(np.float32))

    def _drawn(self, random):
        drawn = np.sort(random.integers(len(self.chosen), size=self.batch_size))
        return self.images[self.chosen[drawn]]

    def _pieces(self, random):
        count = self.batch_size * self.images[0].size // (3 * PIECE**2)
        pieces = []
        for photograph in random.integers(len(self.photographs), size=max(1, count)):
            whole = self.photographs[photograph]
            top, left = random.integers(0, np.array(whole.shape[:2]) - PIECE, endpoint=True)
            pieces.append(whole[top : top + PIECE, left : left + PIECE])
        return np.stack(pieces)


def _enlarge(images, random):
    """A part of each image, scaled to the whole size."""
    h, w = images.shape[1:3]
    part = random.uniform(0.4, 0.9)
    left, top = random.uniform(0, 1 - part, 2) * (w, h)
    box = (left, top, left + part * w, top + part * h)
    kernel = random.choice([Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
    parts = (Image.fromarray(image).resize((w, h), kernel, box) for image in images)
    return np.stack([np.asarray(part) for part in parts])
