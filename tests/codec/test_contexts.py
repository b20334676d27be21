import itertools

import numpy as np
import pytest

from steglib.codec.contexts import (
    BRIGHTEST,
    EXACT,
    GROUPS,
    LARGEST,
    LOGARITHMS,
    PREDICTED,
    SCALES,
    STARTS,
    ExactMath,
    chessboard,
    code_groups,
    exact_layers,
    has_bias,
    largest_sums,
    layer_limits,
    weight_unit,
)
from steglib.codec.rate import STEPS, log_steps
from steglib.codec.transform import best_turns, to_coefficients, turned

NOISE = np.random.default_rng(0).choice(np.uint8([0, 255]), (1, 9, 9, 3))
PASSES = [0] * 3 + [group for group in range(1, len(GROUPS)) for _ in range(2)]


def quantised(codec, pictures, index):
    """Coefficients in steps, as whole and half numbers, and log2 of the step for each block."""
    colours = turned(codec.colours, best_turns(pictures, codec.colours))
    coefficients = to_coefficients(pictures, colours)[..., codec.order] / 2.0 ** log_steps(index)
    step = np.full((*coefficients.shape[:3], 1), np.rint(8 * log_steps(index)) / 8, np.float32)
    halves = np.rint(2 * coefficients) / 2
    halves[..., : GROUPS[0]] = np.rint(coefficients[..., : GROUPS[0]])  # the means
    return halves.astype(np.float32), step


def stages(network, coefficients, step):
    """With what `code_groups` has each group coded: (group, prediction, scale, blocks)."""
    calls = []

    def code(group, prediction, scale, blocks):
        calls.append((group, prediction, scale, blocks))
        residuals = coefficients[..., STARTS[group] : STARTS[group + 1]] - prediction
        return np.rint(2 * residuals) / 2 * blocks[..., None]

    code_groups(network, step, code, ExactMath)
    return calls


def unchanged(before, after):
    """Of each call, whether prediction and scale are the same."""
    return [
        np.array_equal(a[1], b[1]) and np.array_equal(a[2], b[2])
        for a, b in zip(before, after, strict=True)
    ]


def input_unit(name):
    """Of which number a layer's inputs are multiples."""
    if name.startswith("predict"):
        return 1 / 4
    return 1 / 8 if name.startswith(("tell", "same", "means_mix")) else 1 / 16


def no_weights():
    """Zeros for each layer."""
    weights = {}
    for name, (limits, outputs) in layer_limits().items():
        weights[f"{name}/kernel"] = np.zeros((len(limits), outputs), np.int32)
        if has_bias(name):
            weights[f"{name}/bias"] = np.zeros(outputs, np.int32)
    return weights


def test_every_sum_of_the_shipped_weights_fits_a_float32_exactly(codec):
    assert all(array.dtype == np.int32 for array in codec.weights.values())
    sums = largest_sums(codec.weights)
    assert max(sums.values()) < 2**24
    # Predictions so small, and coefficients that are no larger, differ by what an escape holds.
    unit = weight_unit("predict_1")
    assert max(sums[f"predict_{group}"] for group in range(1, PREDICTED + 1)) * unit < 2**14


def test_no_sum_is_larger_than_said(codec):
    """With the inputs that agree with the signs of a weight each, in integers."""
    limits, worst = layer_limits(), {}
    for name, (most, _) in limits.items():
        kernel = codec.weights[f"{name}/kernel"].astype(object)
        largest = (most / input_unit(name)).astype(int).astype(object)
        worst[name] = (largest[:, None] * np.sign(kernel) * kernel).sum(0)
        if has_bias(name):
            bias = np.abs(codec.weights[f"{name}/bias"].astype(object))
            worst[name] = worst[name] + bias * int(1 / input_unit(name))
    for group in range(1, len(GROUPS)):
        worst[f"tell_{group}"] = worst[f"tell_{group}"] + worst.pop(f"same_{group}")
    assert {name: max(sums) for name, sums in worst.items()} == largest_sums(codec.weights)


