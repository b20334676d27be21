"""The codec's networks, to be trained: `ContextNetwork` and the restorer."""

import keras
import numpy as np
from keras import layers, ops

from steglib.codec.contexts import EVERYWHERE, STARTS, code_groups, layer_sizes
from steglib.layers import skip_block


class KerasMath:
    """The arithmetic of `code_groups` in Keras: nothing rounded but symbols, and gradients pass."""

    pad, concatenate, clip = ops.pad, ops.concatenate, ops.clip

    def round(x, unit=1.0):
        return x + ops.stop_gradient(ops.floor(x / unit + 0.5) * unit - x)

    def activation(x):
        return ops.relu(x)

    def log_magnitude(x):
        return ops.stop_gradient(ops.floor(16 * ops.log2(1 + ops.abs(x)) + 1e-3) / 16)


class ContextNetwork(keras.Model):
    """The networks of `code_groups`, to be trained.

    Inputs: coefficients in steps, [n, rows, columns, 192], and log2 of the step, [n, 1].
    Returns: residuals and log2 of their scales, [n, rows, columns, 192, 2].
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.network = {}
        for name, (inputs, outputs) in layer_sizes().items():
            bias = not name.startswith(("tell", "predict"))
            kernel = "zeros" if name.startswith("predict") else "glorot_uniform"
            first = 6.0 if name.startswith("means_scale") else 0.0  # means are large
            layer = layers.Dense(
                outputs,
                use_bias=bias,
                kernel_initializer=kernel,
                bias_initializer=keras.initializers.Constant(first),
                name=name,
            )
            layer.build((None, inputs))
            self.network[name] = layer
        self.built = True

    def call(self, inputs):
        coefficients, step = inputs
        groups = []

        def code(group, prediction, scale, blocks):
            mask = 1.0 if blocks is EVERYWHERE else blocks[..., None].astype("float32")
            wanted = coefficients[..., STARTS[group] : STARTS[group + 1]]
            residuals = KerasMath.round(wanted - prediction)
            groups.append(ops.stack([residuals * mask, scale * mask], -1))
            return residuals

        step = step[:, None, None] + 0 * coefficients[..., :1]
        code_groups(self.network, step, code, KerasMath)
        means = groups[0] + groups[1] + groups[2]
        return ops.concatenate([means, *groups[3:]], -2)


def rate_loss(y_true, y_pred):
    """Bits for each residual: what a logistic distribution of the given scale charges.

    Args:
        y_true: not used; the residuals come with the scales.
        y_pred: what `ContextNetwork` returns.

    Returns:
        [n], mean over the coefficients of a picture.
    """
    distance, scale = ops.abs(y_pred[..., 0]), 2.0 ** y_pred[..., 1]
    chance = ops.sigmoid((0.5 - distance) / scale) - ops.sigmoid((-0.5 - distance) / scale)
    return ops.mean(-ops.log2(ops.maximum(chance, 1e-6)), axis=(1, 2, 3))


def exact_weights(network: ContextNetwork) -> dict[str, np.ndarray]:
    """The trained weights in multiples of 2^-12, int32: "<layer>/kernel" and "<layer>/bias"."""
    return {
        f"{name}/{weight.name}": np.rint(ops.convert_to_numpy(weight) * 2.0**12).astype(np.int32)
        for name, layer in network.network.items()
        for weight in layer.weights
    }


def build_restorer(width: int = 96, hidden: int = 96, blocks: int = 4) -> keras.Model:
    """A network that begins as the identity: ([n, h, w, 3], log2 step [n, 1]) → [n, h, w, 3].

    Grey levels, float32; h and w are multiples of 4. It works at a quarter of the resolution
    and adds its findings in units of the step.
    """
    picture = keras.Input((None, None, 3), name="picture")
    log_step = keras.Input((1,), name="log_step")
    x = layers.Conv2D(width, 4, 4, dtype="float32", name="down")(
        layers.Rescaling(1 / 64, -2.0, dtype="float32")(picture)
    )
    known = layers.Dense(width, dtype="float32", name="step")(log_step)
    x = layers.Add(dtype="float32")([x, layers.Reshape((1, 1, width), dtype="float32")(known)])
    for block in range(blocks):
        x = skip_block(x, hidden, f"block_{block}")
    found = layers.Conv2DTranspose(3, 4, 4, kernel_initializer="zeros", dtype="float32", name="up")(
        x
    )
    step = ops.reshape(2.0**log_step, (-1, 1, 1, 1))
    return keras.Model([picture, log_step], picture + step * found, name="restorer")
