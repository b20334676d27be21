"""The classic model: an encoder and a decoder, convolutional networks around a linear map.

Both work on the coefficients of 8×8×3 blocks in their principal components. The encoder drops
the cover's faintest components and writes the secret's strongest ones there; the decoder reads
them back. That alone is *linear hiding*. Around each of the two maps is a residual network
whose last layer starts at zero: training starts from there.
"""

import itertools
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from steglib.hider import Hider
from steglib.layers import (
    FitRange,
    RoundTo8Bit,
    block_transform,
    forget_initializers,
    inverse_block_transform,
    residual_block,
)
from steglib.progress import bar

BLOCK = 8
DEPTH = BLOCK * BLOCK * 3
MID_GREY = 127.5
TILE = 512  # pixels a side that the networks see at once, for bounded memory
CORRECTION = 4.0  # grey levels: what one unit of a network's output means


def principal_components(images, size: int = BLOCK, n_images: int = 4000, seed: int = 0):
    """Principal components of square blocks, about mid-grey.

    Args:
        images: uint8 [n, h, w, 3].
        size: side of a block in pixels; it has d = size·size·3 samples.
        n_images: how many of them to look at, drawn by `seed`.

    Returns:
        basis: float32 [d, d], orthonormal columns, strongest first.
        power: float32 [d], mean square coefficient of each, in grey levels squared.
    """
    chosen = np.random.default_rng(seed).permutation(len(images))[:n_images]
    second_moment, count = 0.0, 0
    for start in range(0, len(chosen), 256):
        blocks = _blocks(images[np.sort(chosen[start : start + 256])].astype(np.float64), size)
        second_moment += blocks.T @ blocks
        count += len(blocks)
    power, basis = np.linalg.eigh(second_moment / count)
    # The sign of a component is arbitrary; fixing it makes the basis reproducible.
    basis *= np.where(basis.sum(axis=0) < 0, -1.0, 1.0)
    return basis[:, ::-1].astype(np.float32), np.maximum(power[::-1], 1e-3).astype(np.float32)