@pytest.mark.parametrize("index", [0, 1000, STEPS - 1])
def test_inputs_of_layers_are_as_limited_as_the_largest_sums_take_for_granted(codec, pairs, index):
    """And multiples of their units."""
    seen = set()

    def watched(name, layer):
        limits, _ = layer_limits()[name]

        def apply(x):
            seen.add(name)
            assert x.dtype == np.float32 and layer(x).dtype == np.float32
            assert (np.abs(x) <= limits).all(), name
            assert np.array_equal(x / input_unit(name), np.rint(x / input_unit(name))), name
            return layer(x)

        return apply

    network = exact_layers(codec.weights)
    network = {name: watched(name, layer) for name, layer in network.items()}
    for pictures in (pairs[0][:2], NOISE):
        stages(network, *quantised(codec, pictures, index))
    assert seen == set(layer_limits())


@pytest.mark.parametrize(
    "name, most",
    [
        ("mix_3/bias", EXACT // 16),
        ("scale_13/kernel", EXACT // 255),
        ("means_scale_2/bias", EXACT // 16),
        ("means_mix_0/bias", EXACT // 8),
        ("tell_2/bias", EXACT // 8),
        ("same_2/kernel", EXACT // 192),
        ("predict_6/kernel", EXACT // (4 * LARGEST)),
    ],
)
def test_weights_too_large_to_be_exact_are_refused(name, most):
    """However little too large."""
    weights = no_weights()
    weights[name].flat[0] = -most
    exact_layers(weights)
    weights[name].flat[0] -= 1
    with pytest.raises(ValueError, match="too many for float32"):
        exact_layers(weights)


def with_integers(weights):
    """The layers in Python's integers, which have no limit."""

    def layer(name):
        kernel = weights[f"{name}/kernel"].astype(object)
        bias = weights[f"{name}/bias"].astype(object) if has_bias(name) else 0
        of_input, unit = int(1 / input_unit(name)), int(1 / weight_unit(name))

        def apply(x):
            whole = np.rint(x * of_input).astype(int).astype(object)
            exact = (whole @ kernel + bias * of_input) / (of_input * unit)
            return exact.astype(float)

        return apply

    return {name: layer(name) for name in layer_limits()}


def in_another_order(weights):
    """Sums from the last to the first, one by one, in float32."""

    def layer(name):
        unit = np.float32(weight_unit(name))
        kernel = weights[f"{name}/kernel"].astype(np.float32) * unit
        bias = np.float32(weights[f"{name}/bias"]) * unit if has_bias(name) else 0 * kernel[0]

        def apply(x):
            total = bias
            for i in reversed(range(len(kernel))):
                total = total + x[..., i : i + 1] * kernel[i]
            assert total.dtype == np.float32
            return total

        return apply

    return {name: layer(name) for name in layer_limits()}


@pytest.mark.parametrize("index", [0, 800, STEPS - 1])
def test_the_order_of_summation_changes_nothing(codec, pairs, index):
    for pictures in (pairs[0][:1, :20, :24], NOISE):
        coefficients, step = quantised(codec, pictures, index)
        wanted = stages(exact_layers(codec.weights), coefficients, step)
        for layers in (with_integers, in_another_order):
            found = stages(layers(codec.weights), coefficients, step)
            assert all(unchanged(wanted, found))
        for _, prediction, scale, _ in wanted:
            assert np.array_equal(4 * prediction, np.rint(4 * prediction))
            assert scale.min() >= SCALES[0] and scale.max() <= SCALES[1]


def test_a_picture_beside_another_one_is_coded_the_same(codec, pairs):
    coefficients, step = quantised(codec, pairs[0], 700)
    together = stages(exact_layers(codec.weights), coefficients, step)
    alone = stages(exact_layers(codec.weights), coefficients[3:4], step[3:4])
    for (_, *all_of_them, _), (_, *one, _) in zip(together, alone, strict=True):
        assert all(np.array_equal(a[3:4], b) for a, b in zip(all_of_them, one, strict=True))


@pytest.mark.parametrize("rows, columns", [(5, 3), (1, 1), (1, 4), (2, 1)])
def test_each_block_is_coded_once_in_each_group(codec, rows, columns):
    coefficients = np.zeros((1, rows, columns, 192), np.float32)
    calls = stages(exact_layers(codec.weights), coefficients, coefficients[..., :1])
    assert [group for group, *_ in calls] == PASSES
    for group, of_group in itertools.groupby(calls, lambda call: call[0]):
        coded = 0
        for _, prediction, scale, blocks in of_group:
            assert prediction.shape == (1, rows, columns, GROUPS[group])
            assert scale.shape == (1, blocks.sum(), GROUPS[group])
            coded = coded + blocks.astype(int)
        assert coded.shape == (rows, columns) and (coded == 1).all()


def test_no_two_blocks_of_a_half_touch():
    for half in chessboard(5, 8):
        assert not (half[1:] & half[:-1]).any() and not (half[:, 1:] & half[:, :-1]).any()
        assert half.sum() == 20


@pytest.mark.parametrize("changed", [1, 5, 6, 7, 13])
def test_no_group_depends_on_later_ones(codec, pairs, changed):
    """Else a decoder could not follow. The second half of its blocks depends on the first."""
    coefficients, step = quantised(codec, pairs[0][:1], 700)
    network = exact_layers(codec.weights)
    before = stages(network, coefficients, step)
    first = PASSES.index(changed)
    for halves, known in (((0, 1), 1), ((0,), 1), ((1,), 2)):
        others = coefficients.copy()
        for half in halves:
            blocks = chessboard(*step.shape[1:3])[half]
            others[0, blocks, STARTS[changed] : STARTS[changed + 1]] += 7
        after = stages(network, others, step)
        same = unchanged(before, after)
        assert same == [i < first + known for i in range(len(PASSES))]
        assert np.array_equal(before[first + 1][1], after[first + 1][1])  # the prediction


def test_means_depend_on_earlier_passes_alone(codec, pairs):
    coefficients, step = quantised(codec, pairs[0][:1], 700)
    network = exact_layers(codec.weights)
    before = stages(network, coefficients, step)
    for i in range(3):
        others = coefficients + 7 * before[i][3][..., None] * (np.arange(192) < 3)
        same = unchanged(before, stages(network, others.astype(np.float32), step))
        assert same == [j <= i for j in range(len(PASSES))]


def test_logarithms():
    values = np.arange(8192) / 2
    assert np.array_equal(LOGARITHMS, np.floor(8 * np.log2(values + 1) + 1e-9) / 8)
    some = np.float32([0.0, -0.5, -1, 3, -4095, 4095.5, -1e9])
    found = ExactMath.log_magnitude(some)
    assert found.tolist() == [0, 0.5, 1, 2, 12, 12, 12] and found.dtype == np.float32


def test_activations_are_multiples_of_a_power_of_two():
    found = ExactMath.activation(np.float32([-1, 0.3, 5000]))
    assert found.tolist() == [0, 5 / 16, BRIGHTEST] and found.dtype == np.float32


def test_blocks_are_picked_and_put_back():
    values = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    blocks = np.random.default_rng(0).random((3, 4)) < 0.5
    picked = ExactMath.at(values, blocks)
    assert np.array_equal(picked, values[:, blocks])
    whole = ExactMath.spread(picked, blocks)
    assert np.array_equal(whole, values * blocks[..., None]) and whole.dtype == np.float32


def test_what_is_known_is_predicted(codec, photos):
    """The first means from nothing; others, and low frequencies, from their neighbours."""
    coefficients, step = quantised(codec, photos, 600)
    calls = stages(exact_layers(codec.weights), coefficients, step)
    left = []
    for group, prediction, _, blocks in calls:
        wanted = coefficients[..., STARTS[group] : STARTS[group + 1]][:, blocks]
        residuals = wanted - prediction[:, blocks]
        left.append(np.abs(residuals).sum() / np.abs(wanted).sum())
    assert left[0] == 1 and max(left[1:3]) < 0.6
    assert left[3] < 1 and left[4] < 1
    assert left[3 + 2 * PREDICTED :] == [1.0] * (len(calls) - 3 - 2 * PREDICTED)
