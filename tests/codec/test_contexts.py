import math

import numpy as np
import pytest

from steglib.codec.contexts import (
    EVERYWHERE,
    GROUPS,
    HIDDEN,
    LOGARITHMS,
    PREDICTING,
    SCALES,
    STARTS,
    ExactMath,
    add_predictions,
    code_groups,
    exact_layers,
    layer_sizes,
    subtract_predictions,
)
from steglib.codec.rate import STEPS, log_steps
from steglib.codec.transform import quantise

LARGEST = 128 * math.sqrt(192) / 2 ** log_steps(0)  # coefficient in steps: all of a block's power
NOISE = np.random.default_rng(0).choice(np.uint8([0, 255]), (1, 9, 9, 3))


def quantised(codec, pictures, index):
    """Coefficients, and log2 of the step for each block."""
    steps = log_steps(np.full(len(pictures), index))
    coefficients = quantise(pictures, codec.basis, steps)
    return coefficients, np.full((*coefficients.shape[:3], 1), steps[0])


def stages(network, coefficients, step):
    """With what `code_groups` has each group coded: (group, prediction, scale, blocks)."""
    calls = []

    def code(group, prediction, scale, blocks):
        calls.append((group, prediction, scale, blocks))
        return coefficients[..., STARTS[group] : STARTS[group + 1]] - prediction

    code_groups(network, step, code, ExactMath)
    return calls


