"""What is around hidden bytes, so that a stego image alone says how to read it.

A frame is a head, which a channel writes in bits, and a body, which it writes in digits of a base.
Without a key, the head is the preamble, all big-endian: "sg"; version (4 bits), whether a trellis
says the digits (2), level of error correction (2); base − 1, or which trellis (4), and kind (4);
how many bytes the data have (uint32), the secret's height and width (uint16; 1 for a file); the
CRC-32 of these 12 bytes and the data. The body is the data. With a key (`seal`), the head is what
the sender drew, then the preamble, masked; the body is encrypted. With error correction (`parity`),
head and body have parity; plain digits fill all the room with data, and a trellis no more than it
has to.
"""

import bisect
import enum
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from steglib.channels import parity, trellis
from steglib.channels.digits import check_base
from steglib.channels.seal import DRAWN, TAG, Seal
from steglib.images.photos import MAX_PIXELS

MAGIC, VERSION = b"sg", 2
CODED = 4  # beside the level: a trellis says the digits
HEADER = struct.Struct(">2sBBIHH")
PREAMBLE = HEADER.size + 4  # bytes
MAX_SIDE = 2**16 - 1  # pixels of a secret
DAMAGED = "The image was changed after hiding (a filter, JPEG, resizing): get it as it was saved."

NOTHING = (
    "The image hides nothing, needs a key or another model, or was changed since (JPEG, resizing)."
)
WRONG_KEY = "The key is wrong, the image hides nothing, or it was changed since (JPEG, resizing)."


class PayloadError(ValueError):
    """An image hides nothing, or nothing that can be read."""


class Kind(enum.IntEnum):
    """What hidden bytes are; Pillow knows pictures by the same names; for a `FILE` see `files`."""

    RAW, LEARNED, JPEG, WEBP, AVIF, JPEG2000, JXL, FILE = range(8)


@dataclass(frozen=True)
class Layout:
    """How a frame is laid out.

    Attributes:
        base: of the body's digits, 2…16; with a trellis, its base.
        sealed: whether with a key.
        level: of error correction, 0…3 (`parity.LEVELS`).
        quality: of the JPEG files that the frame comes through; 0 for none. A channel that
            promises one corrects errors itself, so its frames have no parity; and its reader knows
            the quality already.
        memory: of the trellis that says the digits, one of `trellis.SHIPPED`; 1 for plain digits.

    Raises:
        ValueError: another base, level or memory.
    """

    base: int
    sealed: bool = False
    level: int = 0
    quality: int = 0
    memory: int = 1

    def __post_init__(self):
        if self.memory == 1:
            object.__setattr__(self, "base", check_base(self.base))
        elif (self.base, self.memory) not in trellis.SHIPPED:
            raise ValueError(f"No trellis has base {self.base!r} and memory {self.memory!r}.")
        if self.level not in range(len(parity.LEVELS)):
            raise ValueError(f"level must lie in 0…3, not {self.level!r}.")

    @property
    def parity(self) -> int:
        """The level of the parity that the frame has; 0 for none."""
        return 0 if self.quality else self.level

    @property
    def head_size(self) -> int:
        """Bytes of the head."""
        return parity.WORD if self.parity else PREAMBLE + DRAWN * self.sealed

    def free(self, room: int) -> int:
        """How many bytes of data fit where a channel has room for a body of `room` bytes.

        Negative where not even a frame without data fits.
        """
        if self.parity:
            words, rows, _ = parity.grid(room, self.parity)
            room = words * rows or -1
        return room - self.stored(0)

    def stored(self, length: int) -> int:
        """How many bytes `length` bytes of data are, encrypted if they are sealed."""
        return length + TAG * self.sealed

    def filled(self, length: int, room: int) -> int:
        """How many bytes of `room` a body with `length` bytes of data takes part in."""
        if self.memory == 1:
            return room
        return bisect.bisect_left(range(room), length, key=self.free)

    def body_size(self, length: int, room: int) -> int:
        """How many bytes the body has."""
        return parity.size(room, self.parity) if self.parity else self.stored(length)


@dataclass(frozen=True)
class Payload:
    """What an image hides.

    Attributes:
        data: the hidden bytes.
        kind: what they are.
        size: the secret's height and width.
        layout: of the frame around them.
        corrected: whether data were damaged, and error correction helped.
    """

    data: bytes
    kind: Kind
    size: tuple[int, int]
    layout: Layout
    corrected: bool = False


class Frame(NamedTuple):
    """What a channel writes.

    Attributes:
        head: bytes, to be written as bits.
        body: bytes, to be written as digits of the layout's base.
        noise: draws what else the channel chooses. Without a key the checksum is its seed, so that
            equal arguments give equal images; with one, no two images are alike.
        seal: masks the body's digits; None without a key.
    """

    head: bytes
    body: bytes
    noise: np.random.Generator
    seal: Seal | None


class Header(NamedTuple):
    """What a reader learns from a preamble, but for the checksum."""

    layout: Layout
    kind: Kind
    length: int
    size: tuple[int, int]


class Carrier(Protocol):
    """What a channel reads out of an image for `unpack`.

    Attributes:
        quality: of the layouts that it reads.
    """

    quality: int

    def room(self, layout: Layout) -> int:
        """How many bytes of a body the image has room for; −1 if not even the head fits."""

    def head(self, size: int, protected: bool) -> bytes:
        """The `size` bytes of a head with or without parity; fewer where there are no more."""

    def body(self, layout: Layout, size: int, seal: Seal | None) -> bytes | None:
        """The `size` bytes of a body; None if it was seen to be damaged."""


