"""A person's own files in, lossless files out."""

import io
import logging
import os
import secrets
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base

from steglib.images.arrays import to_array

MAX_PIXELS = 2**27  # about 134 megapixels
DENSEST = 50_000  # pixels in a byte of a file: more are a bomb, not a photo
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "GIF")
# On noise, a higher level or effort takes 2.5 times as long and saves an eighth or nothing.
WRITERS = {
    ".png": {"format": "PNG", "compress_level": 1},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True, "method": 1, "quality": 20},
    ".tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}
JPEG_WRITER = {"format": "JPEG", "quality": 100, "subsampling": "4:4:4", "optimize": True}
WEBP_SIDE = 16383
# All others tell how the file stores its pixels, or hold a thumbnail.
EXIF_TAGS = {
    *(Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime),
    *(Base.Artist, Base.Copyright, Base.XResolution, Base.YResolution, Base.ResolutionUnit),
    *(Base.ExifOffset, Base.GPSInfo),
}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors go to stderr


class PhotoError(ValueError):
    """A file cannot be used; the message, one line, names it and the remedy."""


@dataclass(frozen=True)
class Photo:
    """What `read_photo` read.

    Attributes:
        image: uint8 [h, w, 3], sRGB.
        notes: what was done to it that the person should know, such as "its transparency was
            flattened onto white".
        exif: the file's EXIF without its orientation and thumbnail, b"" where it has none.
        format: what Pillow calls the kind of file.
    """

    image: np.ndarray
    notes: tuple[str, ...]
    exif: bytes
    format: str = ""


def read_photo(path: str | Path) -> Photo:
    """Reads a JPEG, PNG, WebP, TIFF, BMP, AVIF, JPEG 2000 or GIF file.

    It is turned upright and converted to 8 bits and sRGB. Of several frames, the first is read.

    Raises:
        PhotoError: it is no regular file, empty, not readable, no such picture, damaged or
            incomplete, or has more than `MAX_PIXELS`.
    """
    if os.path.isdir(path):
        problem = "is a folder: name a picture in it"
    elif not os.path.exists(path):
        problem = "was not found: check its name and folder"
    elif not os.path.isfile(path):
        problem = "is not a regular file: copy what it holds into one"
    elif not os.access(path, os.R_OK):
        problem = "may not be read: ask its owner for the permission"
    elif os.path.getsize(path) == 0:
        problem = "is empty: get a fresh copy"
    else:
        try:
            with warnings.catch_warnings(action="ignore"):
                return _decode_photo(path)
        except Exception as error:  # decoders raise nearly everything
            raise PhotoError(f"{path} {_explain(error)}.") from error
    raise PhotoError(f"{path} {problem}.")


def _explain(error):
    if isinstance(error, Image.DecompressionBombError):
        return f"has more than {MAX_PIXELS / 1e6:.0f} megapixels: scale it down first"
    if isinstance(error, UnidentifiedImageError):
        return f"is no picture that can be read ({', '.join(FORMATS)}): save it as PNG first"
    if isinstance(error, MemoryError):
        return "needs more memory than there is: scale it down first"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read ({reason}): get an undamaged copy, or save it anew as PNG"


def _decode_photo(path):
    notes = []
    # By its name, Pillow would map an uncompressed TIFF to memory and turn it wrongly.
    with open(path, "rb") as file, Image.open(file, formats=FORMATS) as picture:
        _refuse_bombs(picture, os.path.getsize(path))
        if picture.format == "TIFF" and picture.tag_v2.get(Base.NewSubfileType, 0) & 1:
            raise ValueError("a camera's raw file, of which only the preview is readable")
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and picture.format != "MPO":  # to a JPEG, phones append previews
            notes.append(f"only its first frame (of {frames}) is used")
        storage, format = str(picture.tile[:1]), picture.format
        picture.load()
    exif = _turn_upright(picture, notes)
    profile = picture.info.get("icc_profile")
    picture = _to_8_bits(picture, storage, notes)
    picture = _flatten(picture, notes)
    picture = _to_srgb(picture, profile, notes)
    return Photo(to_array(picture), tuple(notes), exif, format)


def _refuse_bombs(picture, file_size):
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise Image.DecompressionBombError
    if pixels > DENSEST * file_size:
        raise ValueError(f"so few bytes for {picture.width}×{picture.height} pixels")


def _turn_upright(picture, notes):
    """Turns it in place and returns its other EXIF."""
    try:
        ImageOps.exif_transpose(picture, in_place=True)
        exif = picture.getexif()
        for tag in set(exif) - EXIF_TAGS:
            del exif[tag]
        return exif.tobytes() if exif else b""
    except MemoryError:
        raise
    except Exception:
        notes.append("its damaged EXIF was ignored")
        return b""


def _to_8_bits(picture, storage, notes):
    if picture.mode in ("I", "F"):  # what is black and what white, no convention says
        values = np.asarray(picture, np.float32)
        known = values[np.isfinite(values)]
        if not known.size:
            raise ValueError("it has no values")
        low, high = known.min(), known.max()
        notes.append(f"its values {low:g}…{high:g} were scaled to 0…255")
        levels = np.nan_to_num((values - low) / (high - low)).clip(0, 1) * 255
        return Image.fromarray(levels.round().astype(np.uint8))
    bits = 12 if "I;12" in storage else 16
    grey = picture.mode.startswith("I;16")
    if grey or (picture.format in ("PNG", "TIFF") and ";16" in storage):
        notes.append(f"{bits} bits a channel were reduced to 8")
    if grey:  # to the high 8 bits, as Pillow does with colours
        return Image.fromarray((np.asarray(picture) >> (bits - 8)).astype(np.uint8))
    return picture


