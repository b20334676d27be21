"""Linear hiding: the secret's strongest components in place of the cover's faintest.

It works on the coefficients of 8×8×3 blocks in their principal components, and needs no
training. The classic model has networks around its two maps.
"""

import keras
import numpy as np
from keras import layers

from steglib.layers import FitRange, RoundTo8Bit, block_transform, inverse_block_transform
from steglib.models.encoder_decoder import BLOCK, EncoderDecoder

DEPTH = BLOCK * BLOCK * 3
MID_GREY = 127.5


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
        some = images[np.sort(chosen[start : start + 256])].astype(np.float64)
        blocks = _cut_blocks(some - MID_GREY, size)
        second_moment += blocks.T @ blocks
        count += len(blocks)
    power, basis = np.linalg.eigh(second_moment / count)
    # The sign of a component is arbitrary; fixing it makes the basis reproducible.
    basis *= np.where(basis.sum(axis=0) < 0, -1.0, 1.0)
    return basis[:, ::-1].astype(np.float32), np.maximum(power[::-1], 1e-3).astype(np.float32)


def _cut_blocks(images, size):
    n, h, w, _ = images.shape
    images = images[:, : h - h % size, : w - w % size]
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


def build_linear_encoder(carried: int = 80, correct=None) -> keras.Model:
    """Cover and secret [n, h, w, 3] → stego image; sides a multiple of 8, grey levels 0…255.

    Args:
        carried: how many components of the secret travel.
        correct: function of the cover's and the secret's components [n, h/8, w/8, 192] that
            returns what to add to those of the stego image; None for nothing.
    """
    cover = keras.Input((None, None, 3), name="cover")
    secret = keras.Input((None, None, 3), name="secret")
    to_components = block_transform(DEPTH, BLOCK, "components")
    inputs = [to_components(image - MID_GREY) for image in (cover, secret)]
    corrections = correct(*inputs) if correct else 0.0

    both = layers.Concatenate(dtype="float32", name="both")(inputs)
    place = _frozen_map("linear_hiding")(both)
    stego = inverse_block_transform(BLOCK, "to_pixels")(place + corrections) + MID_GREY
    stego = FitRange(DEPTH - carried, BLOCK, name="fit_range")(stego)
    return keras.Model([cover, secret], RoundTo8Bit(name="stego")(stego), name="encoder")


def build_linear_decoder(correct=None) -> keras.Model:
    """Stego image [n, h, w, 3] → revealed secret; sides a multiple of 8, grey levels.

    Args:
        correct: function of the stego image's components that returns what to add to those of
            the secret; None for nothing.
    """
    stego = keras.Input((None, None, 3), name="stego")
    components = block_transform(DEPTH, BLOCK, "components")(stego - MID_GREY)
    corrections = correct(components) if correct else 0.0
    read = _frozen_map("linear_revealing")(components)
    secret = inverse_block_transform(BLOCK, "to_pixels")(read + corrections)
    return keras.Model(stego, secret + MID_GREY, name="decoder")


def _frozen_map(name):
    return layers.Conv2D(DEPTH, 1, use_bias=False, trainable=False, dtype="float32", name=name)


def start_linear(encoder, decoder, images, carried: int = 80, strength: float = 16.0):
    """Sets the frozen layers so that both networks begin as linear hiding.

    Args:
        encoder, decoder: from `build_linear_encoder` (with the same `carried`) and
            `build_linear_decoder`, or the classic model's.
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

    for model, model_power in ((encoder, power), (decoder, stego_power)):
        model.get_layer("components").set_weights([kernel])
        model.get_layer("to_pixels").set_weights([kernel])
        _set_power(model, model_power)
    encoder.get_layer("fit_range").set_weights([kernel[..., :kept]])
    encoder.get_layer("linear_hiding").set_weights([place[None, None]])
    decoder.get_layer("linear_revealing").set_weights([read[None, None]])


def _set_power(model, power):
    """By which a network normalises the components, if there is one."""
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.load_own_variables({"0": np.zeros_like(power), "1": power, "2": np.array(0)})


def linear_hider(images, carried: int = 80, strength: float = 16.0) -> EncoderDecoder:
    """Linear hiding without any training.

    Args:
        images: uint8 [n, h, w, 3] to take principal components of.
        carried, strength: as in `start_linear`.
    """
    encoder, decoder = build_linear_encoder(carried), build_linear_decoder()
    start_linear(encoder, decoder, images, carried, strength)
    return EncoderDecoder(encoder, decoder, "linear hiding")
