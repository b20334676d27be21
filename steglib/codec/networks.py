"""The codec's network, to be trained."""

import keras
import numpy as np
from keras import layers, ops

from steglib.codec.contexts import (
    BRIGHTEST,
    SIXTEENTH,
    STARTS,
    code_groups,
    has_bias,
    layer_limits,
    weight_unit,
)
from steglib.codec.entropy import THRIFT

DEAREST = 8.0  # bits that the step away from 0 takes at most


class KerasMath:
    """The arithmetic of `code_groups` in Keras: rounded as there, and gradients pass.

    All blocks are worked on at once; where only some are meant, a mask takes the others out.
    """

    concatenate, clip = ops.concatenate, ops.clip

    def round(x, unit=1.0):
        return x + ops.stop_gradient(ops.round(x / unit) * unit - x)

    def activation(x):
        return ops.clip(KerasMath.round(x, SIXTEENTH), 0, BRIGHTEST)

    def log_magnitude(x):
        return ops.stop_gradient(ops.floor(8 * ops.log2(1 + ops.abs(x)) + 1e-3) / 8)

    def pad(x):
        return ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")

    def at(x, blocks):
        return x

    class Known:
        def __init__(self, like, most):
            self._parts = []

        def add(self, parts):
            self._parts += parts

        def tell(self, layer):
            return layer(ops.concatenate(self._parts, -1))


class WholeDense(layers.Layer):
    """A dense layer whose weights are rounded to multiples of a unit; gradients pass.

    Args:
        outputs: how many.
        unit: of the weights.
        bias: what it begins with; None for no bias.
        kernel_initializer: as in Keras.
    """

    def __init__(self, outputs, unit, bias=None, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.outputs, self.unit, self.first = outputs, unit, bias
        self.kernel_initializer, self.bias = kernel_initializer, None

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], self.outputs), initializer=self.kernel_initializer, name="kernel"
        )
        if self.first is not None:
            constant = keras.initializers.Constant(self.first)
            self.bias = self.add_weight(shape=(self.outputs,), initializer=constant, name="bias")

    def call(self, x):
        y = x @ KerasMath.round(self.kernel, self.unit)
        return y if self.bias is None else y + KerasMath.round(self.bias, self.unit)

    def whole_weights(self) -> dict[str, np.ndarray]:
        """Each weight in units, int32."""
        found = {weight.name: ops.convert_to_numpy(weight) for weight in self.weights}
        return {name: np.rint(w / self.unit).astype(np.int32) for name, w in found.items()}


class ContextNetwork(keras.Model):
    """The networks of `code_groups`, to be trained.

    Inputs: coefficients in steps, [n, rows, columns, 192], and log2 of the step, [n, 1].
    Returns: residuals and log2 of their scales, [n, rows, columns, 192, 2].
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.network = {}
        for name, (limits, outputs) in layer_limits().items():
            first = 6.0 if name.startswith("means_scale") else 0.0  # means are large
            layer = WholeDense(
                outputs,
                weight_unit(name),
                first if has_bias(name) else None,
                "zeros" if name.startswith("predict") else "glorot_uniform",
                name=name,
            )
            layer.build((None, len(limits)))
            self.network[name] = layer
        self.built = True

    def call(self, inputs):
        coefficients, step = inputs
        step = ops.round(8 * step) / 8
        groups = [0] * (len(STARTS) - 1)

        def code(group, prediction, scale, blocks):
            mask = blocks[..., None].astype("float32")
            wanted = coefficients[..., STARTS[group] : STARTS[group + 1]]
            residuals = thrifty(wanted - prediction, scale) if group else wanted - prediction
            residuals = KerasMath.round(residuals) * mask
            groups[group] += ops.stack([residuals, scale * mask], -1)
            return residuals

        code_groups(self.network, step[:, None, None] + 0 * coefficients[..., :1], code, KerasMath)
        return ops.concatenate(groups, -2)


def thrifty(residuals, scale):
    """Takes residuals a whole step nearer to 0 where that saves more bits than it costs error.

    In training, bits are what a logistic distribution charges far from its middle.
    """
    size = ops.abs(residuals)
    saved = ops.minimum(2.0**-scale / np.log(2), DEAREST)
    nearer = (size > 0.5) & (size < ops.round(size) - 0.5 + THRIFT / 2 * saved)
    return residuals - ops.stop_gradient(ops.where(nearer, ops.sign(residuals), 0))


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
    """The trained weights in units, int32: "<layer>/kernel" and "<layer>/bias"."""
    return {
        f"{name}/{weight}": array
        for name, layer in network.network.items()
        for weight, array in layer.whole_weights().items()
    }
