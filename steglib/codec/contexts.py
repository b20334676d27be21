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
LOGARITHMS = np.array([((m + 1) ** 16).bit_length() - 1 for m in range(4096)]) / 16


class Exact:
    """The arithmetic of `walk` in NumPy, without an inexact operation."""

    pad, concatenate, clip = np.pad, np.concatenate, np.clip

    def round(x, unit=1.0):
        return np.floor(x * (1 / unit) + 0.5) * unit

    def activation(x):
        return np.clip(Exact.round(x, 2.0**-10), 0, 1024)

    def log_magnitude(x):
        """Rounded down to sixteenths, from a table made with integers."""
        return LOGARITHMS[np.minimum(np.abs(x), len(LOGARITHMS) - 1).astype(np.int32)]


def walk(network, step, code, xp):
    """Goes through the groups; each is predicted, coded, and told to those after it.

    Args:
        network: a layer (a function of an array) for each name in `layer_sizes`.
        step: log2 of the quantiser's step, [n, rows, columns, 1].
        code: called with (group, prediction, log2 of the scale, where); gives the residuals,
            whole numbers [n, rows, columns, GROUPS[group]]. `where` says which blocks are meant,
            bool [rows, columns], None for all.
        xp: `Exact`, or `codec_networks.Training`.
    """
    means, residuals = _walk_means(network, step, code, xp)
    near = _neighbours(means, xp)
    middle = xp.round((near[1] + near[3] + near[5] + near[7]) / 4)
    slopes = means - middle, near[1] - near[7], near[3] - near[5]
    told = [xp.log_magnitude(slope) for slope in slopes]
    waiting = network["slopes"](xp.concatenate([*told, step], -1))
    values, predictions = means, 0
    for group in range(1, len(GROUPS)):
        near = _neighbours(xp.log_magnitude(residuals), xp)
        told = near[4], near[3] + near[5], near[1] + near[7], near[0] + near[2] + near[6] + near[8]
        waiting = waiting + network[f"tell_{group - 1}"](xp.concatenate(told, -1))
        if group <= PREDICTING:
            near = _neighbours(values, xp)
            predictions = predictions + network[f"predict_{group - 1}"](xp.concatenate(near, -1))
        hidden = xp.activation(network[f"mix_{group}"](xp.activation(waiting[..., :HIDDEN])))
        scale = xp.clip(network[f"scale_{group}"](hidden), *SCALES)
        prediction = xp.round(predictions[..., : GROUPS[group]])
        residuals = code(group, prediction, scale, None)
        values = prediction + residuals
        waiting, predictions = waiting[..., HIDDEN:], predictions[..., GROUPS[group] :]


def _walk_means(network, step, code, xp):
    """The first group, the blocks' means, in three passes: each from the passes before."""
    rows, columns = step.shape[1:3]
    odd_row, odd_column = np.arange(rows)[:, None] % 2 == 1, np.arange(columns) % 2 == 1
    means = residuals = xp.concatenate([0 * step] * GROUPS[0], -1)
    diagonal, straight = (0, 2, 6, 8), (1, 3, 5, 7)
    passes = (
        (~odd_row & ~odd_column, diagonal),
        (odd_row & odd_column, diagonal),
        (odd_row ^ odd_column, straight),
    )
    for i, (where, corners) in enumerate(passes):
        near = _neighbours(means, xp)
        a, b, c, d = (near[corner] for corner in corners)
        spread = [xp.log_magnitude(x) for x in (a - d, b - c, a - b, c - d)]
        hidden = xp.activation(network[f"means_mix_{i}"](xp.concatenate([*spread, step], -1)))
        scale = xp.clip(network[f"means_scale_{i}"](hidden), *SCALES)
        prediction = xp.round((a + b + c + d) / 4)
        here = where[..., None].astype("float32")
        residual = code(0, prediction, scale, where) * here
        means = means + (prediction + residual) * here
        residuals = residuals + residual
    return means, residuals


def _neighbours(x, xp):
    """The 3×3 blocks around each, itself as number 4; the border is repeated outwards."""
    rows, columns = x.shape[1:3]
    padded = xp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    return [padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]


def layer_sizes() -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each layer that `walk` calls, by name."""
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
    """The layers that `walk` calls with `Exact` arithmetic, from `exact_weights`."""

    def layer(name):
        kernel = weights[f"{name}/kernel"] * 2.0**-12
        bias = weights.get(f"{name}/bias", np.zeros(1)) * 2.0**-12
        return lambda x: x @ kernel + bias

    return {name: layer(name) for name in layer_sizes()}