def test_every_sum_fits_a_float64_exactly(codec):
    """Products are multiples of 2^-22; of what the shipped weights make, none comes near 2^31."""

    def bound(name, largest):
        bias = np.abs(codec.weights.get(f"{name}/bias", np.zeros(1)))
        return (largest @ np.abs(codec.weights[f"{name}/kernel"]) + bias) / 2**12

    assert all(array.dtype == np.int32 for array in codec.weights.values())
    log, step = LOGARITHMS[-1], np.abs(log_steps([0, STEPS - 1])).max()
    evidence = bound("slopes", np.array([log] * 9 + [step]))
    sums = [bound(f"means_mix_{i}", np.array([log] * 12 + [step])) for i in range(3)]
    sums += [bound(f"means_scale_{i}", np.full(HIDDEN // 4, 1024)) for i in range(3)]
    predictions = np.zeros(192)
    for group, size in enumerate(GROUPS[:-1]):
        evidence = evidence + bound(f"tell_{group}", np.repeat([1, 2, 2, 4], size) * log)
        sums += [evidence, bound(f"mix_{group + 1}", np.full(HIDDEN, 1024))]
        sums += [bound(f"scale_{group + 1}", np.full(HIDDEN, 1024))]
        evidence = evidence[HIDDEN:]
        if group < PREDICTING:
            predictions = predictions[size:] + bound(f"predict_{group}", np.full(9 * size, LARGEST))
            sums.append(predictions)
            assert predictions.max() + LARGEST < 2**15  # what an escape holds
    assert max(array.max() for array in sums) < 2**31


def with_integers(weights):
    """The layers in Python's integers, which have no limit; inputs are multiples of 2^-10."""

    def layer(name):
        kernel = weights[f"{name}/kernel"].astype(object)
        bias = weights.get(f"{name}/bias", np.zeros(1, int)).astype(object)

        def apply(x):
            assert np.array_equal(x * 2**10, np.rint(x * 2**10))
            whole = (x * 2**10).astype(np.int64).astype(object)
            return ((whole @ kernel + bias * 2**10) / 2**22).astype(np.float64)

        return apply

    return {name: layer(name) for name in layer_sizes()}


def in_another_order(weights):
    """Sums from the last to the first, one by one."""

    def layer(name):
        kernel = weights[f"{name}/kernel"] * 2.0**-12
        bias = weights.get(f"{name}/bias", np.zeros(1)) * 2.0**-12

        def apply(x):
            total = bias
            for i in reversed(range(len(kernel))):
                total = total + x[..., i : i + 1] * kernel[i]
            return total

        return apply

    return {name: layer(name) for name in layer_sizes()}


@pytest.mark.parametrize("index", [0, 800, STEPS - 1])
def test_the_order_of_summation_changes_nothing(codec, pairs, index):
    for pictures in (pairs[0][:1, :20, :24], NOISE):
        coefficients, step = quantised(codec, pictures, index)
        wanted = stages(exact_layers(codec.weights), coefficients, step)
        for layers in (with_integers, in_another_order):
            found = stages(layers(codec.weights), coefficients, step)
            for (_, prediction, scale, _), (_, *same, _) in zip(wanted, found, strict=True):
                assert np.array_equal(prediction, same[0]) and np.array_equal(scale, same[1])
                assert np.array_equal(prediction, np.rint(prediction))
                assert scale.min() >= SCALES[0] and scale.max() <= SCALES[1]


def test_a_picture_beside_another_one_is_coded_the_same(codec, pairs):
    coefficients, step = quantised(codec, pairs[0], 700)
    together = stages(exact_layers(codec.weights), coefficients, step)
    alone = stages(exact_layers(codec.weights), coefficients[3:4], step[3:4])
    for (_, *all_of_them, _), (_, *one, _) in zip(together, alone, strict=True):
        assert all(np.array_equal(a[3:4], b) for a, b in zip(all_of_them, one, strict=True))


def test_each_block_is_coded_once(codec):
    coefficients, step = np.zeros((1, 5, 3, 192)), np.zeros((1, 5, 3, 1))
    calls = stages(exact_layers(codec.weights), coefficients, step)
    assert [group for group, *_ in calls] == [0, 0, *range(len(GROUPS))]
    assert (sum(blocks.astype(int) for *_, blocks in calls[:3]) == 1).all()
    assert all(blocks is EVERYWHERE for *_, blocks in calls[3:])


def test_no_group_depends_on_later_ones(codec, pairs):
    """Else a decoder could not follow."""
    coefficients, step = quantised(codec, pairs[0][:1], 700)
    before = stages(exact_layers(codec.weights), coefficients, step)
    for changed in (1, 5, 13):
        others = coefficients.copy()
        others[..., STARTS[changed] :] += 7
        after = stages(exact_layers(codec.weights), others, step)
        same = [
            np.array_equal(a[1], b[1]) and np.array_equal(a[2], b[2])
            for a, b in zip(before, after, strict=True)
        ]
        assert same[: changed + 3] == [True] * (changed + 3)
        assert not any(same[changed + 3 :])


def test_logarithms():
    values = np.arange(4096)
    assert np.array_equal(LOGARITHMS, np.floor(16 * np.log2(values + 1) + 1e-9) / 16)
    some = np.array([0.0, -1, 3, -4095, 4095])
    assert ExactMath.log_magnitude(some).tolist() == [0, 1, 2, 12, 12]
    assert ExactMath.log_magnitude(np.array([-1e9]))[0] == 12


def test_activations_are_multiples_of_a_power_of_two():
    found = ExactMath.activation(np.array([-1, 0.3, 5000]))
    assert found.tolist() == [0, 307 / 1024, 1024]


def test_predictions_are_subtracted_and_added(codec, photos):
    coefficients, _ = quantised(codec, photos[:3, :17, :40], 600)
    steps, network = log_steps([600, 600, 600]), exact_layers(codec.weights)
    groups = subtract_predictions(network, coefficients, steps)
    assert [residuals.dtype for residuals, _ in groups] == [np.int32] * (len(GROUPS) + 2)
    assert sum(residuals.size for residuals, _ in groups) == coefficients.size
    sizes = [np.abs(residuals).sum() for residuals, _ in groups]
    assert sizes[0] == np.abs(coefficients[:, ::2, ::2, :3]).sum()  # nothing is known before
    assert sum(sizes[1:3]) < np.abs(coefficients[..., :3]).sum() / 2
    remaining = iter(groups)

    def read(scales):
        residuals, known = next(remaining)
        assert np.array_equal(scales, known)
        return residuals

    assert np.array_equal(add_predictions(network, steps, 3, 5, read), coefficients)
    assert next(remaining, None) is None
