"""Bytes in an image: each sample of the stego image carries a digit, its residue.

Quantisation index modulation with a step of `base` grey levels (Chen and Wornell, 2001,
https://doi.org/10.1109/18.923725). Samples count in the order of rows, columns, channels:

- The head comes first, in base 2. Without a key it is the preamble: "sg"; version and level of
  error correction, base − 1 and codec (4 bits each); how many bytes the data have (uint32), the
  secret's height and width (uint16); the CRC-32 of these 12 bytes and the data. All big-endian.
  With a key it is what the sender drew (`sealing`), then the preamble, masked.
- The data follow in base `base`, `m` bits as an integer of `k` digits (`_group`), the lowest bit
  of a byte and the lowest digit first. The last group ends with the last digit that it needs.
  With a key they are encrypted.
- All other digits are pseudo-random, or zeros where a key masks all digits.

With error correction, head and data have parity (`correction`), the data fill all room, and the
head's bytes lie spread between them, so that no part of the image matters more.
"""

import enum
import functools
import itertools
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from steglib.channels import parity as correction
from steglib.channels import seal as sealing
from steglib.channels.seal import Seal
from steglib.images.arrays import check_images
from steglib.images.photos import MAX_PIXELS

BASES = range(2, 17)
MAGIC, VERSION = b"sg", 1
HEADER = struct.Struct(">2sBBIHH")
PREAMBLE = HEADER.size + 4  # bytes
LONGEST = 2**16 - 1  # pixels of a secret's side
DAMAGED = "The image was changed after hiding (a filter, JPEG, resizing): get it as it was saved."
CHUNK = 2**12  # this many times 8 groups are converted at once: whole bytes, bounded memory


class Format(enum.IntEnum):
    """What hidden bytes are; Pillow knows pictures by the same names."""

    RAW, LEARNED, JPEG, WEBP, AVIF, JPEG2000 = range(6)


RAW, LEARNED, JPEG, WEBP, AVIF, JPEG2000 = Format


class PayloadError(ValueError):
    """An image hides nothing, or nothing that can be read."""


@dataclass(frozen=True)
class Payload:
    """What an image hides.

    Attributes:
        data: the hidden bytes.
        base: of their digits.
        codec: what they are.
        size: the secret's height and width.
        sealed: whether with a key.
        level: of error correction, 0…3.
        corrected: whether data were damaged, and it helped.
    """

    data: bytes
    base: int
    codec: Format
    size: tuple[int, int]
    sealed: bool = False
    level: int = 0
    corrected: bool = False


def capacity(shape, base: int, sealed: bool = False, level: int = 0) -> int:
    """How many bytes of data a cover of `shape` (h, w, 3) carries; 0 where nothing fits.

    Args:
        base: 2…16.
        sealed: with a key.
        level: of error correction, 0…3 (`correction.LEVELS`).

    Raises:
        ValueError: another base or level.
    """
    return max(0, _free(math.prod(shape), _check_base(base), sealed, _check_level(level)))


def check_size(height: int, width: int) -> None:
    """Raises ValueError for a secret of another size than the preamble can tell."""
    if not (0 < height <= LONGEST and 0 < width <= LONGEST and height * width <= MAX_PIXELS):
        raise ValueError(
            f"A secret's width and height lie in 1…{LONGEST}, and it has at most {MAX_PIXELS} "
            f"pixels: not {width}×{height}."
        )


