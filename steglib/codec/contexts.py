"""How large is each coefficient? Told by those known before it, by arithmetic that never rounds.

The coefficients of a picture's 8×8 blocks, [n, rows, columns, 192] in units of the quantiser's
step, are coded in `GROUPS` from low to high frequencies, each group for half of the blocks at
once, and then for the other half: a chessboard (He et al., 2021,
https://arxiv.org/abs/2103.15306). So a block knows the earlier groups of its neighbours on every
side (groups of channels: Minnen and Singh, 2020, https://arxiv.org/abs/2007.08739), and every
second block their values in its own group. What is known predicts the values of a group (linear
layers) and the scale of the residuals that are left (small networks).

A decoder on another machine must find the very same scales, or noise follows. So the networks
that Keras trains run in NumPy with weights and activations that are small multiples of powers of
two: float32 adds those exactly, in any order, as long as no sum exceeds 2^24 units (the same idea
with integers: Ballé et al., 2019, https://openreview.net/forum?id=S1zz2i0cY7).
"""

import numpy as np

GROUPS = (3, 3, 6, 6, 9, 9, 12, 12, 18, 18, 24, 24, 24, 24)
STARTS = tuple(np.cumsum((0, *GROUPS)).tolist())
HIDDEN = 64
SCALES = -5.0, 11.0  # log2, in steps
PREDICTED = 8  # so many groups, after the means, have their values predicted
WEIGHT, PREDICTING_WEIGHT = 2.0**-8, 2.0**-10  # units of weights
QUARTER = 2.0**-2  # unit of predictions, in steps
EIGHTH, SIXTEENTH = 2.0**-3, 2.0**-4  # units of logarithms and of activations
BRIGHTEST = 255 * SIXTEENTH  # the largest activation
LARGEST = 2047  # value that predicts others
LOGARITHMS = np.float32([((m + 2) ** 8).bit_length() - 9 for m in range(8192)]) / 8  # of halves
EXACT = 2**24  # float32 holds every whole number up to it


class ExactMath:
    """The arithmetic of `code_groups` in NumPy, without an inexact operation."""

    concatenate, clip, round = np.concatenate, np.clip, np.rint

    def activation(x):
        return np.clip(np.rint(x * np.float32(16)), 0, 255) * np.float32(SIXTEENTH)

    def log_magnitude(x):
        """log2(1 + |x|) rounded down to eighths, for halves, from a table made with integers."""
        return LOGARITHMS[np.minimum(2 * np.abs(x), len(LOGARITHMS) - 1).astype(np.int16)]

    def pad(x):
        return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")

    def at(x, blocks):
        """Of [n, rows, columns, k], those blocks, [n, count, k]."""
        return x.reshape(len(x), -1, x.shape[-1]).take(np.flatnonzero(blocks), axis=1)

    def spread(x, blocks):
        """The inverse of `at`: 0 for all other blocks."""
        whole = np.zeros((len(x), blocks.size, x.shape[-1]), x.dtype)
        whole[:, np.flatnonzero(blocks)] = x
        return whole.reshape(len(x), *blocks.shape, -1)

    class Known:
        """What is known of each block, and grows: up to `most` numbers."""

        def __init__(self, like, most):
            self._shape, self._filled = like.shape[:3], 0
            self._all = np.empty((like[..., 0].size, most), np.float32)

        def add(self, parts):
            for part in parts:
                end = self._filled + part.shape[-1]
                self._all[:, self._filled : end] = part.reshape(-1, part.shape[-1])
                self._filled = end

        def tell(self, layer):
            return layer(self._all[:, : self._filled]).reshape(*self._shape, -1)


def code_groups(network, step, code, math) -> None:
    """Goes through the groups: predicts each, has it coded, and tells it to those after it.

    Args:
        network: a layer (a function of an array) for each name in `layer_sizes`.
        step: log2 of the quantiser's step, in eighths, [n, rows, columns, 1].
        code: called with (group, prediction, log2 of the scale, blocks); gives the residuals,
            whole and half numbers [n, rows, columns, GROUPS[group]], 0 where `blocks`, a mask bool
            [rows, columns], is not set. The scale is what `math.at` gives for those blocks.
        math: `ExactMath`, or `networks.KerasMath`.
    """
    means, residuals = _code_means(network, step, code, math)
    known = math.Known(step, 10 + 4 * STARTS[-2])
    known.add(_slopes(means, step, math))
    values = math.Known(step, 9 * STARTS[PREDICTED])
    values.add(_limited([means - near for near in _neighbours(means, math)], math))
    for group in range(1, len(GROUPS)):
        known.add(_sizes(residuals, math))
        evidence = known.tell(network[f"tell_{group}"])
        nothing = math.concatenate([0 * step] * GROUPS[group], -1)
        prediction, predicts = nothing, group <= PREDICTED
        if predicts:
            told = values.tell(network[f"predict_{group}"])
            prediction = math.round(told / QUARTER) * QUARTER
        residuals = nothing
        for odd, blocks in enumerate(chessboard(*step.shape[1:3])):
            heard = math.at(evidence, blocks)
            if odd:
                heard = heard + network[f"same_{group}"](math.at(_beside(residuals, math), blocks))
            hidden = math.activation(network[f"mix_{group}"](math.activation(heard)))
            scale = math.clip(network[f"scale_{group}"](hidden), *SCALES)
            residuals = residuals + code(group, prediction, scale, blocks)
        if group < PREDICTED:
            values.add(_limited(_neighbours(prediction + residuals, math), math))


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
        heard = math.at(math.concatenate([*spread, step], -1), blocks)
        hidden = math.activation(network[f"means_mix_{i}"](heard))
        scale = math.clip(network[f"means_scale_{i}"](hidden), *SCALES)
        prediction = math.round((a + b + c + d) / 4)
        residual = code(0, prediction, scale, blocks)
        means = means + residual + prediction * blocks[..., None].astype("float32")
        residuals = residuals + residual
    return means, residuals


