"""Linear hiding: the secret's strongest components in place of the cover's faintest.

It works on the coefficients of 8×8×3 blocks in their principal components, and needs no
training. The stego image is rounded such that the error stays out of what is hidden. The classic
model has networks around the two maps.
"""

import keras
import numpy as np
from keras import layers

from steglib.layers import (
    FitRange,
    RoundTo8Bit,
    ShapedRounding,
    block_transform,
    inverse_block_transform,
)
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


def linear_hiding(power, carried: int, strength: float, shaped: bool = True):
    """The gains of linear hiding: what the secret's strongest coefficients are multiplied by.

    With plain rounding, the noise is the same in all components. Then the mean square error is
    least if each gets power in proportion to its standard deviation (as in analogue transmission
    over parallel channels: Lee and Petersen, 1976). Shaped rounding divides the noise up by what it
    costs; then all get the same power.

    Args:
        power: float [192], mean square coefficient of each component.
        carried: how many components of the secret travel.
        strength: mean square change of a carrying component, in grey levels squared.
        shaped: whether the stego image is rounded by `rounding_order`.

    Returns:
        float32 [carried].
    """
    shares = np.ones(carried) if shaped else np.sqrt(power[:carried])
    return np.sqrt(strength * shares / shares.mean() / power[:carried]).astype(np.float32)


def rounding_order(cost):
    """How to round the samples of a block one after the other, so that the errors cost little.

    The cost of errors e is e·cost·e. At each turn, that sample is rounded whose error would cost
    most when those that are left make up for it as well as they can.

    Args:
        cost: float [d, d], symmetric and positive definite.

    Returns:
        order: int [d], the samples in the order of rounding.
        feedback: float [d, d], what a sample takes over of an earlier one's error, as
            `layers.ShapedRounding` has it.
    """
    left, order = np.arange(len(cost)), []
    feedback = np.zeros_like(cost)
    while len(left):
        inverse = np.linalg.inv(cost[np.ix_(left, left)])
        first = inverse.diagonal().argmin()
        feedback[left, left[first]] = -inverse[first] / inverse[first, first]
        order.append(left[first])
        left = np.delete(left, first)
    return np.array(order), np.tril(feedback[np.ix_(order, order)], -1)


def build_linear_encoder(
    carried: int = 84, shaped: bool = True, projections: int = 3, correct=None
) -> keras.Model:
    """Cover and secret [n, h, w, 3] → stego image; sides a multiple of 8, grey levels 0…255.

    Args:
        carried: how many components of the secret travel.
        shaped: whether rounding keeps its errors away from the secret.
        projections: of `FitRange`; 0 leaves what lies outside 0…255 to be clipped.
        correct: function of the cover's and the secret's components [n, h/8, w/8, 192] that
            returns what to add to those of the stego image; None for nothing.
    """
    cover = keras.Input((None, None, 3), name="cover")
    secret = keras.Input((None, None, 3), name="secret")
    inputs = [_to_components(image, f"{image.name}_components") for image in (cover, secret)]
    both = layers.Concatenate(dtype="float32", name="both")(inputs)
    place = _add(_frozen_map("linear_hiding")(both), correct and correct(*inputs))
    stego = FitRange(DEPTH - carried, BLOCK, projections, name="fit_range")(_to_pixels(place))
    rounding = ShapedRounding(BLOCK, name="stego") if shaped else RoundTo8Bit(name="stego")
    return keras.Model([cover, secret], rounding(stego), name="encoder")


def build_linear_decoder(correct=None) -> keras.Model:
    """Stego image [n, h, w, 3] → revealed secret; sides a multiple of 8, grey levels.

    Args:
        correct: function of the stego image's components that returns what to add to those of
            the secret; None for nothing.
    """
    stego = keras.Input((None, None, 3), name="stego")
    components = _to_components(stego, "stego_components")
    read = _add(_frozen_map("linear_revealing")(components), correct and correct(components))
    return keras.Model(stego, _to_pixels(read), name="decoder")


def _to_components(image, name):
    around_zero = layers.Rescaling(1.0, -MID_GREY, dtype="float32", name=f"{name}_around_zero")
    return block_transform(DEPTH, BLOCK, name)(around_zero(image))


def _to_pixels(components):
    in_grey_levels = layers.Rescaling(1.0, MID_GREY, dtype="float32", name="in_grey_levels")
    return in_grey_levels(inverse_block_transform(BLOCK, "to_pixels")(components))


def _add(components, corrections):
    if corrections is None:
        return components
    return layers.Add(dtype="float32", name="correct")([components, corrections])


def _frozen_map(name):
    return layers.Conv2D(DEPTH, 1, use_bias=False, trainable=False, dtype="float32", name=name)


def start_linear(encoder, decoder, images, carried: int = 84, strength: float = 2.4, beta=6.0):
    """Sets the frozen layers so that both networks begin as linear hiding.

    Args:
        encoder, decoder: from `build_linear_encoder` (with the same `carried`) and
            `build_linear_decoder`, or the classic model's.
        images: uint8 [n, h, w, 3], training images to take principal components of.
        carried: components of the secret that travel, in place of as many of the cover's.
        strength: mean square change of a carrying component; more hides more of the secret
            and less of the cover.
        beta: what shaped rounding keeps small is the secret's error plus β times the cover's.
    """
    basis, power = principal_components(images)
    shaped = isinstance(encoder.get_layer("stego"), ShapedRounding)
    gains = linear_hiding(power, carried, strength, shaped)
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
        for layer in model.layers:
            if layer.name.endswith("_components") or layer.name == "to_pixels":
                layer.set_weights([kernel])
            if isinstance(layer, layers.Normalization):
                values = {"0": np.zeros_like(power), "1": model_power, "2": np.array(0)}
                layer.load_own_variables(values)
    encoder.get_layer("fit_range").set_weights([kernel[..., :kept]])
    encoder.get_layer("linear_hiding").set_weights([place[None, None]])
    decoder.get_layer("linear_revealing").set_weights([read[None, None]])
    if shaped:
        reading = (basis[:, carrying] / gains).astype(np.float64)  # a stego error to the secret's
        cost = reading @ reading.T + beta * np.eye(DEPTH)
        encoder.get_layer("stego").set_weights(rounding_order(cost))


def linear_hider(
    images,
    carried: int = 84,
    strength: float = 2.4,
    beta: float = 6.0,
    shaped: bool = True,
    projections: int = 3,
) -> EncoderDecoder:
    """Linear hiding without any training.

    Args:
        images: uint8 [n, h, w, 3] to take principal components of.
        carried, strength, beta: as in `start_linear`. With plain rounding, `carried` 80 and
            `strength` 16 serve best.
        shaped, projections: as in `build_linear_encoder`.
    """
    encoder = build_linear_encoder(carried, shaped, projections)
    decoder = build_linear_decoder()
    start_linear(encoder, decoder, images, carried, strength, beta)
    return EncoderDecoder(encoder, decoder, "linear hiding")
