import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from steglib.evaluation import metrics


@pytest.fixture
def images(pairs):
    return pairs[0], np.roll(pairs[0], 1, axis=2)


def test_psnr_agrees_with_scikit_image(images):
    a, b = images
    wanted = [peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)]
    assert metrics.psnr(a, b) == pytest.approx(wanted, rel=1e-12)


def test_errors_of_huge_images_are_summed_over_strips():
    a = np.random.default_rng(0).integers(0, 256, (1, 2 * metrics.STRIP + 3, 2, 3), np.uint8)
    error = a[0].astype(np.float64) - a[0, ::-1]
    assert metrics.mse(a, a[:, ::-1])[0] == pytest.approx((error**2).mean(), rel=1e-12)
    assert metrics.mae(a, a[:, ::-1])[0] == pytest.approx(abs(error).mean(), rel=1e-12)


def ssim_by_its_definition(a, b):
    """Wang et al., 2004, with every window of 11×11 pixels cut out: [h, w, c] → a number."""
    offsets = np.arange(-5, 6)
    gauss = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    gauss /= gauss.sum()

    def mean(values):
        windows = np.lib.stride_tricks.sliding_window_view(values, (11, 11), axis=(0, 1))
        return (windows * gauss).sum(axis=(-2, -1))

    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b, c1, c2 = mean(a), mean(b), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    var_a, var_b = mean(a**2) - mean_a**2, mean(b**2) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    similar = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similar / (mean_a**2 + mean_b**2 + c1) / (var_a + var_b + c2)).mean()


@pytest.mark.parametrize("height, width", [(64, 64), (11, 11), (11, 37), (45, 12)])
def test_ssim_is_as_defined(images, height, width):
    a, b = (batch[:, :height, :width] for batch in images)
    wanted = [ssim_by_its_definition(x, y) for x, y in zip(a, b, strict=True)]
    assert metrics.ssim(a, b) == pytest.approx(wanted, rel=1e-9)


def test_errors_do_not_wrap_around():
    black, white = np.zeros((2, 4, 5, 3), np.uint8), np.full((2, 4, 5, 3), 255, np.uint8)
    assert metrics.mae(black, white).tolist() == [255, 255]
    assert metrics.rmse(black, white).tolist() == [255, 255]
    assert metrics.psnr(black, white).tolist() == [0, 0]
    assert np.isinf(metrics.psnr(white, white)).all()


def test_rmse_and_mae_are_per_image():
    a = np.zeros((2, 4, 4, 3), np.uint8)
    b = a.copy()
    b[1, :2] = 6
    assert metrics.mae(a, b).tolist() == [0, 3]
    assert metrics.rmse(a, b) == pytest.approx([0, np.sqrt(18)])


def test_mismatched_shapes_are_refused():
    a = np.zeros((2, 16, 16, 3), np.uint8)
    for metric in (metrics.psnr, metrics.ssim, metrics.rmse, metrics.mae):
        with pytest.raises(ValueError, match="shape"):
            metric(a, a[:1])
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.ssim(a[:, :8], a[:, :8])
