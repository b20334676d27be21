"""What every part of the package asks of images as arrays."""

import numpy as np
from PIL import Image, ImageOps


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


def fit_to(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scaled (Lanczos) and centre-cropped: uint8 [h, w, 3] → [height, width, 3]."""
    if image.shape[:2] == (height, width):
        return image
    fitted = ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.LANCZOS)
    return to_array(fitted)


def scale_to(image: np.ndarray, pixels: int, longest: int | None = None) -> np.ndarray:
    """Scaled down, if need be, to at most so many pixels, and so many a side.

    Its aspect is kept (up to rounding), unless a side would become shorter than 8 pixels.
    """
    height, width = image.shape[:2]
    factor = min((pixels / (height * width)) ** 0.5, (longest or np.inf) / max(height, width))
    if factor >= 1:
        return image
    size = [max(min(8, side), round(side * factor)) for side in (width, height)]
    if min(size) <= 8:
        size = [min(side, max(8, pixels // min(size))) for side in size]
    return to_array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def to_array(picture):
    """uint8 [h, w, 3], by strips: all at once would take twice the memory."""
    width, height = picture.size
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, 256):
        bottom = min(top + 256, height)
        image[top:bottom] = picture.crop((0, top, width, bottom)).convert("RGB")
    return image
