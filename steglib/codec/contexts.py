"""How large is each coefficient? Told by those known before it, by arithmetic that never rounds.

The coefficients of a picture's 8×8 blocks, [n, rows, columns, 192] in units of the quantiser's
step, are coded in `GROUPS` from low to high frequencies, each group for all blocks at once. So a
block knows the earlier groups of its neighbours on every side (groups of channels: Minnen and
Singh, 2020, https://arxiv.org/abs/2007.08739). What is known predicts the values of a group
(linear layers) and the scale of the residuals that are left (small networks).

A decoder on another machine must find the very same scales, or noise follows. So the networks
that Keras trains run in NumPy with weights and activations that are multiples of powers of two:
float64 adds those exactly, in any order (the same idea with integers: Ballé et al., 2019,
https://openreview.net/forum?id=S1zz2i0cY7).
"""

import numpy as np

GROUPS = (3, 3, 6, 6, 9, 9, 12, 12, 18, 18, 24, 24, 24, 24)
STARTS = tuple(np.cumsum((0, *GROUPS)).tolist())
HIDDEN = 64
SCALES = -5.0, 11.0  # log2, in steps
PREDICTING = 6  # so many groups predict values; all of them tell scales
EVERYWHERE = slice(None)
LOGARITHMS = np.array([((m + 1) ** 16).bit_length() - 1 for m in range(4096)]) / 16


class ExactMath:
    """The arithmetic of `code_groups` in NumPy, without an inexact operation."""

    pad, concatenate, clip = np.pad, np.concatenate, np.clip

    def round(x, unit=1.0):
        return np.floor(x * (1 / unit) + 0.5) * unit

    def activation(x):
        return np.clip(ExactMath.round(x, 2.0**-10), 0, 1024)

    def log_magnitude(x):
        """log2(1 + |x|) rounded down to sixteenths, from a table made with integers."""
        return LOGARITHMS[np.minimum(np.abs(x), len(LOGARITHMS) - 1).astype(np.int32)]


def subtract_predictions(network, coefficients, log_steps) -> list[tuple]:
    """What a picture's coefficients leave to be coded.

    Args:
        network: from `exact_layers`.
        coefficients: whole numbers, in steps, [n, rows, columns, 192].
        log_steps: log2 of each picture's step, [n].

    Returns:
        For each group, the means' being three: residuals int32 [n, k], and log2 of their scales.
    """
    groups = []

    def code(group, prediction, scale, blocks):
        residuals = coefficients[..., STARTS[group] : STARTS[group + 1]] - prediction
        groups.append((_flat(residuals, blocks).astype(np.int32), _flat(scale, blocks)))
        return residuals

    code_groups(network, _step_map(log_steps, *coefficients.shape[1:3]), code, ExactMath)
    return groups


def add_predictions(network, log_steps, rows: int, columns: int, read) -> np.ndarray:
    """The inverse of `subtract_predictions`, float32 [n, rows, columns, 192].

    Args:
        read: called with log2 of the scales of some residuals, [n, k]; gives these residuals.
    """
    coefficients = np.zeros((len(log_steps), rows, columns, STARTS[-1]), np.float32)

    def code(group, prediction, scale, blocks):
        residuals = np.zeros(scale.shape)
        residuals[:, blocks] = np.reshape(read(_flat(scale, blocks)), residuals[:, blocks].shape)
        known = coefficients[..., STARTS[group] : STARTS[group + 1]]
        known[:, blocks] = (prediction + residuals)[:, blocks]
        return residuals

    code_groups(network, _step_map(log_steps, rows, columns), code, ExactMath)
    return coefficients


def _step_map(log_steps, rows, columns):
    return np.broadcast_to(log_steps[:, None, None, None], (len(log_steps), rows, columns, 1))


def _flat(x, blocks):
    return x[:, blocks].reshape(len(x), -1)


def code_groups(network, step, code, math) -> None:
    """Goes through the groups: predicts each, has it coded, and tells it to those after it.

    Args:
        network: a layer (a function of an array) for each name in `layer_sizes`.
        step: log2 of the quantiser's step, [n, rows, columns, 1].
        code: called with (group, prediction, log2 of the scale, blocks); gives the residuals,
            whole numbers [n, rows, columns, GROUPS[group]]. `blocks` says which ones are meant:
            a mask, bool [rows, columns], or `EVERYWHERE`.
        math: `ExactMath`, or `networks.KerasMath`.
    """
    values, residuals = _code_means(network, step, code, math)
    # Of the groups to come, one after the other: the networks' first layers, and the predictions.
    evidence, predictions = _tell_slopes(network, values, step, math), 0
    for group in range(1, len(GROUPS)):
        evidence = evidence + _tell_sizes(network, group - 1, residuals, math)
        if group <= PREDICTING:
            predictions = predictions + _predict(network, group - 1, values, math)
        scale = _scale(network, group, evidence[..., :HIDDEN], math)
        prediction = math.round(predictions[..., : GROUPS[group]])
        residuals = code(group, prediction, scale, EVERYWHERE)
        values = prediction + residuals
        evidence, predictions = evidence[..., HIDDEN:], predictions[..., GROUPS[group] :]


