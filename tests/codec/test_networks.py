import numpy as np
import pytest

from steglib.codec.codec import Codec
from steglib.codec.contexts import STARTS, ExactMath, code_groups, exact_layers
from steglib.codec.entropy import expected_counts
from steglib.codec.networks import (
    ContextNetwork,
    KerasMath,
    build_restorer,
    exact_weights,
    rate_loss,
)
from steglib.codec.rate import log_steps
from steglib.codec.transform import quantise


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
def test_keras_and_exact_arithmetic_agree(codec, network, photos, index):
    pictures, indices = photos[:24], np.full(24, index)
    coefficients = quantise(pictures, codec.basis, log_steps(indices))
    step = np.full((*coefficients.shape[:3], 1), log_steps(index))
    wanted = np.zeros((2, *coefficients.shape))  # residuals and scales

    def code(group, prediction, scale, blocks):
        part = slice(STARTS[group], STARTS[group + 1])
        residuals = coefficients[..., part] - prediction
        wanted[..., part][:, :, blocks] = np.stack([residuals, scale])[:, :, blocks]
        return residuals

    code_groups(exact_layers(codec.weights), step, code, ExactMath)
    trained = network((coefficients.astype(np.float32), step[:, 0, 0].astype(np.float32)))
    residuals, scales = np.moveaxis(np.array(trained), -1, 0)
    assert (residuals == wanted[0]).mean() > 0.999
    assert (np.abs(scales - wanted[1]) < 0.02).mean() > 0.999
    counted = Codec(codec.basis, codec.weights, expected_counts())
    estimate = counted.count_bits(pictures, indices) / (192 * 64)
    loss = np.array(rate_loss(None, trained))
    assert loss == pytest.approx(estimate, rel=0.03)
    assert loss.mean() == pytest.approx(estimate.mean(), rel=0.01)


def test_keras_logarithms_are_almost_the_exact_ones():
    values = np.arange(4096)
    found = np.array(KerasMath.log_magnitude(values.astype(np.float32)))
    exact = ExactMath.log_magnitude(values)
    assert (found == exact).mean() > 0.99 and np.abs(found - exact).max() <= 1 / 16


def test_rate_loss_is_that_of_a_distribution():
    """Chances of all whole numbers add up to 1; a picture's loss is the mean."""
    values = np.arange(-300, 301, dtype=np.float32)
    for log_scale in (-1.0, 1.0, 3.0):
        output = np.stack([values, np.full_like(values, log_scale)], -1).reshape(-1, 1, 1, 1, 2)
        bits = np.array(rate_loss(None, output))
        assert (2.0**-bits).sum() == pytest.approx(1, abs=1e-3)
    both = np.concatenate([output[:1], output[300:301]], 1)
    assert np.array(rate_loss(None, both))[0] == pytest.approx((bits[0] + bits[300]) / 2)


def test_the_restorer_begins_as_the_identity(photos):
    restorer = build_restorer(width=8, hidden=8, blocks=1)
    pictures = photos[:2, :16, :24].astype(np.float32)
    assert np.array_equal(restorer([pictures, np.float32([[1], [3]])]), pictures)
