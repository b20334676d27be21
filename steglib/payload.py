"""Bytes in an image: each sample of the stego image carries a digit, its residue.

Quantisation index modulation with a step of `base` grey levels (Chen and Wornell, 2001,
https://doi.org/10.1109/18.923725). Samples count in the order of rows, columns, channels:

- 128 of them carry the preamble in base 2, so that reading needs no options: "sg"; version and
  flags (none yet); base − 1 and codec (4 bits each); how many bytes the data have (uint32), the
  secret's height and width (uint16); the CRC-32 of these 12 bytes and the data. All big-endian.
- The data follow in base `base`, `m` bits as an integer of `k` digits (`_group`), the lowest bit
  of a byte and the lowest digit first. The last group ends with the last digit that it needs.
- All other digits are pseudo-random.
"""

import enum
import functools
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from steglib.hider import check_images

BASES = range(2, 17)
MAGIC, VERSION = b"sg", 1
HEADER = struct.Struct(">2sBBIHH")
PREAMBLE = 8 * (HEADER.size + 4)  # samples
CHUNK = 2**12  # this many times 8 groups are converted at once: whole bytes, bounded memory


class Format(enum.IntEnum):
    """What hidden bytes are; Pillow knows pictures by the same names."""

    RAW, LEARNED, JPEG, WEBP, AVIF, JPEG2000 = range(6)


RAW, LEARNED, JPEG, WEBP, AVIF, JPEG2000 = Format


class PayloadError(ValueError):
    """An image hides nothing, or nothing that can be read."""


@dataclass(frozen=True)
class Payload:
    """The hidden `data`, the `base` of its digits, its `codec`, the secret's (height, width)."""

    data: bytes
    base: int
    codec: Format
    size: tuple[int, int]


def capacity(shape, base: int) -> int:
    """How many bytes of data a cover of `shape` (h, w, 3) carries; 0 where nothing fits.

    Raises:
        ValueError: base is not in 2…16.
    """
    k, m = _group(_check_base(base))
    groups, rest = divmod(max(0, math.prod(shape) - PREAMBLE), k)
    return (groups * m + _bits(rest, base)) // 8


def expected_psnr(base: int) -> float:
    """PSNR in dB of uniform digits, if no cover sample is near 0 or 255. Raises as `capacity`."""
    mse = (_check_base(base) ** 2 + (-1 if base % 2 else 2)) / 12
    return 10 * math.log10(255**2 / mse)


def embed(cover, data: bytes, base: int, codec: int = RAW, size=None) -> np.ndarray:
    """The stego image: every sample moves to the nearest value in 0…255 with the wanted residue.

    Of two equally near, one is drawn, so that brightness stays. The checksum is the seed: equal
    arguments give equal images.

    Args:
        cover: uint8 [h, w, 3].
        data: at most `capacity(cover.shape, base)` bytes.
        base: 2…16, how many values a digit has. A larger one carries more and changes more.
        codec: what the data are, a `Format`.
        size: the secret's height and width, 1…65535 each; None for the cover's.

    Returns:
        uint8 [h, w, 3].

    Raises:
        ValueError: another dtype, shape, base, codec or size, or more data than fit.
    """
    cover, base = _check_image(cover, "cover"), _check_base(base)
    height, width = cover.shape[:2] if size is None else size
    if not (0 < height < 2**16 and 0 < width < 2**16):
        raise ValueError(f"A secret's height and width lie in 1…65535, not {height} × {width}.")
    if len(data) > (room := capacity(cover.shape, base)) or cover.size < PREAMBLE:
        raise ValueError(
            f"{len(data)} bytes do not fit: at base {base}, a cover of {cover.shape[0]} × "
            f"{cover.shape[1]} pixels carries {room}, after a preamble of {PREAMBLE} samples."
        )
    codes = VERSION << 4, (base - 1) << 4 | Format(codec)
    header = HEADER.pack(MAGIC, *codes, len(data), height, width)
    crc = zlib.crc32(data, zlib.crc32(header))
    rng = np.random.default_rng(crc)
    stego, samples = np.empty(cover.size, np.uint8), cover.reshape(-1)
    _write(samples[:PREAMBLE], header + crc.to_bytes(4, "big"), 2, rng, stego[:PREAMBLE])
    _write(samples[PREAMBLE:], data, base, rng, stego[PREAMBLE:])
    return stego.reshape(cover.shape)