def check_size(height: int, width: int) -> None:
    """Raises ValueError for a secret of another size than the preamble can tell."""
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise ValueError(
            f"A secret's width and height lie in 1…{MAX_SIDE}, and it has at most {MAX_PIXELS} "
            f"pixels: not {width}×{height}."
        )


def pack(
    data: bytes, kind: Kind, size: tuple[int, int], layout: Layout, room: int, key: bytes | None
) -> Frame:
    """The frame around `data`.

    Args:
        data: at most `layout.free(room)` bytes.
        size: the secret's height and width.
        room: bytes that the channel has for a body.
        key: the password, if the layout is sealed; None otherwise.

    Raises:
        ValueError: another kind or size.
    """
    check_size(*size)
    coded, number = 0, layout.base - 1
    if layout.memory > 1:
        coded, number = CODED, trellis.SHIPPED.index((layout.base, layout.memory))
    codes = VERSION << 4 | coded | layout.level, number << 4 | Kind(kind)
    header = HEADER.pack(MAGIC, *codes, len(data), *size)
    room = layout.filled(len(data), room)
    checksum = _checksum(data, header)
    head = preamble = header + checksum
    body, seal = data, None
    if layout.sealed:
        seal = _fresh_seal(key)
        head = seal.head + seal.mask(preamble)
        body = seal.encrypt(data, preamble)
    noise = np.random.default_rng(None if layout.sealed else int.from_bytes(checksum, "big"))
    if layout.parity:
        head = parity.protect_head(head)
        body = parity.protect(
            body + noise.bytes(layout.free(room) - len(data)), room, layout.parity
        )
    return Frame(head, body, noise, seal)


def unpack(carrier: Carrier, key: bytes | None = None) -> Payload:
    """What a channel wrote.

    Raises:
        PayloadError: it wrote nothing, with another key, or without one, was of another version,
            or the image is damaged.
    """
    errors = []
    for head, protected in _heads(carrier):
        try:
            preamble, seal = _unlock(head, protected, key)
            header = _parse(preamble, protected, seal is not None, carrier.quality)
            return _take(carrier, header, preamble, seal)
        except PayloadError as error:
            errors.append(error)
    raise errors[0]


def _fresh_seal(key):
    while (seal := Seal.fresh(key)).head[:2] == MAGIC:  # else it would look like no seal
        pass
    return seal


def _heads(carrier) -> Iterator[tuple[bytes, bool]]:
    """What may be the head, without parity, and whether it had some."""
    plain = carrier.head(PREAMBLE + DRAWN, False).ljust(PREAMBLE + DRAWN, b"\0")
    begins = plain[:2] == MAGIC and plain[2] | CODED == VERSION << 4 | CODED
    if begins:  # else do not even try the slower way
        yield plain, False
    mended = parity.correct_head(carrier.head(parity.WORD, True))
    if mended is not None:
        yield mended, True
    elif not begins:
        yield plain, False


def _unlock(head, protected, key) -> tuple[bytes, Seal | None]:
    """The preamble in a head, and the seal that it had."""
    if head[:2] == MAGIC:
        if key is not None:
            raise PayloadError("The image was hidden without a key: reveal it without one.")
        return head[:PREAMBLE], None
    if key is None:
        raise PayloadError("The image is sealed: it needs its key." if protected else NOTHING)
    seal = Seal(key, head[:DRAWN])
    preamble = seal.mask(head[DRAWN:])
    if preamble[:2] != MAGIC:
        raise PayloadError(WRONG_KEY)
    return preamble, seal


def _parse(preamble, protected, sealed, quality) -> Header:
    _, version, codes, length, *size = HEADER.unpack(preamble[: HEADER.size])
    number, kind, coded, level = codes >> 4, codes & 15, version & CODED, version & 3
    if version | 7 != VERSION << 4 | 7 or kind not in list(Kind):
        raise PayloadError(
            f"Another version wrote the image: format {version >> 4}, codec {kind}. This one reads "
            f"format {VERSION}, codecs 0…{max(Kind)}."
        )
    impossible = PayloadError("The image is damaged: its preamble makes no sense.")
    try:
        base, memory = trellis.SHIPPED[number] if coded else (number + 1, 1)
        layout = Layout(base, sealed, level, quality, memory)
    except (IndexError, ValueError):
        raise impossible from None
    if (layout.parity > 0) != protected or not 0 < math.prod(size) <= MAX_PIXELS:
        raise impossible
    return Header(layout, Kind(kind), length, tuple(size))


def _take(carrier, header, preamble, seal) -> Payload:
    """The body, read, and mended if need be."""
    layout, kind, length, size = header
    room = carrier.room(layout)
    if length > (free := layout.free(room)):
        raise PayloadError(f"The image is cropped or damaged: {length} bytes in room for {free}.")
    room = layout.filled(length, room)
    body = carrier.body(layout, layout.body_size(length, room), seal)
    data, corrected = _check(body, header, preamble, seal), False
    if data is None and layout.parity:
        body, corrected = parity.correct(body, room, layout.parity), True
        data = _check(body, header, preamble, seal)
    if data is None:
        more = " More changed than its protection mends." if layout.parity else ""
        raise PayloadError(DAMAGED + more)
    return Payload(data, kind, size, layout, corrected)


def _check(body, header, preamble, seal) -> bytes | None:
    """The data, decrypted; None if the body is damaged."""
    data = body and body[: header.layout.stored(header.length)]
    if seal and data is not None:
        data = seal.decrypt(data, preamble)
    if data is None or _checksum(data, preamble[: HEADER.size]) != preamble[HEADER.size :]:
        return None
    return data


def _checksum(data, header) -> bytes:
    return zlib.crc32(data, zlib.crc32(header)).to_bytes(4, "big")
