"""What it costs to change a sample by one grey level: little where texture hides it.

Costs are float32 [2, h, w, 3], of +1 and of −1, infinite where a sample would leave 0…255.
"""

import numpy as np

from steglib.images.arrays import check_image
from steglib.images.filters import box_mean, high_pass

FLATTEST = 1e-3  # texture counts as at least this
NEAREST = 1e-3  # part of a change's cost, at least, for who knows where the sample was
AGREEMENT = 9  # so many times cheaper is a change that agrees with those around
# A quarter of one colour's samples each, as [rows, columns, colour], in the order of embedding.
PARTS = [
    np.s_[top::2, left::2, colour]
    for top, left in ((0, 0), (1, 1), (0, 1), (1, 0))
    for colour in (1, 0, 2)
]


def equal(cover) -> np.ndarray:
    """1 for all changes.

    Args:
        cover: uint8 [h, w, 3].

    Raises:
        ValueError: another dtype or shape. This holds for all costs.
    """
    cover = check_image(cover, "cover")
    return _possible(np.ones(cover.shape, np.float32), cover)


def hill(cover) -> np.ndarray:
    """HILL, for each colour alone (Li et al., 2014, https://doi.org/10.1109/ICIP.2014.7025854).

    What a high-pass filter leaves, averaged over 3×3 samples; its inverse, averaged over 15×15.
    """
    cover = check_image(cover, "cover")
    texture = box_mean(np.abs(high_pass(cover)), 3)
    return _possible(box_mean(1 / np.maximum(texture, FLATTEST), 15), cover)


def root_hill(cover) -> np.ndarray:
    """The square root of `hill`: who knows the costs gains less by looking where they are low."""
    return np.sqrt(hill(cover))


def informed(cover, unrounded) -> np.ndarray:
    """`hill` for a sender who knows the cover as it was before rounding.

    The nearer that was to the next level, the less it costs to move there (Denemark and Fridrich,
    2015, https://doi.org/10.1145/2756601.2756602).

    Args:
        unrounded: float [h, w, 3], grey levels.
    """
    costs, up = hill(cover), np.clip(unrounded - cover, -0.5, 0.5).astype(np.float32)
    return costs * np.maximum(1 - 2 * np.maximum(np.stack([up, -up]), 0), np.float32(NEAREST))


def together(costs, changes, part) -> np.ndarray:
    """The costs of one of `PARTS` once others have changed, float32 [2, h', w'].

    A change is cheaper if the four samples around and, counted twice, the other two colours of the
    pixel moved that way, so that neighbours and colours move together (Li et al., 2015,
    https://doi.org/10.1109/TIFS.2015.2434600; colours: Tang et al., 2016,
    https://doi.org/10.1109/LSP.2015.2504583).

    Args:
        costs: float32 [2, h, w, 3].
        changes: int8 [h, w, 3], −1…1, those made so far.
    """
    rows, columns, colour = part
    own = np.pad(changes[..., colour], 1)
    around = own[:-2, 1:-1] + own[2:, 1:-1] + own[1:-1, :-2] + own[1:-1, 2:]
    moved = around + 2 * (changes.sum(2, dtype=np.int8) - changes[..., colour])
    agrees = np.stack([moved > 0, moved < 0])[:, rows, columns]
    return np.where(agrees, np.float32(1 / AGREEMENT), 1) * costs[:, *part]


def _possible(costs, cover):
    both = np.stack([costs, costs])
    both[0][cover == 255] = both[1][cover == 0] = np.inf
    return both
