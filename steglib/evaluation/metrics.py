"""Per-image scores: NumPy in, NumPy out, on the 0…255 scale, over all three channels."""

import numpy as np

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5  # the window is 11×11: 3.5 σ, rounded
ROWS = 256
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def _mean(function, a, b) -> np.ndarray:
    """Of a function of the errors of each image, some rows at a time: images may be huge."""
    a, b = _check(a, b)
    rows = range(0, a.shape[1], ROWS)
    parts = (function(a[:, i : i + ROWS].astype(np.float64) - b[:, i : i + ROWS]) for i in rows)
    return sum(part.sum(axis=(1, 2, 3)) for part in parts) / np.prod(a.shape[1:])


def _check(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(
            f"Two batches [n, h, w, c] of one shape are compared, not {a.shape}, {b.shape}."
        )
    return a, b


def mse(a, b) -> np.ndarray:
    """Mean squared error of each image, in grey levels squared.

    Args:
        a, b: uint8 or float [n, h, w, c], 0…255.

    Returns:
        float64 [n].

    Raises:
        ValueError: the shapes differ or are no batches. So for all metrics here.
    """
    return _mean(np.square, a, b)


def rmse(a, b) -> np.ndarray:
    """Root mean squared error of each image, in grey levels; see `mse`."""
    return np.sqrt(mse(a, b))


def mae(a, b) -> np.ndarray:
    """Mean absolute error of each image, in grey levels; see `mse`."""
    return _mean(np.abs, a, b)


def psnr(a, b) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, 10·log10(255² / MSE), in decibels; see `mse`.

    Equal images have an infinite one.
    """
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / mse(a, b))


def ssim(a, b) -> np.ndarray:
    """Structural similarity of each image, −1…1, the mean over channels.

    Gaussian window with σ = 1.5, population statistics, borders left out (Wang et al., 2004,
    https://doi.org/10.1109/TIP.2003.819861).

    Args:
        a, b: uint8 or float [n, h, w, c], 0…255, sides of 11 pixels or more.

    Returns:
        float64 [n].

    Raises:
        ValueError: as `mse`, and for images smaller than the window.
    """
    a, b = _check(a, b)
    if min(np.shape(a)[1:3]) < 2 * SSIM_RADIUS + 1:
        raise ValueError(f"SSIM needs sides of 11 pixels or more, not {np.shape(a)[1:3]}.")
    # A few images at a time: the intermediate arrays are large.
    parts = [_ssim(a[i : i + 64], b[i : i + 64]) for i in range(0, len(a), 64)]
    return np.concatenate(parts)


def _ssim(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a = _smooth(a * a) - mean_a**2
    var_b = _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _SSIM_C1) / (mean_a**2 + mean_b**2 + _SSIM_C1)
    structure = (2 * covariance + _SSIM_C2) / (var_a + var_b + _SSIM_C2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def _smooth(x):
    """Gaussian means of [n, h, w, c] wherever the window fits."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    weights /= weights.sum()
    for axis in (1, 2):
        length = x.shape[axis] - 2 * SSIM_RADIUS
        x = sum(
            weight * x.take(range(i, i + length), axis=axis) for i, weight in enumerate(weights)
        )
    return x
