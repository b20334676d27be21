"""A detector that learns what to look at: fixed high-pass filters, then a small network.

The filters are some of the rich models' (Fridrich and Kodovský, 2012,
https://doi.org/10.1109/TIFS.2012.2190402); their answers are cut to a few grey levels (Ye, Ni and
Yi, 2017, https://doi.org/10.1109/TIFS.2017.2710946). Convolutions follow, then one mean over all of
the image, so that any size goes.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from steglib.images.arrays import cut_squares
from steglib.images.datasets import list_pictures
from steglib.images.photos import read_photo
from steglib.steganalysis.detectors import Detector
from steglib.steganalysis.simulators import simulate
from steglib.training.recipe import Recipe, TrainingConfig
from steglib.training.run import fit

BATCH = 16  # images scored at a time
RANGE = 3.0  # grey levels, up and down, that the filters' answers are cut to
VIEWS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 1, 0], [0, 1, -1]])  # R, G, B, G−R, G−B


def _step(down, across):
    kernel = np.zeros((5, 5))
    kernel[2, 2], kernel[2 + down, 2 + across] = -1, 1
    return kernel


def _filters():
    """float32 [5, 5, 3, 40]: each of eight kernels on each of the views."""
    middle, second = np.array([0, 0, 1, 0, 0]), np.array([0, 1, -2, 1, 0]) / 2
    square = [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2]]
    kernels = [
        *(_step(*way) for way in ((0, 1), (1, 0), (1, 1), (1, -1))),
        np.outer(middle, second),
        np.outer(second, middle),
        np.outer(second, second),
        np.array([*square, *square[1::-1]]) / 12,
    ]
    return np.einsum("kyx,vc->yxcvk", kernels, VIEWS).reshape(5, 5, 3, -1).astype(np.float32)


FILTERS = _filters()


@keras.saving.register_keras_serializable("steglib")
class HighPass(layers.Layer):
    """What fixed filters leave of images, cut to −3…3 levels: [n, h, w, 3] → [n, h, w, 40]."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, x):
        answers = ops.conv(ops.cast(x, "float32"), FILTERS, padding="same")
        return ops.clip(answers, -RANGE, RANGE)

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], FILTERS.shape[-1]


def build_detector(width: int = 24) -> keras.Model:
    """Images [n, h, w, 3] in grey levels → logits [n, 1], above 0 for stegos.

    Args:
        width: channels of the first convolutions; those after them have more.
    """
    image = keras.Input((None, None, 3), name="image")
    x = HighPass(name="high_pass")(image)
    for i, channels in enumerate((width, width, 2 * width, 4 * width)):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv_{i}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
        if i:
            x = layers.AveragePooling2D(3, 2, padding="same", name=f"pool_{i}")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="mean")(x)
    x = layers.Dense(1, dtype="float32", name="logit")(x)
    return keras.Model(image, x, name="detector")


def join(detector) -> keras.Model:
    """Covers and stegos [n, h, w, 3] → their logits [n, 2].

    Both go through the detector in one batch, so that its normalisation cannot tell them apart.
    """
    cover, stego = (keras.Input((None, None, 3), name=name) for name in ("cover", "stego"))
    logits = detector(layers.Concatenate(axis=0, name="both")([cover, stego]))
    return keras.Model([cover, stego], layers.Concatenate(name="logits")(ops.split(logits, 2)))


def pair_error(target, logits):
    """Share of the images in each pair that are taken for what they are not."""
    return ops.mean(ops.cast((logits > 0) != (target > 0.5), "float32"), axis=-1)


@dataclass(frozen=True)
class DetectorConfig(TrainingConfig):
    """What the training of a detector has too.

    Attributes:
        updates: in an epoch, which is no pass over the images.
        simulator: makes stegos of covers, a key of `simulators.SIMULATORS`.
        rate: at so many bits a sample.
        side: of the squares that are cut from the images to learn from, in pixels.
        photographs: a folder of photographs in place of `data`, or None.
        width: size of the network.
    """

    epochs: int = 20
    held_out: int = 16
    weight_decay: float = 1e-3
    ema: float = 0.0
    updates: int = 50
    simulator: str = "LSB matching"
    rate: float = 0.4
    side: int = 64
    photographs: str | None = None
    width: int = 24


