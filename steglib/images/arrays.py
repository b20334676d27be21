"""What every part of the package asks of images as arrays."""

import numpy as np


def check_images(images, name: str) -> np.ndarray:
    """`images` as a batch uint8 [n, h, w, 3].

    Raises:
        ValueError: another dtype or shape, or no image at all.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(
            f"{name} must be uint8, grey levels 0…255, not {images.dtype}. "
            "Scale and round floats first."
        )
    if images.ndim not in (3, 4) or images.shape[-1] != 3 or 0 in images.shape:
        raise ValueError(
            f"{name} must have the shape [h, w, 3] or [n, h, w, 3], not {list(images.shape)}."
        )
    return images[None] if images.ndim == 3 else images