def chessboard(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of blocks, bool [rows, columns]: no two neighbours in a row or column share one."""
    odd = (np.arange(rows)[:, None] + np.arange(columns)) % 2 == 1
    return ~odd, odd


def _slopes(means, step, math):
    """How much the means differ from their neighbours."""
    near = _neighbours(means, math)
    middle = math.round((near[1] + near[3] + near[5] + near[7]) / 4)
    slopes = means - middle, near[1] - near[7], near[3] - near[5]
    return [*(math.log_magnitude(slope) for slope in slopes), step]


def _sizes(residuals, math):
    """How large a group's residuals are, here and around."""
    near = _neighbours(math.log_magnitude(residuals), math)
    return [near[4], *_sides(near), near[0] + near[2] + near[6] + near[8]]


def _beside(residuals, math):
    """How large they are in the four blocks that touch each one."""
    return math.concatenate(_sides(_neighbours(math.log_magnitude(residuals), math)), -1)


def _sides(near):
    return [near[3] + near[5], near[1] + near[7]]


def _limited(arrays, math):
    return [math.clip(array, -LARGEST, LARGEST) for array in arrays]


def _neighbours(x, math):
    """The 3×3 blocks around each, itself as number 4; the border is repeated outwards."""
    rows, columns = x.shape[1:3]
    padded = math.pad(x)
    return [padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]


def layer_limits() -> dict[str, tuple[np.ndarray, int]]:
    """Of each layer that `code_groups` calls: the largest input of each kind, and its outputs."""
    means, log, step = GROUPS[0], LOGARITHMS[-1], 9.0
    bright = np.full(HIDDEN, BRIGHTEST)
    limits = {}
    for i in range(3):
        limits[f"means_mix_{i}"] = np.repeat([log, step], (4 * means, 1)), HIDDEN // 4
        limits[f"means_scale_{i}"] = bright[: HIDDEN // 4], means
    known = [np.repeat([log, step], (3 * means, 1))]
    for group in range(1, len(GROUPS)):
        known.append(np.repeat([log, 2 * log, 2 * log, 4 * log], GROUPS[group - 1]))
        limits[f"tell_{group}"] = np.concatenate(known), HIDDEN
        limits[f"same_{group}"] = np.full(2 * GROUPS[group], 2 * log), HIDDEN
        limits[f"mix_{group}"] = bright, HIDDEN
        limits[f"scale_{group}"] = bright, GROUPS[group]
        if group <= PREDICTED:
            limits[f"predict_{group}"] = np.full(9 * STARTS[group], LARGEST), GROUPS[group]
    return limits


def weight_unit(name: str) -> float:
    """Of which number a layer's weights are multiples."""
    return PREDICTING_WEIGHT if name.startswith("predict") else WEIGHT


def has_bias(name: str) -> bool:
    """Whether a layer adds a constant."""
    return not name.startswith(("same", "predict"))


def largest_sums(weights: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest sum, in units of what is added, that each layer could ever come to.

    Args:
        weights: from `networks.exact_weights`.
    """
    sums = {}
    for name, (limits, _) in layer_limits().items():
        unit = EIGHTH if name.startswith(("tell", "same", "means_mix")) else SIXTEENTH
        unit = QUARTER if name.startswith("predict") else unit
        sums[name] = limits / unit @ np.abs(weights[f"{name}/kernel"].astype(float))
        if has_bias(name):
            sums[name] += np.abs(weights[f"{name}/bias"]) / unit
    for group in range(1, len(GROUPS)):
        sums[f"tell_{group}"] += sums.pop(f"same_{group}")
    return {name: float(array.max()) for name, array in sums.items()}


def exact_layers(weights: dict[str, np.ndarray]) -> dict:
    """The layers that `code_groups` calls with `ExactMath`, from `exact_weights`.

    Raises:
        ValueError: some sum might not be exact.
    """
    if (largest := max(largest_sums(weights).values())) > EXACT:
        raise ValueError(f"The weights allow sums of {largest:.0f} units: too many for float32.")

    def layer(name):
        unit = np.float32(weight_unit(name))
        kernel = weights[f"{name}/kernel"].astype(np.float32) * unit
        if not has_bias(name):
            return lambda x: x @ kernel
        bias = weights[f"{name}/bias"].astype(np.float32) * unit
        return lambda x: x @ kernel + bias

    return {name: layer(name) for name in layer_limits()}
