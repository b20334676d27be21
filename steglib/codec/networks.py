"""The codec's network, to be trained."""

import keras
import numpy as np
from keras import layers, ops

from steglib.codec.contexts import (
    BRIGHTEST,
    EXACT,
    GROUPS,
    LARGEST,
    PREDICTING_WEIGHT,
    QUARTER,
    SIXTEENTH,
    STARTS,
    code_groups,
    has_bias,
    layer_limits,
    weight_unit,
)

THRIFT = 0.1  # squared steps that a bit is worth, in training
DEAREST = 8.0  # bits that the step away from 0 takes at most
# The weights that predict a value add up to less, so that every sum is exact, even when rounded.
MOST = 0.85 * EXACT * QUARTER * PREDICTING_WEIGHT / LARGEST


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


class SmallSums(keras.constraints.Constraint):
    """Scales the weights of an output down whose sizes add up to more than `MOST`."""

    def __call__(self, kernel):
        sums = ops.sum(ops.abs(kernel), 0, keepdims=True)
        return kernel * (MOST / ops.maximum(sums, MOST))


class WholeDense(layers.Layer):
    """A dense layer whose weights are rounded to multiples of a unit; gradients pass.

    Args:
        outputs: how many.
        unit: of the weights.
        bias: what it begins with; None for no bias.
        kernel: options of its `add_weight`.
    """

    def __init__(self, outputs, unit, bias=None, kernel=None, **kwargs):
        super().__init__(**kwargs)
        self.outputs, self.unit, self.first = outputs, unit, bias
        self.options, self.bias = kernel or {}, None

    def build(self, shape):
        sides = shape[-1], self.outputs
        self.kernel = self.add_weight(shape=sides, name="kernel", **self.options)
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
    Returns: of each level, between which distances from 0 it stands for a residual, and log2 of the
        residual's scale, [n, rows, columns, 192, 3].
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.network = {}
        for name, (limits, outputs) in layer_limits().items():
            first = 6.0 if name.startswith("means_scale") else 0.0  # means are large
            predicts = {"initializer": "zeros", "constraint": SmallSums()}
            layer = WholeDense(
                outputs,
                weight_unit(name),
                first if has_bias(name) else None,
                predicts if name.startswith("predict") else {"initializer": "glorot_uniform"},
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
            between = rulers(*coefficients.shape[1:3], GROUPS[group]) if group else 0.0
            marks, near, far = thrifty_marks(wanted - prediction, scale, between, bool(group))
            groups[group] += ops.stack([near, far, scale], -1) * mask[..., None]
            return marks * mask

        code_groups(self.network, step[:, None, None] + 0 * coefficients[..., :1], code, KerasMath)
        return ops.concatenate(groups, -2)


def rulers(rows: int, columns: int, channels: int) -> np.ndarray:
    """Which ruler training uses for each level, evenly mixed: float32 [rows, columns, channels]."""
    row, column, channel = np.indices((rows, columns, channels))
    return np.float32((row // 2 + column // 2 + channel) % 2)


def thrifty_marks(residuals, scale, between, thrifty=True):
    """The marks that are nearest, or one nearer to 0 where that saves more bits than it costs.

    So training chooses one by one what a codec chooses together (`levels`), and bits are what a
    logistic distribution charges far from its middle.

    Args:
        residuals: in steps, [n, rows, columns, k].
        scale: its log2.
        between: 1 where the ruler has its marks between the steps, else 0.
        thrifty: whether bits count.

    Returns:
        The marks, with the gradients of the residuals; and from where to where, in |residual|, one
        belongs to its mark, if bits do not count.
    """
    size = ops.abs(residuals)
    level = ops.round(size + between * ops.where(size < 0.25, 0.0, 0.5))
    mark = ops.maximum(level - between / 2, 0)
    gap = ops.where(mark == 0.5, 0.5, 1.0)  # to the next one nearer to 0
    saved = gap * ops.minimum(2.0**-scale / np.log(2), DEAREST)
    nearer = (level > 0) & (size < mark - gap / 2 + THRIFT / (2 * gap) * saved)
    if thrifty:
        mark = ops.where(nearer, mark - gap, mark)
    first = ops.where(between == 1, 0.25, 0.5)  # half of the way from 0 to the first mark
    below, above = ops.where(mark < 1, first, 0.5), ops.where(mark == 0, first, 0.5)
    mark = size + ops.stop_gradient(mark - size)
    return ops.sign(residuals) * mark, mark - below, mark + above


def rate_loss(y_true, y_pred):
    """Bits for each residual: what a logistic distribution of the given scale charges.

    Args:
        y_true: not used; all is in what the network returns.
        y_pred: what `ContextNetwork` returns.

    Returns:
        [n], mean over the coefficients of a picture.
    """
    near, far, scale = y_pred[..., 0], y_pred[..., 1], 2.0 ** y_pred[..., 2]
    chance = ops.sigmoid(-near / scale) - ops.sigmoid(-far / scale)
    return ops.mean(-ops.log2(ops.maximum(chance, 1e-6)), axis=(1, 2, 3))


def exact_weights(network: ContextNetwork) -> dict[str, np.ndarray]:
    """The trained weights in units, int32: "<layer>/kernel" and "<layer>/bias"."""
    return {
        f"{name}/{weight}": array
        for name, layer in network.network.items()
        for weight, array in layer.whole_weights().items()
    }
