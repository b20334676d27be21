import math

import numpy as np
import pytest

from steglib import load_images, load_model
from steglib.codec import contexts
from steglib.codec.codec import Codec
from steglib.codec.contexts import (
    EVERYWHERE,
    GROUPS,
    HIDDEN,
    LOGARITHMS,
    PREDICTING,
    SCALES,
    STARTS,
    ExactMath,
    code_groups,
    exact_layers,
)
from steglib.codec.entropy import expected_counts
from steglib.codec.networks import ContextNetwork, KerasMath, exact_weights, rate_loss
from steglib.codec.rate import STEPS, log_steps
from steglib.codec.transform import to_blocks

LARGEST = 128 * math.sqrt(192) / 2 ** log_steps(0)  # coefficient in steps: all of a block's power
NOISE = np.random.default_rng(0).choice(np.uint8([0, 255]), (1, 9, 9, 3))


@pytest.fixture(scope="module")
def codec():
    return load_model("residue").codec


def quantised(codec, pictures, index):
    """Coefficients, and log2 of the step for each block."""
    coefficients = np.rint(to_blocks(pictures) @ codec.basis.T / 2 ** log_steps(index))
    return coefficients, np.full((*coefficients.shape[:3], 1), log_steps(index))


def told(network, coefficients, step):
    """All that `code_groups` tells of each group: (group, prediction, scale, blocks)."""
    found = []

    def code(group, prediction, scale, blocks):
        found.append((group, np.array(prediction), np.array(scale), blocks))
        return coefficients[..., STARTS[group] : STARTS[group + 1]] - prediction

    code_groups(network, step, code, ExactMath)
    return found


