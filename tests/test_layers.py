import keras
import numpy as np
import pytest

from steglib.layers import FitRange, RoundTo8Bit, ShapedRounding
from steglib.models.linear import rounding_order


def test_fitting_the_range_saves_the_secret():
    """A block that clipping would ruin, and the coefficients before and after."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(192, 192)))[0].astype(np.float32)
    free, carrying = basis[:, :112], basis[:, 112:]
    image = 250 + (rng.normal(size=(5, 192)).astype(np.float32) * 6)
    layer = FitRange(components=112, projections=60)
    layer.build((None, 8, 8, 3))
    layer.set_weights([free.reshape(8, 8, 3, 112)])
    fitted = np.array(layer(image.reshape(5, 8, 8, 3))).reshape(5, 192)
    assert (image > 255).sum() > 50
    assert fitted.max() < 255.01
    assert np.allclose(fitted @ carrying, image @ carrying, atol=1e-2)
    assert not np.allclose(np.clip(image, 0, 255) @ carrying, image @ carrying, atol=5)


def test_gradients_pass_through_rounding_but_not_through_clipping():
    """With none, the encoder learns nothing; clipped ones drive it out of the range for good."""
    layer = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), RoundTo8Bit()])
    layer.compile(keras.optimizers.SGD(0.1), "mse")
    before = np.array([50.2, 150.2, -20, 300], np.float32)
    layer.set_weights([np.zeros((4, 4)), before])
    layer.fit(np.zeros((4, 4)), np.full((4, 4), 100.0), verbose=0)
    after = layer.get_weights()[1]
    assert after[0] > before[0] + 1 and after[1] < before[1] - 1
    assert np.array_equal(after[2:], before[2:])
    assert np.array(RoundTo8Bit()(np.array([-3.0, 1.4, 254.6, 300.0]))).tolist() == [0, 1, 255, 255]


@pytest.fixture(scope="module")
def shaping():
    """Components [192, 80] that errors must spare, and a layer that does."""
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(192, 192)))[0]
    spared = basis[:, :80]
    layer = ShapedRounding()
    layer.build((None, 8, 8, 3))
    layer.set_weights(rounding_order(spared @ spared.T + 0.01 * np.eye(192)))
    return spared, layer


def test_shaped_rounding_spares_the_components_that_matter(shaping):
    spared, layer = shaping
    aims = np.random.default_rng(0).uniform(20, 235, (2, 24, 40, 3)).astype(np.float32)

    def noise(levels):
        tiles = (levels - aims).reshape(2, 3, 8, 5, 8, 3).swapaxes(2, 3).reshape(-1, 192)
        return np.square(tiles @ spared).mean(), np.square(tiles).mean()

    levels = keras.ops.convert_to_numpy(layer(aims))
    assert np.array_equal(levels, np.rint(levels))
    (shaped, everywhere), (plain, _) = noise(levels), noise(np.rint(aims))
    assert plain == pytest.approx(1 / 12, rel=0.1)
    assert shaped < plain / 4 and everywhere < 8 / 12


def test_shaped_rounding_stays_in_range_and_makes_up_for_it(shaping):
    """Samples that cannot go further leave the rest to the others of their block."""
    spared, layer = shaping
    aims = np.random.default_rng(0).uniform(1, 254, (40, 8, 8, 3)).astype(np.float32)
    aims[:, 0, :2] = [[-4, 260, 130], [3, -2, 256]]
    levels = keras.ops.convert_to_numpy(layer(aims))
    assert levels.min() == 0 and levels.max() == 255
    errors = np.square((levels - aims).reshape(-1, 192) @ spared).mean()
    cut = np.square((np.clip(np.rint(aims), 0, 255) - aims).reshape(-1, 192) @ spared).mean()
    assert errors < cut / 4


def test_without_feedback_shaped_rounding_is_plain():
    aims = np.random.default_rng(0).uniform(-20, 275, (3, 8, 16, 3)).astype(np.float32)
    assert np.array_equal(ShapedRounding()(aims), RoundTo8Bit()(aims))


def test_gradients_through_shaped_rounding_are_those_of_plain_rounding():
    layer = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(3),
            keras.layers.Reshape((1, 1, 3)),
            ShapedRounding(1),
        ]
    )
    layer.layers[-1].set_weights(rounding_order(np.ones((3, 3)) + 0.1 * np.eye(3)))
    layer.compile(keras.optimizers.SGD(0.1), "mse")
    before = np.array([50.2, 150.2, 300], np.float32)
    layer.layers[0].set_weights([np.zeros((3, 3)), before])
    layer.fit(np.zeros((4, 3)), np.full((4, 1, 1, 3), 100.0), verbose=0)
    after = layer.layers[0].get_weights()[1]
    assert after[0] > before[0] + 1 and after[1] < before[1] - 1 and after[2] == before[2]
