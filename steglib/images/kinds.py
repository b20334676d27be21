"""Which kind of picture a file is, and why one cannot be read."""

import contextlib
import importlib.util
import threading

from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.ExifTags import Base

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "GIF", "HEIF")
HEIF_BRANDS = ("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1")
DNG_VERSION = 50706
TIFF_HEADS = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"
COLOURS = {
    **dict(enumerate(("grey", "grey", "RGB", "palette", "mask", "CMYK", "YCbCr"))),
    **{8: "CIELAB", 9: "ICCLAB", 10: "ITULAB", 32844: "LogL", 32845: "LogLuv"},
    **{32803: "a camera's raw colours", 34892: "a camera's raw colours"},
}
SAMPLES = {1: "", 2: "signed ", 3: "floating-point ", 4: "undefined ", 5: "complex "}
SAMPLES_OF = {2: 3, 5: 4, 6: 3, 8: 3}  # a TIFF's colours, if not of one sample
PLANES = "in planes"
SWITCHING = threading.Lock()
RAW = "a camera's raw file"
APPLE_DOUBLE = b"\0\5\x16\7"
# Offset, bytes, and what a file with these bytes there is.
OTHERS = (
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (0, b"II\xbc", "a JPEG XR picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript drawing"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML document, such as an SVG drawing"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"PK\3\4", "a ZIP archive"),
    (8, b"CR", RAW),  # Canon, in a TIFF
    (4, b"ftypcrx ", RAW),  # Canon
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"IIU\0", RAW),  # Panasonic
    (0, b"IIRO", RAW),  # Olympus
    (0, b"IIRS", RAW),
    (0, b"MMOR", RAW),
    (0, b"FOVb", RAW),  # Sigma
    (0, b"\0MRM", RAW),  # Minolta
    (4, b"ftypqt  ", "a video"),
    (4, b"ftypisom", "a video"),
    (4, b"ftypmp4", "a video"),
    (4, b"moov", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
)


class KindError(ValueError):
    """A sound file of a kind that cannot be read; the message says which, and the remedy."""


def open_picture(file) -> Image.Image:
    """Opens a picture of one of `FORMATS`, by its content.

    Args:
        file: binary, with `seek`.

    Raises:
        KindError: it is of another kind, or HEIC and pillow-heif is not installed.
        UnidentifiedImageError: it is none, or damaged.
    """
    head = file.read(16)
    file.seek(0)
    if head.startswith(APPLE_DOUBLE):
        raise KindError("is no picture, but what a Mac keeps beside one: name the picture itself")
    for offset, magic, kind in OTHERS:
        if head[offset:].startswith(magic):
            raise KindError(f"is {kind}, which cannot be read: save it as JPEG or PNG first")
    formats = FORMATS if _reads_heif(head) else FORMATS[:-1]
    try:
        picture = Image.open(file, formats=formats)
    except UnidentifiedImageError as error:
        if head.startswith(TIFF_HEADS) and (kind := _tiff_kind(file, head)):
            return _checked_tiff(_open_planes(file, kind), file)
        if _is_heif(head) and "HEIF" not in formats:
            raise KindError(
                "is a HEIC picture, for which pillow-heif is missing: pip install pillow-heif, or "
                "save it as JPEG or PNG first"
            ) from error
        if head[4:8] == b"ftyp":
            raise ValueError("damaged, or not as AVIF and HEIC pictures are") from error
        raise
    return _checked_tiff(picture, file) if picture.format == "TIFF" else picture


def _open_planes(file, kind):
    """A TIFF in planes by libtiff, which knows more of them than Pillow's own reader."""
    if PLANES in kind:
        with contextlib.suppress(UnidentifiedImageError):
            return _reopen(file)
    raise KindError(
        f"is a TIFF of a kind that cannot be read ({kind}): save it as PNG, or as an RGB TIFF of "
        "8 or 16 bits, first"
    )


def _checked_tiff(picture, file):
    """Has libtiff read what Pillow's own reader would read wrongly, or refuses it."""
    tags = picture.tag_v2
    if tags.get(Base.NewSubfileType, 0) & 1 or DNG_VERSION in tags:
        raise KindError(
            f"is {RAW}, of which only the preview is readable: save it as JPEG or PNG first"
        )
    colour, count = tags.get(Base.PhotometricInterpretation), tags.get(Base.SamplesPerPixel, 1)
    extra, bits = tags.get(Base.ExtraSamples, ()), tags.get(Base.BitsPerSample, (1,))[0]
    if tags.get(Base.PlanarConfiguration) == 2 and count > 1:
        if not picture.use_load_libtiff and (bits == 16 or extra or tags.get(Base.FillOrder) == 2):
            picture = _reopen(file)  # else it takes 16 bits for 8 bits
        more = count > SAMPLES_OF.get(colour, 1) and not extra and picture.use_load_libtiff
        if picture.mode in ("LA", "La", "PA") or more or (len(extra) > 1 and any(extra)):
            raise KindError(
                f"is a TIFF whose {count} planes cannot be told apart: save it as PNG, or as a "
                "TIFF with interleaved channels, first"
            )
    subsampled = colour == 6 and tags.get(Base.YCbCrSubSampling) != (1, 1)
    return _reopen(file) if subsampled and not picture.use_load_libtiff else picture


def _reopen(file):
    """A TIFF by libtiff, also without compression."""
    file.seek(0)
    with SWITCHING:
        TiffImagePlugin.READ_LIBTIFF = True
        try:
            return Image.open(file, formats=["TIFF"])
        finally:
            TiffImagePlugin.READ_LIBTIFF = False


def _is_heif(head):
    return head[4:8] == b"ftyp" and head[8:12].decode("latin1") in HEIF_BRANDS


def _reads_heif(head):
    """Whether it may be HEIC, and can then be read. Its library is loaded when it is needed."""
    if not _is_heif(head) or importlib.util.find_spec("pillow_heif") is None:
        return False
    if "HEIF" not in Image.OPEN:
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return True


def _tiff_kind(file, head):
    """What the first directory of a TIFF says about its samples, None if nothing."""
    if head.startswith(b"MM\0+"):
        return "big-endian BigTIFF"
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(head[: 16 if b"+" in head[:4] else 8])
        file.seek(tags.next)
        tags.load(file)
        if DNG_VERSION in tags:
            return RAW
        colour, bits = tags[Base.PhotometricInterpretation], tags.get(Base.BitsPerSample, (1,))
        kind = SAMPLES.get(max(tags.get(Base.SampleFormat, (1,))), "odd ")
        count = tags.get(Base.SamplesPerPixel, 1)
        compression = TiffImagePlugin.COMPRESSION_INFO.get(tags.get(Base.Compression, 1))
    except Exception:  # its tags may be anything
        return None
    bits = " and ".join(map(str, sorted(set(bits))))
    parts = [COLOURS.get(colour, f"colours {colour}"), f"{count} {kind}samples of {bits} bits"]
    parts += [PLANES] * (tags.get(Base.PlanarConfiguration, 1) == 2)
    parts += ["with an unknown compression"] * (compression is None)
    return ", ".join(parts)