def _blocks(images, size):
    n, h, w, _ = images.shape
    images = images[:, : h - h % size, : w - w % size] - MID_GREY
    tiles = images.reshape(n, h // size, size, w // size, size, 3)
    return tiles.transpose(0, 1, 3, 2, 4, 5).reshape(-1, size * size * 3)


def linear_hiding(power, carried: int, strength: float):
    """The gains of linear hiding, for noise that is the same in all components.

    The mean square error is least if each component gets power in proportion to its standard
    deviation (as in analogue transmission over parallel channels: Lee and Petersen, 1976).

    Args:
        power: float [192], mean square coefficient of each component.
        carried: how many components of the secret travel.
        strength: mean square change of a carrying component, in grey levels squared.

    Returns:
        float32 [carried]: what to multiply the secret's strongest coefficients by.
    """
    deviation = np.sqrt(power[:carried])
    return np.sqrt(strength * carried / (deviation * deviation.sum())).astype(np.float32)


def build_encoder(carried: int = 80, width: int = 192, hidden: int = 128, blocks: int = 2):
    """Cover and secret [n, h, w, 3] → stego image; sides a multiple of 8, grey levels 0…255.

    `start_linear` gives it its frozen maps. Residual sums and frozen maps are float32,
    convolutions follow Keras's dtype policy.
    """
    cover = keras.Input((None, None, 3), name="cover")
    secret = keras.Input((None, None, 3), name="secret")
    to_components = block_transform(DEPTH, BLOCK, "components")
    cover_components = to_components(cover - MID_GREY)
    secret_components = to_components(secret - MID_GREY)

    normalise = layers.Normalization(dtype="float32", name="normalise")
    cover_branch = layers.Conv2D(width // 2, 1, name="cover_branch")(normalise(cover_components))
    secret_branch = layers.Conv2D(width // 2, 1, name="secret_branch")(normalise(secret_components))
    x = layers.Concatenate(dtype="float32", name="join")([cover_branch, secret_branch])
    for i in range(blocks):
        x = residual_block(x, hidden, f"encoder_{i}")
    correction = _correction(x)

    both = layers.Concatenate(dtype="float32", name="both")([cover_components, secret_components])
    place = layers.Conv2D(
        DEPTH, 1, use_bias=False, trainable=False, dtype="float32", name="linear_hiding"
    )
    stego = inverse_block_transform(BLOCK, "to_pixels")(place(both) + correction) + MID_GREY
    stego = FitRange(DEPTH - carried, BLOCK, name="fit_range")(stego)
    return keras.Model([cover, secret], RoundTo8Bit(name="stego")(stego), name="encoder")


def build_decoder(width: int = 192, hidden: int = 128, blocks: int = 2):
    """Stego image [n, h, w, 3] → revealed secret; sides a multiple of 8, grey levels."""
    stego = keras.Input((None, None, 3), name="stego")
    components = block_transform(DEPTH, BLOCK, "components")(stego - MID_GREY)
    x = layers.Normalization(dtype="float32", name="normalise")(components)
    x = layers.Conv2D(width, 1, name="stego_branch")(x)
    for i in range(blocks):
        x = residual_block(x, hidden, f"decoder_{i}")
    read = layers.Conv2D(
        DEPTH, 1, use_bias=False, trainable=False, dtype="float32", name="linear_revealing"
    )
    secret = inverse_block_transform(BLOCK, "to_pixels")(read(components) + _correction(x))
    return keras.Model(stego, secret + MID_GREY, name="decoder")


def _correction(x):
    """The last layer of a network, which starts at zero."""
    x = layers.Conv2D(DEPTH, 1, kernel_initializer="zeros", name="correction")(x)
    return layers.Rescaling(CORRECTION, dtype="float32", name="in_grey_levels")(x)


def start_linear(encoder, decoder, images, carried: int = 80, strength: float = 16.0):
    """Sets the frozen layers so that both networks begin as linear hiding.

    Args:
        encoder, decoder: from `build_encoder` (with the same `carried`) and `build_decoder`.
        images: uint8 [n, h, w, 3], training images to take principal components of.
        carried: components of the secret that travel, in place of as many of the cover's.
        strength: mean square change of a carrying component; more hides more of the secret
            and less of the cover.
    """
    basis, power = principal_components(images)
    gains = linear_hiding(power, carried, strength)
    kept, carrying = DEPTH - carried, np.arange(DEPTH)[::-1][:carried]
    kernel = basis.reshape(BLOCK, BLOCK, 3, DEPTH)

    place = np.zeros((2 * DEPTH, DEPTH), np.float32)
    place[np.arange(kept), np.arange(kept)] = 1
    place[DEPTH + np.arange(carried), carrying] = gains
    read = np.zeros((DEPTH, DEPTH), np.float32)
    read[carrying, np.arange(carried)] = 1 / gains
    stego_power = power.copy()
    stego_power[carrying] = gains**2 * power[:carried]

    for model in (encoder, decoder):
        model.get_layer("components").set_weights([kernel])
        model.get_layer("to_pixels").set_weights([kernel])
    encoder.get_layer("fit_range").set_weights([kernel[..., :kept]])
    encoder.get_layer("linear_hiding").set_weights([place[None, None]])
    decoder.get_layer("linear_revealing").set_weights([read[None, None]])
    _set_power(encoder.get_layer("normalise"), power)
    _set_power(decoder.get_layer("normalise"), stego_power)


def _set_power(normalise, power):
    normalise.load_own_variables({"0": np.zeros_like(power), "1": power, "2": np.array(0)})


def join(encoder, decoder):
    """The model that is trained: [cover, secret] → stego and revealed, joined [n, h, w, 6]."""
    cover = keras.Input((None, None, 3), name="cover")
    secret = keras.Input((None, None, 3), name="secret")
    stego = encoder([cover, secret])
    both = layers.Concatenate(dtype="float32", name="stego_and_revealed")([stego, decoder(stego)])
    return keras.Model([cover, secret], both, name="classic")


def save(model, path: str | Path) -> None:
    """Saves a joined model as a `.keras` file that older versions of Keras load too."""
    for network in (model.get_layer("encoder"), model.get_layer("decoder")):
        forget_initializers(network)
    model.save(path)


class ClassicHider(Hider):
    """An encoder and a decoder as a hider.

    They work on whole blocks. Where a side is no multiple of 8, the secret is scaled to the
    largest part of the cover that holds whole blocks, and scaled back when it is revealed; the
    last rows or columns of the cover stay as they are. (Padding the images and cropping them
    again would lose what is hidden in the part of a block that is cropped away.)

    Args:
        encoder, decoder: Keras models as `build_encoder` and `build_decoder` make them.
        name: what tables call it.
    """

    min_side = BLOCK

    def __init__(self, encoder, decoder, name="classic"):
        self.encoder, self.decoder, self.name = encoder, decoder, name

    def _hide(self, covers, secrets):
        h, w = (side // BLOCK * BLOCK for side in covers.shape[1:3])
        stegos, secrets = covers.copy(), _resize(secrets, h, w)
        _apply(self.encoder, stegos[:, :h, :w], covers[:, :h, :w], secrets)
        return stegos

    def _reveal(self, stegos):
        shape = stegos.shape[1:3]
        h, w = (side // BLOCK * BLOCK for side in shape)
        stegos = stegos[:, :h, :w]
        secrets = np.empty_like(stegos)
        _apply(self.decoder, secrets, stegos)
        return _resize(secrets, *shape)


def _resize(images, h, w):
    if images.shape[1:3] == (h, w):
        return images
    scaled = (Image.fromarray(image).resize((w, h), Image.Resampling.LANCZOS) for image in images)
    return np.stack([np.asarray(image) for image in scaled])


def _apply(model, results, *batches):
    """Fills in the model's grey levels, in tiles: with their margins, these are as of the whole.

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
            inner = pixels[:, top - y :, left - x :][:, :TILE, :TILE]
            results[part, top : top + TILE, left : left + TILE] = np.clip(np.rint(inner), 0, 255)


def _convolutions(model):
    return [layer for layer in model.layers if type(layer) is layers.Conv2D]


def load_classic(path: Path) -> ClassicHider:
    """The hider in a file that `save` wrote; `model.keras` is named after its run."""
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    label = path.parent.name if path.name == "model.keras" else path.stem
    return ClassicHider(model.get_layer("encoder"), model.get_layer("decoder"), label)


def linear_hider(images, carried: int = 80, strength: float = 16.0) -> ClassicHider:
    """Linear hiding without any training: the networks are there, and add nothing.

    Args:
        images: uint8 [n, h, w, 3] to take principal components of.
        carried, strength: as in `start_linear`.
    """
    encoder, decoder = build_encoder(carried, blocks=0), build_decoder(blocks=0)
    start_linear(encoder, decoder, images, carried, strength)
    return ClassicHider(encoder, decoder, "linear hiding")