class DetectorRecipe(Recipe):
    """A network that tells stegos from covers, learned from pairs of both.

    Args:
        config: says how stegos are made, and of which photographs.
        images: covers, uint8 [h, w, 3] each; without them, the config says which.
        stegos: of these covers, the same shapes; without them, simulated ones, new in each batch.
    """

    name = "detector"
    config_class = DetectorConfig

    def __init__(self, config, images=None, stegos=None):
        super().__init__(config, images)
        self.stegos = stegos

    @functools.cached_property
    def images(self):
        """uint8 [h, w, 3] each. A photograph is held out as a whole."""
        if self.config.photographs is None:
            return super().images
        return [read_photo(path).image for path in list_pictures(self.config.photographs)]

    def build(self):
        return join(build_detector(self.config.width))

    def batches(self, first_epoch=0):
        smallest, side = min(min(image.shape[:2]) for image in self.images), self.config.side
        if smallest < side:
            raise ValueError(f"side must be at most {smallest}, as that of an image, not {side}.")
        return DetectionBatches(self, first_epoch)

    def watched(self):
        covers, _ = cut_squares([self.images[i] for i in self.split[1]], self.config.side)
        return self._with_target(covers, self._simulate(covers, self.config.seed))

    def loss(self):
        return keras.losses.BinaryCrossentropy(from_logits=True)

    def metrics(self):
        return [pair_error]

    def export(self, model, run):
        model.get_layer("detector").save(run / "model.keras")

    def draw(self, random) -> tuple:
        """A batch: squares of images that are turned and mirrored, and stegos of these."""
        config, (training, _) = self.config, self.split
        sources = [self.images] if self.stegos is None else [self.images, self.stegos]
        pieces = []
        for i in random.choice(training, config.batch_size, len(training) < config.batch_size):
            both = np.stack([source[i] for source in sources])
            top, left = random.integers(0, np.array(both.shape[1:3]) - config.side, endpoint=True)
            piece = both[:, top : top + config.side, left : left + config.side]
            piece = np.rot90(piece, random.integers(4), (1, 2))
            pieces.append(piece[:, :, :: random.choice([1, -1])])
        covers, *stegos = np.stack(pieces, axis=1)
        stegos = stegos[0] if stegos else self._simulate(covers, random.integers(2**31))
        return self._with_target(covers, stegos)

    def _simulate(self, covers, seed):
        return simulate(self.config.simulator, covers, self.config.rate, seed)

    def _with_target(self, covers, stegos):
        return (covers, stegos), np.tile(np.float32([0, 1]), (len(covers), 1))


class DetectionBatches(keras.utils.PyDataset):
    """Batches that a `DetectorRecipe` draws, each decided by the seed and its number alone."""

    def __init__(self, recipe, first_epoch=0):
        super().__init__()
        self.recipe, self.steps_per_epoch = recipe, recipe.config.updates
        self.first = first_epoch * self.steps_per_epoch

    def __len__(self):
        return self.recipe.config.epochs * self.steps_per_epoch - self.first

    def __getitem__(self, index):
        return self.recipe.draw(
            np.random.default_rng([self.recipe.config.seed, self.first + index])
        )


class NetworkDetector(Detector):
    """A network as a detector.

    Args:
        config: how `fit` trains one, on squares of the images that it gets. None for a `network`
            that stays as it is.
        network: takes images [n, h, w, 3] in grey levels and gives logits [n, 1].
    """

    name = "network"

    def __init__(self, config: DetectorConfig | None = None, network: keras.Model | None = None):
        self.config, self.network = config, network

    @classmethod
    def load(cls, path: str | Path) -> "NetworkDetector":
        """One out of the `model.keras` that a training wrote."""
        return cls(network=keras.saving.load_model(path, compile=False, safe_mode=True))

    def fit(self, covers, stegos):
        if self.config is not None:
            recipe = DetectorRecipe(self.config, covers, stegos)
            self.network = fit(recipe).get_layer("detector")
        return self

    def score(self, observations):
        parts = np.array_split(observations, -(-len(observations) // BATCH))
        return np.concatenate([ops.convert_to_numpy(self.network(part)) for part in parts])[:, 0]
