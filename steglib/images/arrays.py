"""Images as arrays: whether they are any, and of which size."""

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


def check_image(image, name: str) -> np.ndarray:
    """`image`, if it is one: uint8 [h, w, 3]. Raises ValueError otherwise."""
    if np.ndim(image) != 3:
        raise ValueError(f"{name} must be one image [h, w, 3], not {list(np.shape(image))}.")
    return check_images(image, name)[0]


def fit_to(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The centre of an image, scaled to fill a size: uint8 [h, w, 3] → [height, width, 3].

    Scaled by Lanczos, which filters before it shrinks; the image itself if it has that size.
    """
    if image.shape[:2] == (height, width):
        return image
    fitted = ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.LANCZOS)
    return to_array(fitted)


def scale_to(image: np.ndarray, pixels: int, longest: int | None = None) -> np.ndarray:
    """An image uint8 [h, w, 3] scaled down (Lanczos) where it is too large.

    Its aspect is kept (up to rounding), unless a side would become shorter than 8 pixels.

    Args:
        image: uint8 [h, w, 3].
        pixels: at most so many in all.
        longest: at most so many a side, None for no limit.
    """
    size = _scaled_size(image, pixels, longest)
    if size is None:
        return image
    return to_array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def scale_unrounded(image: np.ndarray, longest: int) -> np.ndarray | None:
    """As `scale_to`, but not rounded: float32 [h, w, 3] in 0…255; None if it is not too large."""
    size = _scaled_size(image, image.size, longest)
    if size is None:
        return None
    planes = (Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(image, 2, 0))
    scaled = [np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes]
    return np.clip(np.stack(scaled, 2), 0, 255)


def _scaled_size(image, pixels, longest):
    """Width and height; None if the image stays as it is."""
    height, width = image.shape[:2]
    factor = min((pixels / (height * width)) ** 0.5, (longest or np.inf) / max(height, width))
    if factor >= 1:
        return None
    size = [max(min(8, side), round(side * factor)) for side in (width, height)]
    if min(size) <= 8:
        size = [min(side, max(8, pixels // min(size))) for side in size]
    return size


def to_array(picture: Image.Image) -> np.ndarray:
    """Pillow's picture as uint8 [h, w, 3], by strips: at once would take twice the memory."""
    width, height = picture.size
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, 256):
        bottom = min(top + 256, height)
        image[top:bottom] = picture.crop((0, top, width, bottom)).convert("RGB")
    return image


def cut_squares(images, side: int, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Squares that lie side by side in images, from the middle of each.

    Args:
        images: uint8 [h, w, 3] each; of smaller ones, there is nothing.
        side: in pixels.
        most: at most so many of each image, spread evenly over it; None for all.

    Returns:
        uint8 [n, side, side, 3], and int [n], from which image each is.

    Raises:
        ValueError: all images are smaller.
    """
    squares, numbers = [], []
    for number, image in enumerate(images):
        rows, columns = np.array(image.shape[:2]) // side
        top, left = np.array(image.shape[:2]) % side // 2
        cells = [divmod(i, columns) for i in _spread(rows * columns, most)]
        squares += [image[top + side * y :, left + side * x :][:side, :side] for y, x in cells]
        numbers += [number] * len(cells)
    if not squares:
        raise ValueError(f"No image has {side}×{side} pixels.")
    return np.stack(squares), np.array(numbers)


def _spread(count, most):
    """At most so many of 0…count − 1, evenly spread."""
    most = count if most is None else min(count, most)
    return (2 * np.arange(most) + 1) * count // (2 * max(most, 1))
