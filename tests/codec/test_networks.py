import keras
import numpy as np
import pytest
from keras import ops

from steglib.codec.contexts import (
    EXACT,
    GROUPS,
    STARTS,
    ExactMath,
    code_groups,
    exact_layers,
    largest_sums,
    layer_limits,
    weight_unit,
)
from steglib.codec.learning import CodecConfig, CodecRecipe
from steglib.codec.networks import (
    DEAREST,
    THRIFT,
    ContextNetwork,
    KerasMath,
    exact_weights,
    rate_loss,
    rulers,
    thrifty_marks,
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


def chosen(distances, scales, between, thrifty=True):
    """The marks that training chooses, and from where to where one belongs to each."""
    tensors = map(ops.convert_to_tensor, (distances, scales, np.float32(between)))
    return [ops.convert_to_numpy(x) for x in thrifty_marks(*tensors, thrifty)]


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


def test_weights_stay_so_small_that_sums_are_exact():
    """However short and violent a training is."""
    network = ContextNetwork()
    random = np.random.default_rng(0)
    inputs = (random.normal(size=(2, 3, 4, 192)).astype(np.float32) * 30, np.float32([[0], [1]]))
    network.compile(keras.optimizers.Adam(0.1), rate_loss)
    network.fit(inputs, np.zeros(2), epochs=3, verbose=0)
    weights = exact_weights(network)
    sums = largest_sums(weights)
    predicting = [sums[name] for name in sums if name.startswith("predict")]
    assert EXACT / 2 < max(predicting) <= EXACT


@pytest.mark.parametrize("index", [300, 900, 1500])
def test_keras_and_exact_arithmetic_agree(codec, network, photos, index):
    """On marks and scales, and so on what a picture costs."""
    pictures = photos[:24]
    colours = turned(codec.colours, best_turns(pictures, codec.colours))
    coefficients = to_coefficients(pictures, colours)[..., codec.order] / 2 ** log_steps(index)
    coefficients = coefficients.astype(np.float32)
    step = np.full((24, 1), log_steps(index), np.float32)
    wanted = np.zeros((3, *coefficients.shape))  # from where, to where, and scales

    def code(group, prediction, scale, blocks):
        part = slice(STARTS[group], STARTS[group + 1])
        distances = ExactMath.at(coefficients[..., part] - prediction, blocks)
        between = ExactMath.at(rulers(8, 8, GROUPS[group])[None], blocks) * (group > 0)
        marks, near, far = chosen(distances, scale, between, group > 0)
        for array, found in zip(wanted, (near, far, scale), strict=True):
            array[..., part] += ExactMath.spread(found, blocks)
        return ExactMath.spread(np.float32(marks), blocks)

    eighths = np.rint(8 * step[:, None, None]) / 8 + 0 * coefficients[..., :1]
    code_groups(exact_layers(codec.weights), eighths, code, ExactMath)
    trained = network((coefficients, step))
    near, far, scales = np.moveaxis(np.array(trained), -1, 0)
    assert (np.abs(near - wanted[0]) < 1e-3).mean() > 0.998
    assert (np.abs(far - wanted[1]) < 1e-3).mean() > 0.998
    assert (np.abs(scales - wanted[2]) < 0.02).mean() > 0.998
    loss = np.array(rate_loss(None, trained))
    exact = np.array(rate_loss(None, np.float32(np.moveaxis(wanted, 0, -1))))
    assert loss == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("index", [600, 1100])
def test_the_loss_is_about_what_a_code_takes(codec, network, photos, index):
    """Of two rulers by chance, not by choice, and without tables: a little more."""
    recipe = CodecRecipe(CodecConfig(), photos)
    recipe.__dict__.update(colours=codec.colours, order=codec.order)
    inputs, _ = recipe.prepare(photos, np.full((len(photos), 1), log_steps(index), np.float32))
    loss = np.array(rate_loss(None, network(inputs)))
    bits = codec._count_bits(codec._coefficients(photos, codec._turns(photos)), [index] * 32)
    assert np.corrcoef(loss, bits)[0, 1] > 0.99
    assert loss.mean() == pytest.approx(bits.mean() / inputs[0][0].size, rel=0.15)


def test_keras_logarithms_are_almost_the_exact_ones():
    values = np.arange(4096).astype(np.float32)
    found = np.array(KerasMath.log_magnitude(values))
    exact = ExactMath.log_magnitude(values)
    assert (found == exact).mean() > 0.99 and np.abs(found - exact).max() <= 1 / 8


@pytest.mark.parametrize("between", [0, 1])
def test_training_chooses_what_costs_least(between):
    """The nearest mark, or the one next to it that is nearer to 0; bits are about known."""
    random = np.random.default_rng(0)
    scales = random.uniform(-5, 11, 20_000).astype(np.float32)
    distances = (random.laplace(size=20_000) * np.minimum(2.0**scales, 50)).astype(np.float32)
    on_ruler = np.concatenate([[0], np.arange(1, 3000) - between / 2])
    size = np.abs(distances)
    upper = np.searchsorted(on_ruler, size)
    both = on_ruler[[np.maximum(upper - 1, 0), upper]]
    nearest = np.where(size - both[0] < both[1] - size, *both)
    index = np.searchsorted(on_ruler, nearest)
    nearer = on_ruler[np.maximum(index - 1, 0)]
    saved = (nearest - nearer) * np.minimum(2.0**-scales / np.log(2), DEAREST)
    gain = np.square(size - nearest) - np.square(size - nearer) + THRIFT * saved
    clear = (np.abs(gain) > 1e-3) & (np.abs(size - both.mean(0)) > 1e-3)
    marks, near, far = chosen(distances, scales, between)
    assert np.array_equal(np.abs(marks)[clear], np.where(gain > 0, nearer, nearest)[clear])
    assert (marks * distances >= 0).all() and 0.01 < (gain > 0).mean() < 0.5
    plain, near, far = chosen(distances, scales, between, thrifty=False)
    assert np.array_equal(np.abs(plain)[clear], nearest[clear])
    assert ((near <= size) & (size <= far))[clear].all()


def test_rulers_are_mixed():
    """In each block, in each half of a chessboard, in each channel."""
    mixed = rulers(8, 8, 6)
    assert set(mixed.ravel()) == {0, 1} and (mixed.mean(-1) == 0.5).all()
    assert (mixed.mean((0, 1)) == 0.5).all() and (mixed[::2, ::2].mean((0, 1)) == 0.5).all()


@pytest.mark.parametrize("between", [0, 1])
def test_rate_loss_is_that_of_a_distribution(between):
    """Chances of all marks of a ruler add up to 1; a picture's loss is the mean."""
    marks = np.arange(301, dtype=np.float32)
    marks[1:] -= between / 2
    for log_scale in (-1.0, 1.0, 3.0):
        scale = np.full_like(marks, log_scale)
        found, near, far = chosen(marks, scale, between, thrifty=False)
        assert np.array_equal(found, marks)
        output = np.stack([near, far, scale], -1).reshape(-1, 1, 1, 1, 3)
        bits = np.array(rate_loss(None, output))
        both_signs = 2 * (2.0**-bits).sum() - 2.0 ** -bits[0]
        assert both_signs == pytest.approx(1, abs=1e-3)
    both = np.concatenate([output[:1], output[100:101]], 1)
    assert np.array(rate_loss(None, both))[0] == pytest.approx((bits[0] + bits[100]) / 2)
