import numpy as np
import pytest
from skimage import metrics as oracle

from steglib.evaluation import metrics


@pytest.fixture
def images(pairs):
    return pairs[0], np.roll(pairs[0], 1, axis=2)


def test_psnr_agrees_with_scikit_image(images):
    a, b = images
    wanted = [
        oracle.peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)
    ]
    assert metrics.psnr(a, b) == pytest.approx(wanted, rel=1e-12)


def test_ssim_agrees_with_scikit_image(images):
    a, b = images
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options |= {"channel_axis": -1, "data_range": 255}
    wanted = [oracle.structural_similarity(x, y, **options) for x, y in zip(a, b, strict=True)]
    assert metrics.ssim(a, b) == pytest.approx(wanted, rel=1e-9)
    many = np.concatenate([a] * 10), np.concatenate([b] * 10)  # more than it takes at a time
    assert metrics.ssim(*many) == pytest.approx(wanted * 10, rel=1e-9)


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
