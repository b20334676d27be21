"""Serialisable Keras layers, and groups of layers, that the networks are made of."""

import keras
import numpy as np
from keras import layers, ops


def straight_through(rounding, x):
    """rounding(x), with the gradient of x (Bengio et al., 2013, https://arxiv.org/abs/1308.3432)."""
    return x + ops.stop_gradient(rounding(x) - x)


def round_to_8bit(x):
    """What `RoundTo8Bit` does."""
    return straight_through(ops.round, ops.clip(x, 0.0, 255.0))


@keras.saving.register_keras_serializable("steglib")
class RoundTo8Bit(layers.Layer):
    """Clips grey levels to 0…255 and rounds them, as saving to a file does.

    The gradient passes straight through the rounding, so that networks on both sides learn to live
    with it. A level that is clipped has no gradient: with one, it would be pushed further and
    further out.

    Returns:
        A float tensor of the input's shape that holds whole numbers.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, x):
        return round_to_8bit(x)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("steglib")
class FitRange(layers.Layer):
    """Moves an image into 0…255 without touching the components that carry the secret.

    Clipping would destroy what is written in a block with a black or a white pixel. The
    wanted image lies in two convex sets: that of the images within the range, and that of
    the images with given coefficients in the secret's components. Projecting on one and the
    other in turn approaches both (von Neumann's alternating projections, over-relaxed).

    Args:
        components: how many components may change. They are the layer's only weight, a frozen
            kernel [size, size, 3, components] of orthonormal blocks, zero until it is set.
        size: side of a block in pixels.
        projections: how often to project on each set.
        relaxation: how far to go each time, 1 for the projection itself, below 2.

    Returns:
        A tensor of the input's shape. What still lies outside the range is for `RoundTo8Bit`.
    """

    def __init__(self, components, size=8, projections=3, relaxation=1.5, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.components = components
        self.size = size
        self.projections = projections
        self.relaxation = relaxation

    def build(self, input_shape):
        shape = (self.size, self.size, 3, self.components)
        self.kernel = self.add_weight(shape, initializer="zeros", trainable=False, name="kernel")

    def call(self, x):
        for _ in range(self.projections):
            excess = ops.clip(x, 0.0, 255.0) - x
            change = ops.conv(excess, self.kernel, strides=self.size)
            x = x + self.relaxation * ops.conv_transpose(change, self.kernel, strides=self.size)
        return x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("components", "size", "projections", "relaxation")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _counted(shape, dtype=None):
    return ops.arange(shape[0], dtype=dtype)


@keras.saving.register_keras_serializable("steglib")
class ShapedRounding(layers.Layer):
    """Rounds grey levels to 0…255 so that the error stays out of the components that matter.

    The samples of a block are rounded one after the other, and each error is made up for by the
    samples that are still to come: the nearest plane algorithm (Babai, 1986,
    https://doi.org/10.1007/BF02579403), as noise shaping in audio. Gradients are those of
    `RoundTo8Bit`.

    Weights, frozen: `order` [d], the samples of a block in the order of rounding, and `feedback`
    [d, d], below the diagonal: what a sample (row) takes over of the error of an earlier one
    (column), both counted in that order. d = size·size·3. At first, nothing is taken over.

    Args:
        size: side of a block in pixels.

    Returns:
        A float tensor of the input's shape [n, h, w, 3] that holds whole numbers.
    """

    PANEL = 16  # samples after which errors are passed on to all others, by one product

    def __init__(self, size=8, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.size = size

    def build(self, input_shape):
        d = self.size * self.size * 3
        frozen = {"trainable": False}
        self.order = self.add_weight((d,), _counted, "int32", name="order", **frozen)
        self.feedback = self.add_weight((d, d), "zeros", name="feedback", **frozen)

    def call(self, x):
        clipped = ops.clip(x, 0.0, 255.0)
        rounded = self._round(ops.stop_gradient(x), self.order, self.feedback, ops)
        return clipped + ops.stop_gradient(rounded - clipped)

    def round_array(self, x):
        """The same for a NumPy array: there, many small operations in a row are faster."""
        return self._round(x, *self.get_weights(), np)

    def _round(self, x, order, feedback, math):
        _, h, w, _ = math.shape(x)
        tiles = math.reshape(x, (-1, h // self.size, self.size, w // self.size, self.size, 3))
        samples = math.reshape(math.transpose(tiles, (2, 4, 5, 0, 1, 3)), (self.size**2 * 3, -1))
        levels = self._round_in_order(math.take(samples, order, axis=0), feedback, math)
        levels = math.take(levels, math.argsort(order), axis=0)
        tiles = (self.size, self.size, 3, -1, h // self.size, w // self.size)
        levels = math.transpose(math.reshape(levels, tiles), (3, 4, 0, 5, 1, 2))
        return math.reshape(levels, (-1, h, w, 3))

    def _round_in_order(self, samples, feedback, math):
        """Samples [d, blocks] → levels [d, blocks]."""
        levels, errors = [], samples[:0]
        for start in range(0, samples.shape[0], self.PANEL):
            rows = feedback[start : start + self.PANEL]
            aims = samples[start : start + self.PANEL] + rows[:, :start] @ errors
            for i in range(rows.shape[0]):
                aim = aims[i]
                levels.append(math.clip(math.round(aim), 0.0, 255.0))
                aims = aims + rows[:, start + i, None] * (aim - levels[-1])
            errors = math.concatenate([errors, aims - math.stack(levels[start:])])
        return math.stack(levels)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def block_transform(components, size, name):
    """A frozen strided convolution: pixels → coefficients [n, h/size, w/size, components]."""
    return layers.Conv2D(
        components, size, size, use_bias=False, trainable=False, dtype="float32", name=name
    )


def inverse_block_transform(size, name):
    """A frozen transposed convolution: coefficients → image [n, h, w, 3]."""
    return layers.Conv2DTranspose(
        3, size, size, use_bias=False, trainable=False, dtype="float32", name=name
    )


def skip_block(x, hidden, name):
    """Adds to x [n, h, w, c] what a 3×3 convolution to `hidden` channels and a 1×1 one find.

    The sum is kept in float32: bfloat16 cannot hold 8-bit detail.
    """
    y = layers.Conv2D(hidden, 3, padding="same", activation="gelu", name=f"{name}_3x3")(x)
    y = layers.Conv2D(x.shape[-1], 1, name=f"{name}_1x1")(y)
    return layers.Add(dtype="float32", name=f"{name}_sum")([x, y])


def forget_initializers(network) -> None:
    """Replaces random initializers, of which newer versions of Keras save options.

    Older versions refuse these, and a trained network has no use for them.
    """
    for layer in network.layers:
        if hasattr(layer, "kernel_initializer"):
            layer.kernel_initializer = keras.initializers.Zeros()
