"""Error correction: bytes that survive the change of some samples, anywhere.

By Reed-Solomon codes (`reed_solomon`). A byte string fills a grid of rows; each code word has one
byte in each row, further along in some rows than in others, so that neither a run nor a rectangle
of damage meets a code word often. The data come first, as they are, then the parity.
"""

import zlib

import numpy as np

from steglib.channels import reed_solomon

LEVELS = ("none", "low", "medium", "high")
PARITY = 0, 1 / 8, 1 / 4, 1 / 2  # of all bytes; half as many wrong ones can be corrected
WORD = reed_solomon.LONGEST  # bytes in a code word, at most; a protected head is one,
HEAD_DATA = 45  # of which so many are its content
APART = 16  # columns; more than the bytes that one sample's digit can change


def grid(room: int, level: int) -> tuple[int, int, int]:
    """Code words, and in each of them bytes of data and of parity, that fill `room` bytes.

    All 0 where there is no room for one byte of data and its parity.
    """
    words = APART * -(-room // (WORD * APART))
    rows = room // words if words else 0
    parity = max(2, 2 * int(rows * PARITY[level] / 2))
    return (words, rows - parity, parity) if rows > parity else (0, 0, 0)


def size(room: int, level: int) -> int:
    """How many of `room` bytes data and parity fill."""
    words, rows, parity = grid(room, level)
    return words * (rows + parity)


def protect(data: bytes, room: int, level: int) -> bytes:
    """`data`, filled up with zeros, and parity: `size(room, level)` bytes in all."""
    words, rows, parity = grid(room, level)
    data = np.frombuffer(data.ljust(words * rows, b"\0"), np.uint8).reshape(rows, words)
    found = reed_solomon.encode(_roll(data, -1), parity)
    return data.tobytes() + _roll(found, 1, rows).tobytes()


def correct(protected: bytes, room: int, level: int) -> bytes:
    """The data and the zeros after them, corrected where that is possible."""
    words, rows, parity = grid(room, level)
    protected = np.frombuffer(protected, np.uint8).reshape(rows + parity, words)
    mended = reed_solomon.correct(_roll(protected, -1), parity)
    return _roll(mended[:rows], 1).tobytes()


def protect_head(head: bytes) -> bytes:
    """`WORD` bytes, of which (WORD − HEAD_DATA) / 2 = 105 may change."""
    head = head.ljust(HEAD_DATA, b"\0")
    return head + reed_solomon.encode(_column(head), WORD - HEAD_DATA).tobytes()


def correct_head(head: bytes) -> bytes | None:
    """The first `HEAD_DATA` bytes, corrected; None if these were never protected."""
    if len(head) < WORD:
        return None
    mended = reed_solomon.correct(_column(head), WORD - HEAD_DATA).tobytes()
    found = mended[:HEAD_DATA]
    if not any(found) or protect_head(found) != mended:  # zeros, a black image's, are a word, too
        return None
    return found


def _column(data):
    return np.frombuffer(data, np.uint8)[:, None]


def _roll(rows, direction, first=0):
    """Rows by their offsets, multiples of `APART`: along (1) or back (−1)."""
    steps = rows.shape[1] // APART
    offsets = [APART * (zlib.crc32(bytes([first + i])) % steps) for i in range(len(rows))]
    return np.stack([np.roll(row, direction * by) for row, by in zip(rows, offsets, strict=True)])
