"""Any two networks as a hider: applied in tiles, saved, loaded, trained on pairs."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from steglib.hider import Hider
from steglib.images.pairs import PairBatches, load_pairs
from steglib.layers import ShapedRounding, forget_initializers
from steglib.models import losses
from steglib.progress import bar
from steglib.training.recipe import Recipe, TrainingConfig

BLOCK = 8
TILE = 512  # pixels a side that the networks see at once, for bounded memory


class EncoderDecoder(Hider):
    """An encoder and a decoder as a hider.

    They work on whole blocks of 8×8 pixels. Where a side is no multiple of 8, the secret is
    scaled to the largest part of the cover that holds whole blocks, and scaled back when it is
    revealed; the last rows or columns of the cover stay as they are. (Padding the images and
    cropping them again would lose what is hidden in the part of a block that is cropped away.)

    Args:
        encoder: Keras model, [cover, secret] → stego image; all [n, h, w, 3] in grey levels.
        decoder: Keras model, stego image → revealed secret. Each 3×3 convolution of the two may
            look 8 pixels far, and nothing else may look out of its block.
        name: what tables call it.
    """

    min_side = BLOCK

    def __init__(self, encoder, decoder, name):
        self.encoder, self.decoder, self.name = encoder, decoder, name
        self._encoder, self._round = encoder, np.rint
        rounding = encoder.layers[-1]
        if isinstance(rounding, ShapedRounding):
            self._encoder = keras.Model(encoder.inputs, rounding.input, name="encoder")
            self._round = rounding.round_array

    def _hide(self, covers, secrets):
        h, w = (side // BLOCK * BLOCK for side in covers.shape[1:3])
        stegos, secrets = covers.copy(), _resize(secrets, h, w)
        _apply(self._encoder, self._round, stegos[:, :h, :w], covers[:, :h, :w], secrets)
        return stegos

    def _reveal(self, stegos):
        shape = stegos.shape[1:3]
        h, w = (side // BLOCK * BLOCK for side in shape)
        stegos = stegos[:, :h, :w]
        secrets = np.empty_like(stegos)
        _apply(self.decoder, np.rint, secrets, stegos)
        return _resize(secrets, *shape)


def _resize(images, h, w):
    if images.shape[1:3] == (h, w):
        return images
    scaled = (Image.fromarray(image).resize((w, h), Image.Resampling.LANCZOS) for image in images)
    return np.stack([np.asarray(image) for image in scaled])


def _apply(model, rounding, results, *batches):
    """Fills in the model's rounded levels, in tiles: with their margins, these are as of the whole.

    Without `predict`, which compiles anew for every size.
    """
    n, h, w, _ = results.shape
    at_once = max(1, TILE * TILE // (h * w))
    margin = BLOCK * sum(layer.kernel_size == (3, 3) for layer in _convolutions(model))
    corners = list(itertools.product(range(0, h, TILE), range(0, w, TILE)))
    for top, left in bar(corners, model.name):
        y, x = max(0, top - margin), max(0, left - margin)
        for start in range(0, n, at_once):
            part = slice(start, start + at_once)
            inputs = [b[part, y : top + TILE + margin, x : left + TILE + margin] for b in batches]
            pixels = ops.convert_to_numpy(model(inputs if len(inputs) > 1 else inputs[0]))
            inner = rounding(pixels[:, top - y :, left - x :][:, :TILE, :TILE])
            results[part, top : top + TILE, left : left + TILE] = np.clip(inner, 0, 255)


def _convolutions(model):
    return [layer for layer in model.layers if type(layer) is layers.Conv2D]


def join(encoder, decoder, damage=None) -> keras.Model:
    """The model that is trained: [cover, secret] → stego and revealed, joined [n, h, w, 6].

    Args:
        encoder, decoder: as in `EncoderDecoder`.
        damage: a layer in the stego image's way to the decoder. It takes a list of the stego image
            and of two inputs that the joined model gets too: dice [n, 2] and noise [n, h, w, 3].
    """
    cover = keras.Input((None, None, 3), name="cover")
    secret = keras.Input((None, None, 3), name="secret")
    chance = [keras.Input((2,), name="dice"), keras.Input((None, None, 3), name="noise")]
    stego = encoder([cover, secret])
    arrived = stego if damage is None else damage([stego, *chance])
    joint = layers.Concatenate(dtype="float32", name="stego_and_revealed")
    both = joint([stego, decoder(arrived)])
    inputs = [cover, secret] if damage is None else [cover, secret, *chance]
    return keras.Model(inputs, both, name="joined")


def take_apart(model) -> tuple[keras.Model, keras.Model]:
    """The encoder and the decoder of a joined model."""
    return model.get_layer("encoder"), model.get_layer("decoder")


def save(model, path: str | Path) -> None:
    """Saves a joined model as a `.keras` file that older versions of Keras load too."""
    for network in take_apart(model):
        forget_initializers(network)
    model.save(path)


def load(path: str | Path, name: str) -> EncoderDecoder:
    """The hider of that name, in a file that `save` wrote."""
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return EncoderDecoder(*take_apart(model), name)


@dataclass(frozen=True)
class PairConfig(TrainingConfig):
    """What a training on covers and secrets has too.

    Attributes:
        loss: "mse", "rmse" (of each pair) or "log" (decibels of each image), see `losses`.
        beta: weight of the cover in the full loss.
    """

    loss: str = "log"
    beta: float = 1.0


class PairRecipe(Recipe):
    """How a joined encoder and decoder are trained; a subclass says how to `build` them."""

    config_class = PairConfig
    batches_class = PairBatches

    @functools.cached_property
    def pairs(self):
        """Covers and secrets to watch, made of the images that are held out."""
        _, held_out = self.split
        return load_pairs(self.images[held_out], len(held_out), self.config.seed)

    def batches(self, first_epoch=0):
        config, (training, _) = self.config, self.split
        return self.batches_class(
            self.images, config.batch_size, training, config.epochs, first_epoch, config.seed
        )

    def watched(self):
        return self.pairs, np.concatenate(self.pairs, axis=-1)

    def loss(self):
        return losses.FullLoss(self.config.beta, self.config.loss)

    def metrics(self):
        return [losses.reveal_mse, losses.cover_mse, losses.secret_psnr, losses.cover_psnr]

    def pictures(self, model):
        covers, secrets = (images[:8] for images in self.pairs)
        encoder, decoder = take_apart(model)
        stego = encoder([covers, secrets])
        return covers, secrets, *map(ops.convert_to_numpy, (stego, decoder(stego)))

    def export(self, model, run):
        save(model, run / "model.keras")
