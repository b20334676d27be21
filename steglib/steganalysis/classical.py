"""Attacks on LSB replacement: one number for one image, larger is more suspicious.

All pool the three colours. They are blind to LSB matching, which has no pairs of values.
"""

import numpy as np
from scipy.stats import chi2

from steglib.images.arrays import check_image
from steglib.images.filters import box_mean, high_pass

LEAST_EXPECTED = 4  # samples of a value, as usual for this test


def chi_square(image) -> float:
    """How well an image agrees with random bits in all its samples, 0…1.

    These make the two values of a pair, 2k and 2k + 1, equally frequent. The p-value of a
    chi-square test, as the paper has it: of the even values alone, which brings it close to 1 where
    there are such bits. It is close to 0 for most covers; bits in a part of the samples, scattered,
    often leave it there. Each colour is tested; statistics and degrees of freedom add up. (Westfeld
    and Pfitzmann, 1999, https://doi.org/10.1007/10719724_5.)

    Args:
        image: uint8 [h, w, 3].

    Raises:
        ValueError: another dtype or shape. This holds for all attacks.
    """
    image = check_image(image, "image")
    counts = np.stack([np.bincount(image[..., i].ravel(), minlength=256) for i in range(3)])
    even, expected = counts[:, ::2], (counts[:, ::2] + counts[:, 1::2]) / 2
    tested = expected > LEAST_EXPECTED
    statistic = (np.square(even - expected)[tested] / expected[tested]).sum()
    return float(chi2.sf(statistic, max(1, tested.sum() - 3)))


def sample_pairs(image) -> float:
    """The estimated share of samples that carry a bit.

    Of neighbours that differ, as many pairs have the even value below the odd one's as above, in a
    cover. Changed bits move pairs from one kind to the other; how many, a quadratic equation tells.
    (Dumitrescu, Wu and Wang, 2003, https://doi.org/10.1109/TSP.2003.812753.)
    """
    image = check_image(image, "image").astype(np.int16)
    pairs = (image[:, :-1], image[:, 1:]), (image[:-1], image[1:])
    u, v = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*pairs, strict=True))
    below = np.where(v % 2, u > v, u < v).sum()
    above = np.where(v % 2, u < v, u > v).sum()
    close = (u // 2 == v // 2).sum()
    roots = np.roots([close / 2, 2 * below - u.size, above - below])
    return float(min(roots.real, default=0))


def weighted_stego(image) -> float:
    """The estimated share of samples that carry a bit.

    A changed sample errs from what its neighbours foretell towards its own lowest bit. The mean of
    these errors is half the share; samples in smooth places, where the forecast is good, weigh
    more. (Fridrich and Goljan, 2004, https://doi.org/10.1117/12.521350; forecast and weights of Ker
    and Böhme, 2008, https://doi.org/10.1117/12.766820.)
    """
    levels = check_image(image, "image").astype(np.float32)
    towards = levels % 2 * 2 - 1
    variance = box_mean(levels**2, 3) - box_mean(levels, 3) ** 2
    weights = 1 / (5 + np.maximum(variance, 0))
    return float(2 * np.average(towards * high_pass(levels) / 4, weights=weights))