def _code_means(network, step, code, math):
    """The first group, the blocks' means, in three passes: each from the passes before."""
    rows, columns = step.shape[1:3]
    odd_row, odd_column = np.arange(rows)[:, None] % 2 == 1, np.arange(columns) % 2 == 1
    means = residuals = math.concatenate([0 * step] * GROUPS[0], -1)
    diagonal, straight = (0, 2, 6, 8), (1, 3, 5, 7)
    passes = (
        (~odd_row & ~odd_column, diagonal),
        (odd_row & odd_column, diagonal),
        (odd_row ^ odd_column, straight),
    )
    for i, (blocks, corners) in enumerate(passes):
        near = _neighbours(means, math)
        a, b, c, d = (near[corner] for corner in corners)
        spread = [math.log_magnitude(x) for x in (a - d, b - c, a - b, c - d)]
        hidden = math.activation(network[f"means_mix_{i}"](math.concatenate([*spread, step], -1)))
        scale = math.clip(network[f"means_scale_{i}"](hidden), *SCALES)
        prediction = math.round((a + b + c + d) / 4)
        mask = blocks[..., None].astype("float32")
        residual = code(0, prediction, scale, blocks) * mask
        means = means + (prediction + residual) * mask
        residuals = residuals + residual
    return means, residuals


def _tell_slopes(network, means, step, math):
    """How much the means differ from their neighbours, told to all other groups."""
    near = _neighbours(means, math)
    middle = math.round((near[1] + near[3] + near[5] + near[7]) / 4)
    slopes = means - middle, near[1] - near[7], near[3] - near[5]
    sizes = [math.log_magnitude(slope) for slope in slopes]
    return network["slopes"](math.concatenate([*sizes, step], -1))


def _tell_sizes(network, group, residuals, math):
    """How large a group's residuals are, here and around, told to all groups after it."""
    near = _neighbours(math.log_magnitude(residuals), math)
    beside, above_below = near[3] + near[5], near[1] + near[7]
    corners = near[0] + near[2] + near[6] + near[8]
    return network[f"tell_{group}"](math.concatenate([near[4], beside, above_below, corners], -1))


def _predict(network, group, values, math):
    """What a group's values, here and around, predict for all groups after it."""
    return network[f"predict_{group}"](math.concatenate(_neighbours(values, math), -1))


def _scale(network, group, evidence, math):
    """log2 of the scale of a group's residuals."""
    hidden = math.activation(network[f"mix_{group}"](math.activation(evidence)))
    return math.clip(network[f"scale_{group}"](hidden), *SCALES)


def _neighbours(x, math):
    """The 3×3 blocks around each, itself as number 4; the border is repeated outwards."""
    rows, columns = x.shape[1:3]
    padded = math.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    return [padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]


def layer_sizes() -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each layer that `code_groups` calls, by name."""
    means, groups = GROUPS[0], len(GROUPS)
    sizes = {"slopes": (3 * means + 1, HIDDEN * (groups - 1))}
    for i in range(3):
        sizes[f"means_mix_{i}"] = (4 * means + 1, HIDDEN // 4)
        sizes[f"means_scale_{i}"] = (HIDDEN // 4, means)
    for group, size in enumerate(GROUPS):
        if group < PREDICTING:
            sizes[f"predict_{group}"] = (9 * size, STARTS[-1] - STARTS[group + 1])
        if group < groups - 1:
            sizes[f"tell_{group}"] = (4 * size, HIDDEN * (groups - 1 - group))
        if group > 0:
            sizes[f"mix_{group}"] = (HIDDEN, HIDDEN)
            sizes[f"scale_{group}"] = (HIDDEN, size)
    return sizes


def exact_layers(weights: dict[str, np.ndarray]) -> dict:
    """The layers that `code_groups` calls with `ExactMath`, from `exact_weights`."""

    def layer(name):
        kernel = weights[f"{name}/kernel"] * 2.0**-12
        bias = weights.get(f"{name}/bias", np.zeros(1)) * 2.0**-12
        return lambda x: x @ kernel + bias

    return {name: layer(name) for name in layer_sizes()}
