"""Any file as hidden bytes, with its name, and back, byte for byte.

The first byte says how the others are compressed; these are the length of the name in UTF-8 (a
byte), the name, and what the file holds. A text is a file without a name.
"""

import lzma
import os
import re
import zlib
from dataclasses import dataclass

from steglib.channels.frame import PayloadError

LARGEST = 2**30  # bytes: what claims to be more is a bomb, not a file
SIZE = 1, 1  # height and width, of which a file has none
LONGEST = 255  # bytes of a name, as on nearly every disk
RAW_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
# Windows forbids some; others control a terminal, turn letters around, or were no UTF-8.
FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]')
# Windows keeps these for devices.
RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[\d¹²³]|LPT[\d¹²³])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class HiddenFile:
    """A file to hide, or one that was hidden.

    Attributes:
        name: without a folder; "" for a text.
        content: its bytes; of a text, its UTF-8.
    """

    name: str
    content: bytes

    @property
    def is_text(self) -> bool:
        """Whether it is a text rather than a file."""
        return not self.name

    def __str__(self) -> str:
        return f"{self.name or 'a text'}, {len(self.content):,} bytes"


def pack(file: HiddenFile) -> bytes:
    """Its bytes, compressed where that helps.

    Raises:
        ValueError: the name is longer than `LONGEST` bytes, or the file larger than `LARGEST`.
    """
    name = file.name.encode(errors="surrogateescape")
    if len(name) > LONGEST:
        raise ValueError(f"The name of a file has at most {LONGEST} bytes, not {len(name)}.")
    if len(file.content) > LARGEST:
        raise ValueError(f"A file may have {LARGEST:,} bytes at most, not {len(file.content):,}.")
    plain = bytes([len(name)]) + name + file.content
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    ways = [plain, deflate.compress(plain) + deflate.flush()]
    if len(ways[1]) < len(plain):  # else it is compressed already
        ways.append(lzma.compress(plain, lzma.FORMAT_RAW, filters=RAW_LZMA))
    way = min(range(len(ways)), key=lambda way: len(ways[way]))
    return bytes([way]) + ways[way]


def unpack(data: bytes) -> HiddenFile:
    """The inverse of `pack`; the name is one that may be written anywhere (`safe_name`).

    Raises:
        PayloadError: `pack` does not write such data.
    """
    try:
        plain = _expand(data[0], data[1:])
        start = 1 + plain[0]
        name, content = plain[1:start], plain[start:]
    except (IndexError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise PayloadError("Another version hid this file: use a newer steglib.") from error
    return HiddenFile(safe_name(name.decode(errors="replace")) if name else "", content)


def safe_name(name: str) -> str:
    """A name that leads to no other folder and is possible on every system."""
    last = re.split(r"[/\\]", name)[-1]
    last = FORBIDDEN.sub("_", last).rstrip(". ") or "secret"
    return f"_{last}" if RESERVED.fullmatch(last) else last


def shorten(name: str) -> str:
    """A name of at most `LONGEST` bytes in UTF-8, with the suffix that it has."""
    stem, suffix = os.path.splitext(name)
    if len(suffix.encode()) > LONGEST // 4:
        stem, suffix = name, ""
    return stem.encode()[: LONGEST - len(suffix.encode())].decode(errors="ignore") + suffix


def _expand(way, data):
    most = LARGEST + LONGEST + 1
    if way == 0:
        return data
    if way == 1:
        expander = zlib.decompressobj(-zlib.MAX_WBITS)
    elif way == 2:
        expander = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=RAW_LZMA)
    else:
        raise IndexError(way)
    plain = expander.decompress(data, most)
    if not expander.eof:
        raise EOFError("it goes on")
    return plain