def expected_psnr(base: int, cover=None) -> float:
    """PSNR in dB of a cover with uniform digits. Raises as `capacity`.

    Args:
        base: 2…16.
        cover: uint8, any shape; None for one without samples near 0 or 255.
    """
    mse = (_check_base(base) ** 2 + (-1 if base % 2 else 2)) / 12
    if cover is not None:
        change = np.arange(256)[:, None] - _nearest(base)[0].astype(float)
        parts = np.array_split(np.reshape(cover, -1), 1 + np.size(cover) // 2**24)
        levels = sum(np.bincount(part, minlength=256) for part in parts)
        mse = np.average(np.square(change).mean(axis=1), weights=levels)
    return 10 * math.log10(255**2 / mse)


def embed(
    cover, data: bytes, base: int, codec: int = RAW, size=None, key: bytes | None = None, level=0
) -> np.ndarray:
    """The stego image: every sample moves to the nearest value in 0…255 with the wanted residue.

    Of two equally near, one is drawn, so that brightness stays. Without a key, the checksum is
    the seed, and equal arguments give equal images; with one, no two images are alike.

    Args:
        cover: uint8 [h, w, 3].
        data: at most `capacity(cover.shape, base, key is not None, level)` bytes.
        base: 2…16, how many values a digit has. A larger one carries more and changes more.
        codec: what the data are, a `Format`.
        size: the secret's height and width, 1…65535 each; None for the cover's.
        key: the password that seals the data; None for none.
        level: of error correction, 0…3.

    Returns:
        uint8 [h, w, 3].

    Raises:
        ValueError: another dtype, shape, base, codec, size or level, or more data than fit.
    """
    cover, base, level = _check_image(cover, "cover"), _check_base(base), _check_level(level)
    height, width = cover.shape[:2] if size is None else size
    check_size(height, width)
    sealed = key is not None
    if len(data) > (most := _free(cover.size, base, sealed, level)):
        raise ValueError(
            f"{len(data)} bytes do not fit: at base {base}, a cover of {cover.shape[1]}×"
            f"{cover.shape[0]} pixels carries {max(0, most)}, after a head of "
            f"{8 * _head_size(sealed, level)} samples."
        )
    length = len(data)
    codes = VERSION << 4 | level, (base - 1) << 4 | Format(codec)
    header = HEADER.pack(MAGIC, *codes, length, height, width)
    crc = zlib.crc32(data, zlib.crc32(header))
    head = preamble = header + crc.to_bytes(4, "big")
    seal = None
    rng = np.random.default_rng(None if sealed else crc)
    if sealed:
        seal = _fresh_seal(key)
        head = seal.head + seal.mask(preamble)
        data = seal.encrypt(data, preamble)
    if level:
        head = correction.protect_head(head)
        data = data + rng.bytes(most - length)
        data = correction.protect(data, _room(cover.size, base, sealed, level), level)
    samples = _in_order(cover.reshape(-1), level)
    stego = samples if level else np.empty_like(samples)  # with a level, they are a copy
    start = 8 * len(head)
    _write(samples[:start], head, 2, rng, stego[:start])
    _write(samples[start:], data, base, rng, stego[start:], seal)
    return _in_place(stego, level).reshape(cover.shape)


def extract(stego, key: bytes | None = None) -> Payload:
    """What `embed` hid in `stego`, uint8 [h, w, 3].

    Raises:
        ValueError: another dtype or shape.
        PayloadError: it hides nothing, was hidden with another key, or without one, was written
            by another version, or is damaged.
    """
    samples, errors = _check_image(stego, "stego").reshape(-1), []
    for head, protected in _heads(samples):
        try:
            return _open(samples, head, protected, key)
        except PayloadError as error:
            errors.append(error)
    raise errors[0]


def _open(samples, head, protected, key):
    """What lies behind a head, which had parity or not."""
    seal = None
    if head[:2] == MAGIC:
        if key is not None:
            raise PayloadError("The image was hidden without a key: reveal it without one.")
        preamble = head[:PREAMBLE]
    elif key is None:
        raise PayloadError(
            "The image is sealed: it needs its key."
            if protected
            else "The image hides nothing, needs a key or the classic model, or was changed since "
            "(JPEG, resizing)."
        )
    else:
        seal = Seal(key, head[: sealing.HEAD])
        preamble = seal.mask(head[sealing.HEAD :])
    header, crc = preamble[:-4], int.from_bytes(preamble[-4:], "big")
    magic, version, codes, length, *size = HEADER.unpack(header)
    base, codec, level = (codes >> 4) + 1, codes & 15, version & 15
    if magic != MAGIC:
        raise PayloadError(
            "The key is wrong, the image hides nothing, or it was changed since (JPEG, resizing)."
        )
    if version >> 4 != VERSION or codec not in list(Format) or level >= len(correction.LEVELS):
        raise PayloadError(
            f"Another version wrote the image: format {version >> 4}, level {level}, codec "
            f"{codec}. This one reads format {VERSION}, levels 0…3, codecs 0…{max(Format)}."
        )
    if base not in BASES or (level > 0) != protected or not 0 < math.prod(size) <= MAX_PIXELS:
        raise PayloadError("The image is damaged: its preamble makes no sense.")
    sealed = seal is not None
    if length > (most := _free(len(samples), base, sealed, level)):
        raise PayloadError(f"The image is cropped or damaged: {length} bytes in room for {most}.")

    stored = length + sealing.TAG * sealed
    room = _room(len(samples), base, sealed, level)
    body = _in_order(samples, level)[8 * _head_size(sealed, level) :]
    found = _read(body, base, correction.size(room, level) if level else stored, seal, level == 0)

    def opened(found):
        data = found[:stored]
        data = seal.decrypt(data, preamble) if sealed else data
        return data if data is not None and zlib.crc32(data, zlib.crc32(header)) == crc else None

    data = opened(found)
    if corrected := (data is None and level > 0):
        data = opened(correction.correct(found, room, level))
    if data is None:
        raise PayloadError(DAMAGED + (" More changed than its protection mends." if level else ""))
    return Payload(data, base, Format(codec), tuple(size), sealed, level, corrected)


def _check_image(image, name):
    if np.ndim(image) != 3:
        raise ValueError(f"{name} must be one image [h, w, 3], not {list(np.shape(image))}.")
    return check_images(image, name)[0]


def _check_base(base):
    if base not in BASES:
        raise ValueError(f"base must lie in 2…16, not {base!r}.")
    return int(base)


def _check_level(level):
    if level not in range(len(correction.LEVELS)):
        raise ValueError(f"level must lie in 0…3, not {level!r}.")
    return int(level)


def _head_size(sealed, level):
    """In bytes."""
    return correction.HEAD if level else PREAMBLE + sealing.HEAD * sealed


def _room(samples, base, sealed, level):
    """How many bytes the samples after the head carry; −1 if even the head does not fit."""
    k, m = _group(base)
    groups, rest = divmod(samples - 8 * _head_size(sealed, level), k)
    return (groups * m + _bits(rest, base)) // 8 if groups >= 0 else -1


def _free(samples, base, sealed, level):
    """How many bytes of data they carry; negative where even those around them do not fit."""
    room = _room(samples, base, sealed, level)
    if level:
        words, rows, _ = correction.grid(room, level)
        room = words * rows or -1
    return room - sealing.TAG * sealed


def _fresh_seal(key):
    while (seal := Seal.fresh(key)).head[:2] == MAGIC:  # else it would look like no seal
        pass
    return seal


def _head_places(count):
    """With error correction, where the 8 samples of each byte of the head begin, among `count`.

    Anywhere in as many equal stretches: in a pattern, one column of the image might hold them all.
    """
    stretch = count // correction.HEAD
    offsets = (zlib.crc32(bytes([i])) % (stretch - 7) for i in range(correction.HEAD))
    return [i * stretch + offset for i, offset in enumerate(offsets)]


def _runs(samples):
    """Views of the samples, the head's in front: 255 times 8, then those between."""
    places = _head_places(len(samples))
    ends = itertools.pairwise([-8, *places, len(samples)])
    return [samples[i : i + 8] for i in places] + [samples[i + 8 : j] for i, j in ends]


def _in_order(samples, level):
    return np.concatenate(_runs(samples)) if level else samples


def _in_place(samples, level):
    """The inverse of `_in_order`."""
    if not level:
        return samples
    placed, start = np.empty_like(samples), 0
    for run in _runs(placed):
        run[:] = samples[start : start + len(run)]
        start += len(run)
    return placed


def _heads(samples):
    """What may be the head's bytes, without parity, and whether they had some."""
    plain = _read(samples, 2, PREAMBLE + sealing.HEAD).ljust(PREAMBLE + sealing.HEAD, b"\0")
    if begins := plain[:3] == MAGIC + bytes([VERSION << 4]):  # else do not even try the slower way
        yield plain, False
    protected = None
    if len(samples) >= 8 * correction.HEAD:
        protected = np.concatenate(_runs(samples)[: correction.HEAD])
        protected = correction.correct_head(_read(protected, 2, correction.HEAD))
    if protected is not None:
        yield protected, True
    elif not begins:
        yield plain, False


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


def _write(cover, data, base, rng, stego, seal=None):
    data, step = np.frombuffer(data, np.uint8), 8 * _group(base)[0] * CHUNK
    for start in range(0, len(cover), step):
        part = slice(start, start + step)
        hidden, count = _digits(data, start, base), len(cover[part])
        if seal:
            digits = seal.digits(count, base)
            digits[: len(hidden)] = (digits[: len(hidden)] + hidden) % base
        else:
            digits = rng.integers(0, base, count, np.uint8)
            digits[: len(hidden)] = hidden
        higher = rng.integers(0, 2, len(digits), np.uint8)
        stego[part] = _nearest(base)[higher, cover[part], digits]


def _read(samples, base, length, seal=None, strict=False):
    """`length` bytes. `strict`, with a seal: only if no sample says anything else."""
    (k, m), count, found = _group(base), _count(length, base), []
    strict = strict and seal is not None
    for start in range(0, len(samples) if strict else count, 8 * k * CHUNK):
        digits = samples[start : start + 8 * k * CHUNK] % base
        if seal:
            digits = (digits + base - seal.digits(len(digits), base)) % base
        used = digits[: max(0, count - start)]
        found.append(_to_bytes(used, base)[: max(0, length - start // k * m // 8)])
        if strict:
            written = _to_digits(np.frombuffer(found[-1], np.uint8), base)[: len(used)]
            if digits[len(used) :].any() or not np.array_equal(written, used):
                raise PayloadError(DAMAGED)
    return b"".join(found)


def _digits(data, start, base):
    """Those of the chunk that begins with digit `start`."""
    k, m = _group(base)
    first = start // k * m // 8
    return _to_digits(data[first : first + m * CHUNK], base)[: _count(len(data), base) - start]


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
