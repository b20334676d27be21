import numpy as np
import pytest
from keras import ops

from steglib.codec import entropy
from steglib.codec.contexts import (
    STARTS,
    ExactMath,
    code_groups,
    exact_layers,
    layer_limits,
    weight_unit,
)
from steglib.codec.networks import (
    DEAREST,
    THRIFT,
    ContextNetwork,
    KerasMath,
    exact_weights,
    rate_loss,
    thrifty,
)
from steglib.codec.rate import log_steps
from steglib.codec.transform import best_turns, to_coefficients, turned


@pytest.fixture(scope="module")
def network(codec):
    """The shipped weights in Keras."""
    network = ContextNetwork()
    for name, layer in network.network.items():
        unit = weight_unit(name)
        layer.set_weights([codec.weights[f"{name}/{w.name}"] * unit for w in layer.weights])
    return network


def chosen(distances, scales):
    """What training makes residuals of."""
    tensors = map(ops.convert_to_tensor, (distances, scales))
    return np.rint(ops.convert_to_numpy(thrifty(*tensors)))


def test_weights_become_integers_and_come_back(codec, network):
    found = exact_weights(network)
    assert found.keys() == codec.weights.keys()
    assert all(array.dtype == np.int32 for array in found.values())
    assert all(np.array_equal(found[name], codec.weights[name]) for name in found)


def test_a_network_begins_with_no_prediction_and_can_be_exact():
    """Whatever it learns from, its sums are far below the bound at first."""
    weights = exact_weights(ContextNetwork())
    assert set(exact_layers(weights)) == set(layer_limits())
    for name, array in weights.items():
        assert name.startswith("predict") <= (array == 0).all()


@pytest.mark.parametrize("index", [300, 900, 1500])
def test_keras_and_exact_arithmetic_agree(codec, network, photos, index):
    """On residuals and scales, and so on the bits of each picture."""
    pictures = photos[:24]
    colours = turned(codec.colours, best_turns(pictures, codec.colours))
    coefficients = to_coefficients(pictures, colours)[..., codec.order] / 2 ** log_steps(index)
    coefficients = coefficients.astype(np.float32)
    step = np.full((24, 1), log_steps(index), np.float32)
    wanted = np.zeros((2, *coefficients.shape))  # residuals and scales
    tables, bits = entropy.SymbolTables(entropy.expected_counts()), 0

    def code(group, prediction, scale, blocks):
        nonlocal bits
        part = slice(STARTS[group], STARTS[group + 1])
        distances = ExactMath.at(coefficients[..., part] - prediction, blocks)
        residuals = chosen(distances, scale) if group else np.rint(distances)
        for array, found in zip(wanted, (residuals, scale), strict=True):
            array[..., part] += ExactMath.spread(found, blocks)
        flat = residuals.astype(np.int32).reshape(24, -1)
        bits = bits + tables.bits(flat, entropy.scale_classes(scale).reshape(24, -1))
        return ExactMath.spread(residuals, blocks)

    eighths = np.rint(8 * step[:, None, None]) / 8 + 0 * coefficients[..., :1]
    code_groups(exact_layers(codec.weights), eighths, code, ExactMath)
    trained = network((coefficients, step))
    residuals, scales = np.moveaxis(np.array(trained), -1, 0)
    assert (residuals == wanted[0]).mean() > 0.999
    assert (np.abs(scales - wanted[1]) < 0.02).mean() > 0.999
    loss = np.array(rate_loss(None, trained))
    assert loss == pytest.approx(bits / coefficients[0].size, rel=0.06)
    assert loss.mean() == pytest.approx(bits.mean() / coefficients[0].size, rel=0.02)


def test_keras_logarithms_are_almost_the_exact_ones():
    values = np.arange(4096).astype(np.float32)
    found = np.array(KerasMath.log_magnitude(values))
    exact = ExactMath.log_magnitude(values)
    assert (found == exact).mean() > 0.99 and np.abs(found - exact).max() <= 1 / 8


def test_training_chooses_as_the_codec_does():
    """A step nearer to 0 costs error and saves bits; without tables, bits are about known."""
    random = np.random.default_rng(0)
    scales = random.uniform(-5, 11, 20_000).astype(np.float32)
    distances = (random.laplace(size=20_000) * np.minimum(2.0**scales, 50)).astype(np.float32)
    nearest = np.rint(distances)
    found = chosen(distances, scales)
    size, away = np.abs(nearest), np.abs(distances)
    saved = THRIFT * np.minimum(2.0**-scales / np.log(2), DEAREST)
    gain = np.square(away - size) + saved - np.square(away - size + 1)
    clear = (np.abs(gain) > 1e-3) & (np.abs(away - size) < 0.499)
    nearer = (gain > 0) & (size > 0)
    assert np.array_equal(np.abs(found)[clear], (size - nearer)[clear])
    assert np.array_equal(np.abs(found) > 0, np.sign(found) == np.sign(distances))
    assert 0.01 < nearer.mean() < 0.5
    tables = entropy.SymbolTables(entropy.expected_counts())
    same = tables.choose(distances, entropy.scale_classes(scales)) == found
    assert same.mean() > 0.98


def test_rate_loss_is_that_of_a_distribution():
    """Chances of all whole numbers add up to 1; a picture's loss is the mean."""
    values = np.arange(-300, 301, dtype=np.float32)
    for log_scale in (-1.0, 1.0, 3.0):
        output = np.stack([values, np.full_like(values, log_scale)], -1).reshape(-1, 1, 1, 1, 2)
        bits = np.array(rate_loss(None, output))
        assert (2.0**-bits).sum() == pytest.approx(1, abs=1e-3)
    both = np.concatenate([output[:1], output[300:301]], 1)
    assert np.array(rate_loss(None, both))[0] == pytest.approx((bits[0] + bits[300]) / 2)
