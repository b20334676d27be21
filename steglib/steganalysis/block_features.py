"""How large the cosines of blocks of 8×8 pixels are, counted: for bytes that JPEG does not destroy.

After DCTR (Holub and Fridrich, 2015, https://doi.org/10.1109/TIFS.2014.2364918), but of the blocks
alone that a JPEG file would have, as a hider uses these.
"""

import numpy as np

from steglib.images.arrays import check_images
from steglib.images.jpeg import BLOCK, luma, to_cosines

STEP = 4.0  # grey levels, to which sizes are rounded
LARGEST = 4  # steps, to which they are cut


def block_cosines(images, weights=None) -> np.ndarray:
    """Of the luma, and of all cosines but the mean, the shares of sizes 0, 4, 8, 12 and 16 or more.

    Args:
        images: uint8 [n, h, w, 3], sides of 8 pixels or more.
        weights: float [n, h, w], how much each pixel matters; a block counts as much as the most
            that its pixels do. None for all alike.

    Returns:
        float32 [n, 315], roots of shares: five for each of 63 cosines.

    Raises:
        ValueError: another dtype or shape, or smaller images.
    """
    images = check_images(images, "images")
    if min(images.shape[1:3]) < BLOCK:
        raise ValueError(f"Blocks need sides of 8 pixels or more, not {images.shape[1:3]}.")
    weights = np.ones(images.shape[:3], np.float32) if weights is None else weights
    pairs = zip(images, weights, strict=True)
    return np.stack([_shares(image, some) for image, some in pairs]).astype(np.float32)


def _shares(image, weights):
    cosines = to_cosines(luma(image))
    rows, columns = cosines.shape[2:]
    blocks = weights[: BLOCK * rows, : BLOCK * columns].reshape(rows, BLOCK, columns, BLOCK)
    most = blocks.max(axis=(1, 3)).ravel()
    sizes = np.minimum(np.rint(np.abs(cosines) / STEP), LARGEST).reshape(BLOCK**2, -1)[1:]
    counts = np.stack([(sizes == size) @ most for size in range(LARGEST + 1)], axis=1)
    return np.sqrt(counts / max(most.sum(), 1e-12)).ravel()
