import keras
import numpy as np

from steglib.layers import FitRange, RoundTo8Bit


def test_fitting_the_range_saves_the_secret():
    """A block that clipping would ruin, and the coefficients before and after."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(192, 192)))[0].astype(np.float32)
    free, carrying = basis[:, :112], basis[:, 112:]
    image = 250 + (rng.normal(size=(5, 192)).astype(np.float32) * 6)
    layer = FitRange(components=112, steps=60)
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
