"""The boxes that AVIF and JPEG 2000 files are made of, as far as decoders pass over them."""

import struct
from collections.abc import Iterator
from fractions import Fraction


def inside(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each box (ISO/IEC 14496-12, 4.2), until the data end or make no sense."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1 and start + 8 <= len(data):  # a long size follows
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        end = at + size if size else len(data)  # 0: to the end
        if end < start or end > len(data):
            return
        yield name, data[start:end]
        at = end


def item_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of the properties of a file's primary picture (ISO/IEC 23008-12, 9.3).

    Raises:
        ValueError: the boxes are damaged.
    """
    meta = next((content[4:] for name, content in inside(data) if name == b"meta"), b"")
    item, shared, found = None, [], []
    try:
        for name, content in inside(meta):
            if name == b"pitm":
                (item,) = struct.unpack_from(">I" if content[0] else ">H", content, 4)
            elif name == b"iprp":
                boxes = list(inside(content))
                shared = [box for kind, body in boxes if kind == b"ipco" for box in inside(body)]
                tables = [body for kind, body in boxes if kind == b"ipma"]
                found = [entry for table in tables for entry in _associations(table)]
        numbers = [number for of, number in found if of == item]
        return [shared[number - 1] for number in numbers if number]
    except (struct.error, IndexError) as error:
        raise ValueError("its boxes are damaged") from error


def _associations(table):
    """Items and the numbers of their properties."""
    wide, count = table[3] & 1, struct.unpack_from(">I", table, 4)[0]
    at = 8
    for _ in range(count):
        item, n = struct.unpack_from(">IB" if table[0] else ">HB", table, at)
        at += 5 if table[0] else 3
        for _ in range(n):
            yield (
                item,
                struct.unpack_from(">H" if wide else ">B", table, at)[0]
                & (32767 >> 8 * (not wide)),
            )
            at += 1 + wide


def clean_aperture(clap: bytes, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a picture that is to be seen.

    Args:
        clap: the content of the box (ISO/IEC 14496-12, 12.1.4): width, height and the offsets of
            the centre, as fractions.
        width, height: of the whole picture, in pixels.

    Raises:
        ValueError: it is damaged, empty, or not inside the picture.
    """
    try:
        numbers = struct.unpack(">IIIIiIiI", clap)
        sides = [Fraction(*numbers[i : i + 2]) for i in (0, 2)]
        offsets = [Fraction(*numbers[i : i + 2]) for i in (4, 6)]
    except (struct.error, ZeroDivisionError) as error:
        raise ValueError("its crop is damaged") from error
    starts = [
        round((whole - side) / 2 + offset)
        for whole, side, offset in zip((width, height), sides, offsets, strict=True)
    ]
    left, top, right, bottom = *starts, *(a + round(b) for a, b in zip(starts, sides, strict=True))
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError("its crop is damaged")
    return left, top, right, bottom
