"""A person's own files in, lossless files out."""

import contextlib
import io
import logging
import os
import re
import secrets
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

from steglib.images import colours, kinds
from steglib.images import samples as decoding
from steglib.images.arrays import to_array

MAX_PIXELS = 2**27  # about 134 megapixels
DENSEST = 50_000  # pixels in a byte of a file: more are a bomb, not a photo
NAMELESS = "The picture"  # what is not a file has no name
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
# How EXIF's orientations are undone, and with "ROTATE_" swapped, how they are done again.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
AS_STORED = UPRIGHT | {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors go to stderr

Source = str | Path | bytes | BinaryIO


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
        samples: what `read_samples` reads, if that was asked for.
    """

    image: np.ndarray
    notes: tuple[str, ...]
    exif: bytes
    format: str = ""
    samples: np.ndarray | None = None


def read_photo(source: Source, *, samples: bool = False) -> Photo:
    """Reads a JPEG, PNG, WebP, TIFF, BMP, AVIF, HEIC, JPEG 2000 or GIF picture.

    It is turned upright and converted to 8 bits and sRGB, and its transparency is flattened onto
    white. Of several frames, the first is read.

    Args:
        source: the path of a file, its bytes, or a binary file object, read from where it stands.
        samples: whether to keep the samples, too.

    Raises:
        PhotoError: it is no regular file, empty, not readable, no such picture, damaged or
            incomplete, or has more than `MAX_PIXELS`.
        TypeError: a file object is not open in binary mode.
    """
    with _opened(source) as file:
        return _read_photo(file, samples)


def read_samples(source: Source) -> np.ndarray:
    """The samples of a picture as they are stored, uint8 [h, w, 3].

    They are neither turned nor converted to another colour space, and transparency is left out:
    what a file says about its samples does not change what is hidden in them.

    Args:
        source: as of `read_photo`.

    Raises:
        PhotoError, TypeError: as `read_photo`.
    """
    with _opened(source) as file:
        picture, _, turned = _decode(file, [])
        return to_array(_transpose(picture, AS_STORED.get(turned)))


@contextlib.contextmanager
def _opened(source):
    """A binary file that can seek; what goes wrong with it is a `PhotoError` that names it."""
    name = NAMELESS
    if isinstance(source, bytes | bytearray | memoryview):
        file = io.BytesIO(source)
    elif hasattr(source, "read"):
        file = io.BytesIO(source.read())
    else:
        name, file = source, _open(source)
    with file:
        if not file.seek(0, io.SEEK_END):
            raise PhotoError(f"{name} is empty: get a fresh copy.")
        file.seek(0)
        try:
            with warnings.catch_warnings(action="ignore"):
                yield file
        except Exception as error:  # decoders raise nearly everything
            raise PhotoError(f"{name} {_explain(error)}.") from error


def _open(path):
    if os.path.isdir(path):
        problem = "is a folder: name a picture in it"
    elif not os.path.exists(path):
        problem = "was not found: check its name and folder"
    elif not os.path.isfile(path):
        problem = "is not a regular file: copy what it holds into one"
    elif not os.access(path, os.R_OK):
        problem = "may not be read: ask its owner for the permission"
    else:
        # By its name, Pillow would map an uncompressed TIFF to memory and turn it wrongly.
        return open(path, "rb")
    raise PhotoError(f"{path} {problem}.")


def _explain(error):
    if isinstance(error, kinds.KindError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"has more than {MAX_PIXELS / 1e6:.0f} megapixels: scale it down first"
    if isinstance(error, UnidentifiedImageError):
        return f"is no picture that can be read ({', '.join(kinds.FORMATS)}): save it as PNG first"
    if isinstance(error, MemoryError):
        return "needs more memory than there is: scale it down first"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read ({reason}): get an undamaged copy, or save it anew as PNG"


def _decode(file, notes):
    """The loaded picture, its samples in 8 bits; as it was opened; how Pillow has turned it."""
    opened = kinds.open_picture(file)
    _refuse_bombs(opened, file.seek(0, io.SEEK_END))
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":  # to a JPEG, phones append previews
        notes.append(f"only its first frame (of {frames}) is used")
    turned = opened.tag_v2.get(Base.Orientation) if opened.format == "TIFF" else None
    return decoding.load(opened, file, notes), opened, turned


def _read_photo(file, keep_samples):
    notes = []
    picture, opened, turned = _decode(file, notes)
    profile = colours.described(opened, file, notes)
    stored = picture if keep_samples else None
    orientation, exif = _read_exif(opened, notes)
    flat = _flatten(_transpose(picture, UPRIGHT.get(orientation)), notes)
    image = to_array(colours.to_srgb(flat, profile, notes))
    if keep_samples:
        same = flat is stored and not turned and not profile
        stored = image if same else to_array(_transpose(stored, AS_STORED.get(turned)))
    return Photo(image, tuple(notes), exif, opened.format, stored)


def _refuse_bombs(picture, file_size):
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise Image.DecompressionBombError
    if pixels > DENSEST * file_size:
        raise ValueError(f"so few bytes for {picture.width}×{picture.height} pixels")


def _transpose(picture, method):
    return picture if method is None else picture.transpose(method)


def _read_exif(picture, notes):
    """Its orientation, and its other EXIF, which no longer describes colours."""
    try:
        exif, kept = picture.getexif(), Image.Exif()
        for tag in EXIF_TAGS & set(exif):
            kept[tag] = exif.get_ifd(tag) if tag in (IFD.Exif, IFD.GPSInfo) else exif[tag]
        for tag in (Base.ColorSpace, Base.Gamma, IFD.Interop):
            kept.get(IFD.Exif, {}).pop(tag, None)
        return exif.get(Base.Orientation), kept.tobytes() if kept else b""
    except MemoryError:
        raise
    except Exception:
        notes.append("its damaged EXIF was ignored")
        return None, b""


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


def is_jpeg(path: str | Path) -> bool:
    """Whether the name is that of a JPEG file."""
    return Path(path).suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif")


def is_picture(path: str | Path) -> bool:
    """Whether the name is that of a picture that `write_photo` writes."""
    return Path(path).suffix.lower() in WRITERS or is_jpeg(path)


def check_output(path: str | Path, overwrite: bool = False, jpeg: bool = False) -> None:
    """Finds out, before the work, whether `write_photo` could write there.

    Args:
        path: of the file.
        overwrite: whether it may exist.
        jpeg: whether it may be a JPEG, as what it holds comes through that.

    Raises:
        PhotoError: another suffix than .png, .webp, .tif, .tiff; or as `check_place`.
    """
    path, problem = Path(path), ""
    if is_jpeg(path) and not jpeg:
        problem = "would be a JPEG, which changes the pixels and thereby destroys the secret: "
        problem += "use .png (or .webp, .tif)"
    elif not is_picture(path):
        problem = "has a suffix of no format that keeps every pixel of a picture or a secret: "
        problem += "use .png (or .webp, .tif); for a folder, create it first"
    if problem and not path.is_dir():
        raise PhotoError(f"{path} {problem}.")
    check_place(path, overwrite)


def check_place(path: str | Path, overwrite: bool = False) -> None:
    """Finds out, before the work, whether any file could be written there.

    Raises:
        PhotoError: it is a folder, or there is none that may be written; or the file exists and
            `overwrite` is False.
    """
    path = Path(path)
    if path.is_dir():
        problem = "is a folder: name a file in it, such as stego.png"
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
    target: str | Path | BinaryIO,
    *,
    overwrite: bool = False,
    exif: bytes = b"",
    jpeg: bool = False,
) -> None:
    """Writes uint8 [h, w, 3] without loss: PNG, WebP or TIFF, as the suffix says.

    With `jpeg`, a JPEG of quality 100 is allowed, too, which loses little.

    A TIFF leaves out the camera's settings and the place of `exif`, and odd values. The file
    appears complete or not at all.

    Args:
        target: the path of a file; or a binary file object, which gets a PNG.

    Raises:
        ValueError: another dtype or shape.
        PhotoError: as `check_output`; or the disk is full; or a WebP's side exceeds 16383 pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must be uint8 [h, w, 3], not {image.dtype} {list(image.shape)}.")
    if hasattr(target, "write"):
        Image.fromarray(image).save(target, exif=exif, **WRITERS[".png"])
        return
    path = Path(target)
    check_output(path, overwrite, jpeg)
    options = JPEG_WRITER if is_jpeg(path) else WRITERS[path.suffix.lower()]
    if options["format"] == "WEBP" and max(image.shape) > WEBP_SIDE:
        raise PhotoError(f"{path} cannot have a side of more than {WEBP_SIDE} pixels: use .png.")

    def save(file):
        flat = _flat_exif(exif) if options["format"] == "TIFF" else exif
        with warnings.catch_warnings(action="ignore"):
            Image.fromarray(image).save(file, exif=flat, **options)

    _write_whole(path, overwrite, save, "leave out --keep-metadata" if exif else "")


def write_file(content: bytes, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes any bytes; the file appears complete or not at all.

    Raises:
        PhotoError: as `check_place`; or the disk is full, or the name is too long.
    """
    check_place(path, overwrite)
    _write_whole(Path(path), overwrite, lambda file: file.write(content))


def move(draft: Path, path: Path, *, overwrite: bool = False) -> None:
    """Moves a file to its place in the same file system.

    Raises:
        PhotoError: as `check_place`; or the disk does not do it.
    """
    check_place(path, overwrite)
    try:
        (os.replace if overwrite else _rename_to_new)(draft, path)
    except OSError as error:
        raise PhotoError(f"{path} cannot be written: {error.strerror}.") from error


def is_part(path: Path) -> bool:
    """Whether it is what is left of a file by a process that was killed while it wrote."""
    return re.fullmatch(r"\.[0-9a-f]{16}\.part", path.name) is not None


def _write_whole(path, overwrite, save, remedy=""):
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "xb") as file:
            save(file)
            file.flush()
            os.fsync(file.fileno())
        (os.replace if overwrite else _rename_to_new)(temporary, path)
    except Exception as error:  # encoders raise nearly everything, too
        reason = getattr(error, "strerror", None) or error
        remedy = f": {remedy}" if remedy and not isinstance(error, OSError) else ""
        raise PhotoError(f"{path} cannot be written: {reason}{remedy}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _flat_exif(data):
    """The texts, and what else of it Pillow's compressed TIFFs can hold."""
    exif, kept = Image.Exif(), Image.Exif()
    exif.load(data)
    for tag in set(exif) & EXIF_TAGS - {Base.ExifOffset, Base.GPSInfo}:
        value = exif[tag]
        if tag == Base.ResolutionUnit:
            fits = value in (1, 2, 3)
        elif tag in (Base.XResolution, Base.YResolution):
            fits = isinstance(value, IFDRational) and 0 < value < 2**31
        else:
            fits = isinstance(value, str) and bool(value)
        if fits:
            kept[tag] = value
    return kept.tobytes() if kept else b""


def _rename_to_new(temporary, path):
    try:
        os.link(temporary, path)  # unlike a rename, it never replaces a file
    except OSError:  # one has appeared meanwhile, or the file system has no links
        check_place(path)
        os.replace(temporary, path)
