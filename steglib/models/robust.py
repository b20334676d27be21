"""The robust model: the plain networks, trained with random damage to the stego image between them.

What the decoder can still read after JPEG, noise or blur is what the encoder learns to write.
(HiDDeN: Zhu et al., ECCV 2018, https://arxiv.org/abs/1807.09937.)
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from steglib.images import jpeg
from steglib.images.pairs import PairBatches
from steglib.layers import round_to_8bit, straight_through
from steglib.models.encoder_decoder import join, take_apart
from steglib.models.plain import PlainConfig, PlainRecipe

QUALITIES = 70, 95  # of JPEG, the lowest and the highest
NOISE = 5.0  # grey levels: the highest standard deviation
BLUR = 0.3, 0.7  # pixels: the standard deviations
WAVES = np.einsum("uy,vx->yxuv", jpeg.COSINES, jpeg.COSINES).reshape(8, 8, 1, 64).astype("float32")
SHARES = {"none": 0.1, "jpeg": 0.6, "noise": 0.15, "blur": 0.1, "resize": 0.05}


class RandomDamage(layers.Layer):
    """Does to each image one thing that may happen to a stego image, and rounds it to 8 bits.

    Nothing, a JPEG file with 4:2:0 chroma, Gaussian noise, Gaussian blur, or three quarters of the
    size and back again, as often as `SHARES` says. The gradient passes straight through all that
    is rounded (Zhang et al., 2021, https://arxiv.org/abs/2101.00973).

    It takes a list of the images, float32 [n, h, w, 3] in grey levels, their sides multiples of 16,
    and of what is random: `dice` [n, 2], uniform in 0…1, which decide what happens and how much of
    it; and `noise` [n, h, w, 3], standard normal.

    Returns:
        float32 [n, h, w, 3] of whole numbers in 0…255.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        lowest, highest = QUALITIES
        self.steps = np.stack([jpeg.steps(q) for q in range(lowest, highest + 1)]).astype("float32")

    def call(self, inputs):
        images, dice, noise = inputs
        kind, strength = (ops.reshape(part, (-1, 1, 1, 1)) for part in (dice[:, 0], dice[:, 1]))
        possible = {
            "none": images,
            "jpeg": self._jpeg(images, dice[:, 1]),
            "noise": images + NOISE * strength * noise,
            "blur": _blur(images, BLUR[0] + (BLUR[1] - BLUR[0]) * strength),
            "resize": _smaller(images),
        }
        result, below = images, 0.0
        for name, share in SHARES.items():
            result = ops.where(kind >= below, possible[name], result)
            below += share
        return round_to_8bit(result)

    def _jpeg(self, images, strength):
        chosen = ops.cast(strength * len(self.steps), "int32")
        steps = ops.take(self.steps, ops.clip(chosen, 0, len(self.steps) - 1), axis=0)
        planes = round_to_8bit(images) @ np.float32(jpeg.TO_YCC.T)
        chroma = ops.average_pool(planes[..., 1:], 2, 2)
        luma = _quantise(planes[..., :1] - 128, steps[:, 0]) + 128
        chroma = [_quantise(chroma[..., i : i + 1], steps[:, 1]) for i in range(2)]
        _, h, w, _ = ops.shape(images)
        chroma = _resize(ops.concatenate(chroma, axis=-1), h, w, "bilinear")
        return ops.concatenate([luma, chroma], axis=-1) @ np.float32(np.linalg.inv(jpeg.TO_YCC).T)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def dice(kind: str, strength: float, n: int) -> np.ndarray:
    """With these dice, `RandomDamage` does the same to each of n images.

    Args:
        kind: a key of `SHARES`.
        strength: 0…1, from the lowest to the highest of `QUALITIES`, and of blur and noise.

    Returns:
        float32 [n, 2].
    """
    kinds = list(SHARES)
    below = sum(SHARES[other] for other in kinds[: kinds.index(kind)])
    return np.full((n, 2), (below + SHARES[kind] / 2, strength), np.float32)


def _quantise(plane, steps):
    """A plane [n, h, w, 1], its cosines rounded to multiples of the steps [n, 8, 8]."""
    steps = ops.reshape(steps, (-1, 1, 1, jpeg.BLOCK**2))
    multiples = ops.conv(plane, WAVES, strides=jpeg.BLOCK) / steps
    kept = straight_through(ops.round, multiples) * steps
    return ops.conv_transpose(kept, WAVES, strides=jpeg.BLOCK)


def _blur(images, sigma):
    """Gaussian blur; standard deviations [n, 1, 1, 1]."""
    reach = 3
    weights = [ops.exp(-ops.square(i / sigma) / 2) for i in range(-reach, reach + 1)]
    total = sum(weights)
    for axis in (1, 2):
        margins = [(reach, reach) if i == axis else (0, 0) for i in range(4)]
        padded, size = ops.pad(images, margins, "symmetric"), ops.shape(images)[axis]
        indices = ops.arange(size)
        parts = [ops.take(padded, indices + i, axis=axis) for i in range(len(weights))]
        images = sum(w * p for w, p in zip(weights, parts, strict=True)) / total
    return images


def _smaller(images):
    """Three quarters of the size and back again, as Pillow's Lanczos filter does it."""
    _, h, w, _ = ops.shape(images)
    return _resize(_resize(images, 3 * h // 4, 3 * w // 4, "lanczos3"), h, w, "lanczos3")


def _resize(images, h, w, interpolation):
    return ops.image.resize(images, (h, w), interpolation, antialias=True)


class DamagedBatches(PairBatches):
    """`PairBatches` whose inputs have chance as well: covers, secrets, dice, noise."""

    def __getitem__(self, index):
        (covers, secrets), both = super().__getitem__(index)
        return (covers, secrets, *_chance([self.seed, self.first + index], covers.shape)), both


def _chance(seed, shape):
    rng = np.random.default_rng(seed)
    return rng.random((shape[0], 2), np.float32), rng.standard_normal(shape, np.float32)


@dataclass(frozen=True)
class RobustConfig(PlainConfig):
    """What the robust model has too.

    Attributes:
        start: a `.keras` file of networks of the same size, such as the plain model's, to begin
            with their weights; None for a random start.
    """

    start: str | None = None


class RobustRecipe(PlainRecipe):
    """The plain model with damage between its halves."""

    name = "robust"
    config_class = RobustConfig
    batches_class = DamagedBatches

    def build(self):
        model = join(*take_apart(super().build()), RandomDamage(name="damage"))
        if self.config.start:
            start = keras.saving.load_model(self.config.start, compile=False, safe_mode=True)
            model.set_weights(start.get_weights())
        return model

    def watched(self):
        pairs, both = super().watched()
        return (*pairs, *_chance(self.config.seed, pairs[0].shape)), both

    def export(self, model, run):
        super().export(join(*take_apart(model)), run)
