"""Scores of each image: NumPy in, NumPy out, on the scale 0…255, over all channels."""

import numpy as np

ROUNDING = 1 / 12  # mean squared error of rounding to 8 bits
STRIP = 256  # rows at a time: images may be huge


def mse(a, b) -> np.ndarray:
    """Mean squared error of each image, in grey levels squared.

    Args:
        a, b: uint8 or float [n, h, w, c], 0…255.

    Returns:
        float64 [n].

    Raises:
        ValueError: the shapes differ, or are no batches. This holds for all metrics here.
    """
    return _mean_of_errors(np.square, a, b)


def rmse(a, b) -> np.ndarray:
    """Root mean squared error of each image, in grey levels; see `mse`."""
    return np.sqrt(mse(a, b))


def mae(a, b) -> np.ndarray:
    """Mean absolute error of each image, in grey levels; see `mse`."""
    return _mean_of_errors(np.abs, a, b)


def psnr(a, b) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, 10·log10(255² / MSE), in decibels; see `mse`.

    It is infinite for equal images.
    """
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / mse(a, b))


def ssim(a, b) -> np.ndarray:
    """Structural similarity of each image, −1…1, the mean over channels.

    Gaussian window of 11×11 with σ = 1.5, population statistics, borders left out (Wang et al.,
    2004, https://doi.org/10.1109/TIP.2003.819861).

    Args:
        a, b: uint8 or float [n, h, w, c], 0…255, sides of 11 pixels or more.

    Returns:
        float64 [n].

    Raises:
        ValueError: as `mse`, and for images smaller than the window.
    """
    from skimage.metrics import structural_similarity  # here: the tool does without it

    a, b = _check_alike(a, b)
    if min(a.shape[1:3]) < 11:
        raise ValueError(f"SSIM needs sides of 11 pixels or more, not {a.shape[1:3]}.")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options |= {"data_range": 255, "channel_axis": -1}
    return np.array([structural_similarity(x, y, **options) for x, y in zip(a, b, strict=True)])


def _mean_of_errors(function, a, b):
    a, b = _check_alike(a, b)
    strips = [slice(top, top + STRIP) for top in range(0, a.shape[1], STRIP)]
    parts = (function(a[:, strip].astype(np.float64) - b[:, strip]) for strip in strips)
    return sum(part.sum(axis=(1, 2, 3)) for part in parts) / np.prod(a.shape[1:])


def _check_alike(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(
            f"Two batches [n, h, w, c] of one shape are compared, not {a.shape} and {b.shape}."
        )
    return a, b