def test_every_sum_fits_a_float64_exactly(codec):
    """Products are multiples of 2^-22; of what the shipped weights make, none comes near 2^31."""

    def bound(name, largest):
        bias = np.abs(codec.weights.get(f"{name}/bias", np.zeros(1)))
        return (largest @ np.abs(codec.weights[f"{name}/kernel"]) + bias) / 2**12

    assert all(array.dtype == np.int32 for array in codec.weights.values())
    log, step = LOGARITHMS[-1], np.abs(log_steps([0, STEPS - 1])).max()
    waiting = bound("slopes", np.array([log] * 9 + [step]))
    sums = [bound(f"means_mix_{i}", np.array([log] * 12 + [step])) for i in range(3)]
    sums += [bound(f"means_scale_{i}", np.full(HIDDEN // 4, 1024)) for i in range(3)]
    predictions = np.zeros(192)
    for group, size in enumerate(GROUPS[:-1]):
        waiting = waiting + bound(f"tell_{group}", np.repeat([1, 2, 2, 4], size) * log)
        sums += [waiting, bound(f"mix_{group + 1}", np.full(HIDDEN, 1024))]
        sums += [bound(f"scale_{group + 1}", np.full(HIDDEN, 1024))]
        waiting = waiting[HIDDEN:]
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

    return {name: layer(name) for name in contexts.layer_sizes()}


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

    return {name: layer(name) for name in contexts.layer_sizes()}


@pytest.mark.parametrize("index", [0, 800, STEPS - 1])
def test_the_order_of_summation_changes_nothing(codec, pairs, index):
    for pictures in (pairs[0][:1, :20, :24], NOISE):
        coefficients, step = quantised(codec, pictures, index)
        wanted = told(exact_layers(codec.weights), coefficients, step)
        for layers in (with_integers, in_another_order):
            found = told(layers(codec.weights), coefficients, step)
            for (_, prediction, scale, _), (_, *same, _) in zip(wanted, found, strict=True):
                assert np.array_equal(prediction, same[0]) and np.array_equal(scale, same[1])
                assert np.array_equal(prediction, np.rint(prediction))
                assert scale.min() >= SCALES[0] and scale.max() <= SCALES[1]


def test_a_picture_beside_another_one_is_told_the_same(codec, pairs):
    coefficients, step = quantised(codec, pairs[0], 700)
    together = told(exact_layers(codec.weights), coefficients, step)
    alone = told(exact_layers(codec.weights), coefficients[3:4], step[3:4])
    for (_, *all_of_them, _), (_, *one, _) in zip(together, alone, strict=True):
        assert all(np.array_equal(a[3:4], b) for a, b in zip(all_of_them, one, strict=True))


def test_each_block_is_coded_once(codec):
    coefficients, step = np.zeros((1, 5, 3, 192)), np.zeros((1, 5, 3, 1))
    found = told(exact_layers(codec.weights), coefficients, step)
    assert [group for group, *_ in found] == [0, 0, *range(len(GROUPS))]
    assert (sum(blocks.astype(int) for *_, blocks in found[:3]) == 1).all()
    assert all(blocks is EVERYWHERE for *_, blocks in found[3:])


def test_nothing_is_told_by_what_comes_later(codec, pairs):
    """Else a decoder could not follow."""
    coefficients, step = quantised(codec, pairs[0][:1], 700)
    before = told(exact_layers(codec.weights), coefficients, step)
    for changed in (1, 5, 13):
        others = coefficients.copy()
        others[..., STARTS[changed] :] += 7
        after = told(exact_layers(codec.weights), others, step)
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
    trained = np.array(KerasMath.log_magnitude(values.astype(np.float32)))  # float32: almost
    assert (trained == LOGARITHMS).mean() > 0.99 and np.abs(trained - LOGARITHMS).max() <= 1 / 16


def test_activations_are_multiples_of_a_power_of_two():
    found = ExactMath.activation(np.array([-1, 0.3, 5000]))
    assert found.tolist() == [0, 307 / 1024, 1024]


@pytest.fixture(scope="module")
def network(codec):
    """The shipped weights in Keras."""
    network = ContextNetwork()
    for name, layer in network.network.items():
        layer.set_weights([codec.weights[f"{name}/{w.name}"] / 2**12 for w in layer.weights])
    return network


def test_weights_become_integers_and_come_back(codec, network):
    found = exact_weights(network)
    assert found.keys() == codec.weights.keys()
    assert all(np.array_equal(found[name], codec.weights[name]) for name in found)


@pytest.mark.parametrize("index", [300, 900, 1500])
def test_keras_and_exact_arithmetic_agree(codec, network, index):
    pictures = load_images("sample", "val").images[:24]
    coefficients, step = quantised(codec, pictures, index)
    trained = network((coefficients.astype(np.float32), step[:, 0, 0].astype(np.float32)))
    residuals, scales = np.moveaxis(np.array(trained), -1, 0)
    parts = told(exact_layers(codec.weights), coefficients, step)
    predictions, exact = (
        np.concatenate(
            [sum(p[i] * p[3][..., None] for p in parts[:3]), *(p[i] for p in parts[3:])], -1
        )
        for i in (1, 2)
    )
    assert (residuals == coefficients - predictions).mean() > 0.999
    assert (np.abs(scales - exact) < 0.02).mean() > 0.999
    counted = Codec(codec.basis, codec.weights, expected_counts())
    estimate = counted.count_bits(pictures, np.full(len(pictures), index)) / (192 * 64)
    loss = np.array(rate_loss(None, trained))
    assert loss == pytest.approx(estimate, rel=0.03)
    assert loss.mean() == pytest.approx(estimate.mean(), rel=0.01)


def test_rate_loss_is_that_of_a_distribution():
    """Chances of all whole numbers add up to 1; a picture's loss is the mean."""
    values = np.arange(-300, 301, dtype=np.float32)
    for log_scale in (-1.0, 1.0, 3.0):
        output = np.stack([values, np.full_like(values, log_scale)], -1).reshape(-1, 1, 1, 1, 2)
        bits = np.array(rate_loss(None, output))
        assert (2.0**-bits).sum() == pytest.approx(1, abs=1e-3)
    both = np.concatenate([output[:1], output[300:301]], 1)
    assert np.array(rate_loss(None, both))[0] == pytest.approx((bits[0] + bits[300]) / 2)
