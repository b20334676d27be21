"""What happens to a stego image on its way: JPEG, resizing, noise, paint, a messenger.

Damage is a line of text, such as "jpeg:75" or "longest:2048+jpeg:78": steps one after the other,
each with its numbers. `KINDS` has them all, `MESSENGERS` ready-made lines.
"""

import io

import numpy as np
from PIL import Image, ImageFilter

from steglib.images.arrays import scale_to


def damaged(image, line: str, seed: int = 0) -> np.ndarray:
    """The image after all that the line says.

    Args:
        image: uint8 [h, w, 3].
        line: steps joined by "+", each a key of `KINDS`, with ":" before each of its numbers.
            Numbers left out are those of `KINDS`. A key of `MESSENGERS` stands for its line.
        seed: of all that is random. The same seed gives the same image.

    Returns:
        uint8, of another size after "longest" or "crop".

    Raises:
        ValueError: there is no such step, or its numbers make no sense.
    """
    rng = np.random.default_rng(seed)
    for step in _steps(line):
        name, *numbers = step.split(":")
        if name not in KINDS:
            raise ValueError(f"There is no damage {name!r}. There are {', '.join(KINDS)}.")
        work, *defaults = KINDS[name]
        if len(numbers) > len(defaults):
            raise ValueError(f"{name} takes at most {len(defaults)} numbers, not {step!r}.")
        values = [float(number) for number in numbers] + defaults[len(numbers) :]
        image = work(image, rng, *values)
    return image


def geometry(line: str) -> str:
    """What of a line of damage changes the image's size; "png" if nothing does."""
    return "+".join(step for step in _steps(line) if step.split(":")[0] in RESIZING) or "png"


def _steps(line):
    return MESSENGERS.get(line, (line,))[0].split("+")


def save_and_open(image, format: str, **options) -> np.ndarray:
    """uint8 [h, w, 3] after Pillow wrote it as a file of a format, and read it back."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format, **options)
    return np.asarray(Image.open(file).convert("RGB"))


def jpeg(image, quality: int, subsampling: int = 420) -> np.ndarray:
    """uint8 [h, w, 3] after a JPEG file of Pillow's (libjpeg-turbo).

    Args:
        quality: 1…100.
        subsampling: of the chroma, 444, 422 or 420 (4:2:0, the usual one).

    Raises:
        ValueError: another subsampling.
    """
    if subsampling not in (444, 422, 420):
        raise ValueError(f"subsampling must be 444, 422 or 420, not {subsampling!r}.")
    chroma = ":".join(str(int(subsampling)))
    return save_and_open(image, "JPEG", quality=int(quality), subsampling=chroma)


def _jpeg(image, rng, quality, subsampling):
    return jpeg(image, quality, subsampling)


def _webp(image, rng, quality):
    return save_and_open(image, "WEBP", quality=int(quality))


def _resize(image, rng, factor):
    h, w, _ = image.shape
    small = max(1, round(w * factor)), max(1, round(h * factor))
    there = Image.fromarray(image).resize(small, Image.Resampling.LANCZOS)
    return np.asarray(there.resize((w, h), Image.Resampling.LANCZOS))


def _longest(image, rng, side):
    return scale_to(image, image.size, int(side))


def _crop(image, rng, pixels):
    return image[int(pixels) :, int(pixels) :]


def _one(image, rng, share):
    hit = rng.random(image.shape) < share
    return _to_levels(image + hit * rng.choice([-1, 1], image.shape))


def _noise(image, rng, sigma):
    return _to_levels(image + sigma * rng.standard_normal(image.shape))


def _blur(image, rng, sigma):
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def _brightness(image, rng, levels):
    return _to_levels(image.astype(float) + levels)


def _contrast(image, rng, factor):
    return _to_levels(127.5 + factor * (image.astype(float) - 127.5))


def _palette(image, rng, colours):
    return np.asarray(Image.fromarray(image).quantize(int(colours)).convert("RGB"))


def _run(image, rng, share):
    count = round(share * image.size)
    return _overwrite(image, rng, rng.integers(image.size - count) + np.arange(count))


def _square(image, rng, share):
    side = round((share * image.size / 3) ** 0.5)
    top, left = rng.integers(np.array(image.shape[:2]) - side)
    samples = np.arange(image.size).reshape(image.shape)
    return _overwrite(image, rng, samples[top : top + side, left : left + side].reshape(-1))


def _scattered(image, rng, share):
    return _overwrite(image, rng, rng.choice(image.size, round(share * image.size), replace=False))


def _overwrite(image, rng, hit):
    painted = image.copy()
    painted.reshape(-1)[hit] = rng.integers(0, 256, len(hit))
    return painted


def _to_levels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


# Name: what it does, and its numbers where they are left out.
KINDS = {
    "png": (lambda image, rng: image,),  # or any other lossless file
    "jpeg": (_jpeg, 75, 420),  # quality 1…100, subsampling 444, 422 or 420
    "webp": (_webp, 80),  # quality
    "resize": (_resize, 0.5),  # down by this factor and up again
    "longest": (_longest, 1600),  # scaled down until no side is longer
    "crop": (_crop, 8),  # so many rows at the top and columns at the left are cut off
    "one": (_one, 0.1),  # this share of the samples changes by one grey level
    "noise": (_noise, 4),  # Gaussian, standard deviation in grey levels
    "blur": (_blur, 1),  # Gaussian, standard deviation in pixels
    "brightness": (_brightness, 10),  # grey levels added
    "contrast": (_contrast, 1.1),  # factor around mid-grey
    "palette": (_palette, 256),  # so many colours
    "run": (_run, 0.01),  # this share of the samples is overwritten, row by row,
    "square": (_square, 0.01),  # as a square of whole pixels,
    "scattered": (_scattered, 0.01),  # or anywhere
}
RESIZING = "longest", "crop"

# What was published about them, and where. They change it without notice: try yours.
MESSENGERS = {
    "element": ("longest:2048+jpeg:78", "https://github.com/element-hq/element-meta/issues/2543"),
    "signal-desktop": (
        "longest:1920+jpeg:95",
        "https://github.com/signalapp/Signal-Desktop/issues/132",
    ),
    "signal-android": (  # the side, and the quality before they raised it
        "longest:1600+jpeg:80",
        "https://github.com/signalapp/Signal-Android/pull/10952 and /5772",
    ),
    "facebook": (
        "longest:1920+jpeg:77",
        "https://phototacopodcast.com/dimensions-and-quality-for-social-media-photo-sharing",
    ),
}
