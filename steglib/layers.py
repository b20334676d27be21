"""Serialisable Keras layers, and groups of layers, that the networks are made of."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("steglib")
class RoundTo8Bit(layers.Layer):
    """Clips grey levels to 0…255 and rounds them, as saving to a file does.

    The gradient passes straight through the rounding (Bengio et al., 2013,
    https://arxiv.org/abs/1308.3432), so that networks on both sides learn to live with it. A level
    that is clipped has no gradient: with one, it would be pushed further and further out.

    Returns:
        A float tensor of the input's shape that holds whole numbers.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, x):
        clipped = ops.clip(x, 0.0, 255.0)
        return clipped + ops.stop_gradient(ops.round(clipped) - clipped)

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
        steps: how often to project.
        relaxation: how far to go each time, 1 for the projection itself, below 2.

    Returns:
        A tensor of the input's shape. What still lies outside the range is for `RoundTo8Bit`.
    """

    def __init__(self, components, size=8, steps=3, relaxation=1.5, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.components = components
        self.size = size
        self.steps = steps
        self.relaxation = relaxation

    def build(self, input_shape):
        shape = (self.size, self.size, 3, self.components)
        self.kernel = self.add_weight(shape, initializer="zeros", trainable=False, name="kernel")

    def call(self, x):
        for _ in range(self.steps):
            excess = ops.clip(x, 0.0, 255.0) - x
            change = ops.conv(excess, self.kernel, strides=self.size)
            x = x + self.relaxation * ops.conv_transpose(change, self.kernel, strides=self.size)
        return x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("components", "size", "steps", "relaxation")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


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
