import numpy as np
import pytest
from scipy.ndimage import convolve, uniform_filter

from steglib.images.filters import box_mean, high_pass

IMAGE = np.random.default_rng(0).integers(0, 256, (7, 18, 3), np.uint8)
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)[..., None]


def test_high_pass_is_a_convolution():
    expected = convolve(IMAGE.astype(np.float32), KERNEL, mode="reflect")
    assert high_pass(IMAGE).dtype == np.float32
    assert np.array_equal(high_pass(IMAGE), expected)
    assert not high_pass(np.full((4, 5, 3), 200, np.uint8)).any()


@pytest.mark.parametrize("side", [1, 3, 15])
def test_box_mean_is_a_uniform_filter(side):
    expected = uniform_filter(IMAGE.astype(np.float64), (side, side, 1), mode="reflect")
    assert box_mean(IMAGE, side).dtype == np.float32
    assert np.allclose(box_mean(IMAGE, side), expected, rtol=1e-5)