def _flatten(picture, notes):
    if not picture.has_transparency_data:
        return picture
    mode = "LA" if Image.getmodebase(picture.mode) == "L" else "RGBA"
    if picture.mode != mode:
        picture = picture.convert(mode)
    alpha = picture.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return picture
    notes.append("its transparency was flattened onto white")
    flat = Image.new(mode[:-1], picture.size, "white")
    flat.paste(picture.convert(mode[:-1]), mask=alpha)
    return flat


def _to_srgb(picture, profile, notes):
    mode = "L" if Image.getmodebase(picture.mode) == "L" else "RGB"
    mode = "CMYK" if picture.mode == "CMYK" else mode
    if not profile or picture.mode == "LAB":  # Pillow knows what LAB means by itself
        if mode == "CMYK":
            notes.append("its CMYK colours were converted without a profile")
        return picture
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if mode == "L" and source.profile.xcolor_space == "RGB ":
            mode = "RGB"
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if not _changes_colours(transform, mode):
            return picture
        if picture.mode != mode:
            picture = picture.convert(mode)
        picture = ImageCms.applyTransform(picture, transform)
        name = " ".join(ImageCms.getProfileDescription(source).split())
        notes.append(f"its colours were converted from {name or 'its profile'} to sRGB")
    except ImageCms.PyCMSError:
        notes.append("its damaged colour profile was ignored")
    return picture


def _changes_colours(transform, mode):
    """Whether it does more than rounding to a lattice of 16³ colours."""
    lattice = np.mgrid[0:256:17, 0:256:17, 0:256:17].reshape(3, 64, 64).transpose(1, 2, 0)
    before = Image.fromarray(lattice.astype(np.uint8)).convert(mode)
    after = ImageCms.applyTransform(before, transform)
    return np.abs(np.subtract(before.convert("RGB"), after, dtype=np.int16)).max() > 2


def is_jpeg(path: str | Path) -> bool:
    """Whether the name is that of a JPEG file."""
    return Path(path).suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif")


def check_output(path: str | Path, overwrite: bool = False, jpeg: bool = False) -> None:
    """Finds out, before the work, whether `write_photo` could write there.

    Args:
        path: of the file.
        overwrite: whether it may exist.
        jpeg: whether it may be a JPEG, as what it holds comes through that.

    Raises:
        PhotoError: another suffix than .png, .webp, .tif, .tiff; no folder that may be written;
            or the file exists and `overwrite` is False.
    """
    path = Path(path)
    if path.is_dir():
        problem = "is a folder: name a file in it, such as stego.png"
    elif is_jpeg(path) and not jpeg:
        problem = "would be a JPEG, which changes the pixels and thereby destroys the secret: "
        problem += "use .png (or .webp, .tif), or hide with --survive 75"
    elif path.suffix.lower() not in WRITERS and not is_jpeg(path):
        problem = "has a suffix of no format known to keep every pixel, and with them the secret: "
        problem += "use .png (or .webp, .tif); for a folder, create it first"
    elif not path.parent.is_dir():
        problem = f"cannot be written, as there is no folder {path.parent}: create it first"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        problem = f"cannot be written, as {path.parent} allows no new files: use another folder"
    elif os.path.lexists(path) and not overwrite:
        problem = "exists already: choose another name, or --force to replace it"
    else:
        return
    raise PhotoError(f"{path} {problem}.")


def write_photo(
    image: np.ndarray,
    path: str | Path,
    *,
    overwrite: bool = False,
    exif: bytes = b"",
    jpeg: bool = False,
) -> None:
    """Writes uint8 [h, w, 3] without loss: PNG, WebP or TIFF, as the suffix says.

    With `jpeg`, a JPEG of quality 100 is allowed, too, which loses little.

    A TIFF leaves out the camera's settings and the place of `exif`. The file appears complete or
    not at all.

    Raises:
        ValueError: another dtype or shape.
        PhotoError: as `check_output`; or the disk is full; or a WebP's side exceeds 16383 pixels.
    """
    path = Path(path)
    check_output(path, overwrite, jpeg)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must be uint8 [h, w, 3], not {image.dtype} {list(image.shape)}.")
    options = JPEG_WRITER if is_jpeg(path) else WRITERS[path.suffix.lower()]
    if options["format"] == "WEBP" and max(image.shape) > WEBP_SIDE:
        raise PhotoError(f"{path} cannot have a side of more than {WEBP_SIDE} pixels: use .png.")
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        exif = _flat_exif(exif) if options["format"] == "TIFF" else exif
        with open(temporary, "xb") as file:
            Image.fromarray(image).save(file, exif=exif, **options)
            file.flush()
            os.fsync(file.fileno())
        (os.replace if overwrite else _rename_to_new)(temporary, path)
    except Exception as error:  # encoders raise nearly everything, too
        reason = getattr(error, "strerror", None) or error
        raise PhotoError(f"{path} cannot be written: {reason}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _flat_exif(data):
    """Without the parts, camera settings and place, that Pillow's compressed TIFFs cannot hold."""
    exif = Image.Exif()
    exif.load(data)
    for tag in {Base.ExifOffset, Base.GPSInfo} & set(exif):
        del exif[tag]
    return exif.tobytes() if exif else b""


def _rename_to_new(temporary, path):
    try:
        os.link(temporary, path)  # unlike a rename, it never replaces a file
    except OSError:  # one has appeared meanwhile, or the file system has no links
        check_output(path)
        os.replace(temporary, path)
