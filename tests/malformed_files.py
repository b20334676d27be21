"""Picture files that Pillow does not write, and malformed ones, each with a name."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms
from PIL.ExifTags import Base


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, colour, rows=b""):
    """A PNG file's bytes, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(tags, data=b"", next_tags=None):
    """A little-endian TIFF's bytes, of unsigned tags that are short, or long from 2**16 on."""

    def entry(tag, values):
        kind = 4 if max(values) >= 2**16 else 3
        return struct.pack("<HHI", tag, kind, len(values)), struct.pack(
            f"<{len(values)}{'HI'[kind - 3]}", *values
        )

    start = 8 + 2 + 12 * len(tags) + 4
    following = tiff(next_tags)[8:] if next_tags else b""
    body, directory = following + data, b""
    for tag, values in sorted(tags.items()):
        head, value = entry(tag, values)
        if len(value) > 4:
            body, value = body + value, struct.pack("<I", start + len(body))
        directory += head + value.ljust(4, b"\0")
    pointer = struct.pack("<I", start if next_tags else 0)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + directory + pointer + body


def srgb_profile(swap=False):
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if swap:  # what it calls red is blue
        data = data.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    return data


def _saved(suffix, **options):
    """A file of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, Image.registered_extensions()[suffix], **options)
    return file.getvalue()


def _half(suffix):
    data = _saved(suffix)
    return data[: len(data) // 2]


def _with_damaged_strip():
    """What libtiff finds out, in C."""
    data = bytearray(_saved(".tif", compression="tiff_adobe_deflate"))
    data[60:90] = bytes(30)
    return bytes(data)


NO_PICTURE, UNDAMAGED = "is no picture that can be read", "get an undamaged copy"
MANY = "more than 134 megapixels: scale it down"
HALVES = (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jp2")

# Name, of a stem of its own: bytes, and the words that must be said.
MALFORMED = {
    "empty.png": (b"", ["is empty: get a fresh copy"]),
    "text.png": (b"no picture\n", [NO_PICTURE, "save it as PNG"]),
    "only-head-gif.gif": (b"GIF89a", [NO_PICTURE]),
    "only-head-png.png": (b"\x89PNG\r\n\x1a\n", [NO_PICTURE]),
    "only-head-tif.tif": (b"II*\0", [NO_PICTURE]),
    "no-pixels.png": (png(0, 5, 8, 2), [NO_PICTURE]),
    "vector.eps": (_saved(".eps"), ["is a PostScript drawing", "save it as JPEG or PNG"]),
    **{f"half-{suffix[1:]}{suffix}": (_half(suffix), [UNDAMAGED]) for suffix in HALVES},
    "half-avif.avif": (_half(".avif"), [UNDAMAGED]),
    "without-end.jpg": (_saved(".jpg")[:-200], [UNDAMAGED]),
    "damaged-strip.tif": (_with_damaged_strip(), [UNDAMAGED]),
    "samples.tif": (
        tiff({256: [2], 257: [1], 258: [8], 259: [1], 262: [2], 277: [900]}),
        ["a TIFF of a kind that cannot be read (RGB, 900 samples of 8 bits): save it as PNG"],
    ),
    "cut-tags.tif": (tiff({256: [2], 257: [1], 258: list(range(40))})[:60], [NO_PICTURE]),
    "preview.nef": (_saved(".tif", tiffinfo={Base.NewSubfileType: 1}), ["raw file"]),
    "bomb.png": (png(12_000, 12_000, 1, 0, bytes(12_000 * 1501)), [MANY]),
    "wide.png": (png(30_000, 30_000, 8, 2), [MANY]),
    "widest.png": (png(2**31 - 1, 2**31 - 1, 8, 2), [MANY]),
    # It must not take the time and memory of a large photo.
    "sparse.png": (png(2000, 2000, 8, 2), ["so few bytes for 2000×2000 pixels", UNDAMAGED]),
}