def extract(stego) -> Payload:
    """What `embed` hid in `stego`, uint8 [h, w, 3].

    Raises:
        ValueError: another dtype or shape.
        PayloadError: it hides nothing, was written by another version, or is damaged.
    """
    samples = _check_image(stego, "stego").reshape(-1)
    preamble = _read(samples, 2, PREAMBLE // 8) if len(samples) >= PREAMBLE else bytes(16)
    header, crc = preamble[:-4], int.from_bytes(preamble[-4:], "big")
    magic, version, codes, length, *size = HEADER.unpack(header)
    base, codec = (codes >> 4) + 1, codes & 15
    if magic != MAGIC:
        raise PayloadError("The image hides nothing, or was changed since (JPEG, resizing).")
    if version != VERSION << 4 or codec not in list(Format):
        raise PayloadError(
            f"Another version wrote the image: format {version >> 4}, flags {version & 15}, codec "
            f"{codec}. This one reads format {VERSION}, flags 0, codecs 0…{max(Format)}."
        )
    if base not in BASES:
        raise PayloadError(f"The image is damaged: its digits cannot have the base {base}.")
    if length > (room := capacity(np.shape(stego), base)):
        raise PayloadError(f"The image is cropped or damaged: {length} bytes in room for {room}.")
    data = _read(samples[PREAMBLE:], base, length)
    if zlib.crc32(data, zlib.crc32(header)) != crc:
        raise PayloadError("The image is damaged: its bytes do not match their checksum.")
    return Payload(data, base, Format(codec), tuple(size))


def _check_image(image, name):
    if np.ndim(image) != 3:
        raise ValueError(f"{name} must be one image [h, w, 3], not {list(np.shape(image))}.")
    return check_images(image, name)[0]


def _check_base(base):
    if base not in BASES:
        raise ValueError(f"base must lie in 2…16, not {base!r}.")
    return int(base)


def _bits(digits, base):
    """How many bits so many digits carry together."""
    return (base**digits).bit_length() - 1


@functools.cache
def _group(base):
    """k and m: k digits carry m bits. Of all k that fit a uint64, the one that loses least."""
    fitting = [k for k in range(1, 65) if base**k <= 2**64]
    k = max(fitting, key=lambda k: (_bits(k, base) / k, k))
    return k, _bits(k, base)


def _count(length, base):
    """How many digits carry `length` bytes."""
    k, m = _group(base)
    groups, rest = divmod(8 * length, m)
    return groups * k + next(digits for digits in range(k + 1) if _bits(digits, base) >= rest)


@functools.cache
def _nearest(base):
    """uint8 [2, 256, base]: what a cover's sample becomes; of two values, the lower or higher."""
    levels, digits = np.arange(256), np.arange(base)[:, None]
    distance = np.abs(levels[:, None] - levels)[:, None] + 256 * (levels % base != digits)
    ends = distance.argmin(axis=2), 255 - distance[:, :, ::-1].argmin(axis=2)
    return np.stack(ends).astype(np.uint8)


def _write(cover, data, base, rng, stego):
    k, m = _group(base)
    data, count, step = np.frombuffer(data, np.uint8), _count(len(data), base), 8 * k * CHUNK
    for i, start in enumerate(range(0, len(cover), step)):
        part = slice(start, start + step)
        digits = rng.integers(0, base, len(cover[part]), np.uint8)
        hidden = _to_digits(data[i * m * CHUNK : (i + 1) * m * CHUNK], base)[: count - start]
        digits[: len(hidden)] = hidden
        higher = rng.integers(0, 2, len(digits), np.uint8)
        stego[part] = _nearest(base)[higher, cover[part], digits]


def _read(samples, base, length):
    count, step = _count(length, base), 8 * _group(base)[0] * CHUNK
    parts = (samples[i : min(i + step, count)] % base for i in range(0, count, step))
    return b"".join(_to_bytes(digits, base) for digits in parts)[:length]


def _to_digits(data, base):
    k, m = _group(base)
    bits = np.unpackbits(data, bitorder="little")
    bits = np.pad(bits, (0, -len(bits) % m)).reshape(-1, m)
    values = np.packbits(np.pad(bits, ((0, 0), (0, 64 - m))), bitorder="little").view("<u8")
    digits = np.empty((len(values), k), np.uint8)
    for i in range(k):
        higher = values // base
        digits[:, i] = values - higher * base
        values = higher
    return digits.reshape(-1)


def _to_bytes(digits, base):
    k, m = _group(base)
    digits = np.pad(digits, (0, -len(digits) % k)).reshape(-1, k)
    values = np.zeros(len(digits), "<u8")
    for i in reversed(range(k)):
        values = values * base + digits[:, i]
    bits = np.unpackbits(values.view(np.uint8), bitorder="little").reshape(-1, 64)[:, :m]
    return np.packbits(bits, bitorder="little").tobytes()
