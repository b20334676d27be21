"""Which bits of a picture make up which word of a code, and what the words say.

The bits of all coefficients, in a scattered order, are cut into a small word, which says the
frame's head, and as few large ones as there is room for, which say its body.
"""

import functools
import itertools
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from steglib.channels.coefficients import Design
from steglib.channels.frame import PREAMBLE
from steglib.channels.polar import Code, scattered
from steglib.channels.seal import DRAWN
from steglib.images.jpeg import BLOCK

HEAD = PREAMBLE + DRAWN + 5  # bytes: the frame's, the design's quality, a checksum
HEAD_WORD, LARGEST_WORD, SMALLEST_WORD = 11, 17, 10  # logarithms of sizes in bits
HEAD_NOISE = 0.4  # the head comes through more than the body: it tells that there is one
UNEVEN = 2.0  # more noise to expect of a word, over the root of its size: chance is uneven

_code = functools.cache(Code)


class Plan(NamedTuple):
    """How the bits of a picture are used.

    Attributes:
        design: of the picture.
        order: int [bits], where the words' bits lie, one word after the other.
        sizes: logarithms of the sizes of the body's words; none if there is no room for one.
    """

    design: Design
    order: np.ndarray
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, design: Design, shape) -> "Plan":
        """That for pictures of `shape` (h, w, 3)."""
        count = len(design.steps) * (shape[0] // BLOCK) * (shape[1] // BLOCK)
        return cls(design, _order(count), _word_sizes(count))

    def body_bits(self, level: int) -> int:
        """How many bits the body has, at a level of error correction."""
        return sum(len(self._code(size, level).message) for size in self.sizes)

    def room(self, level: int) -> int:
        """How many bytes the body has; −1 if not even the head fits."""
        return self.body_bits(level) // 8 if self.sizes else -1

    def write(self, head: bytes, body, level: int, wishes) -> np.ndarray:
        """The bits that say a frame.

        Args:
            head: of the frame.
            body: uint8 [body_bits(level)], bits.
            level: of error correction.
            wishes: float32 [bits], as `polar.Code.write` takes them.

        Returns:
            uint8 [bits].
        """
        bits = (wishes < 0).astype(np.uint8)
        places = self.order[None, : 2**HEAD_WORD]
        bits[places] = self._head_code.write(self._head_bits(head), wishes[places])
        for size, places in self._words():
            code = self._code(size, level)
            count = len(places) * len(code.message)
            bits[places] = code.write(body[:count].reshape(len(places), -1), wishes[places])
            body = body[count:]
        return bits

    def read_heads(self, ratios) -> np.ndarray:
        """What the small words say, uint8 [n, HEAD], for float32 [n, bits]."""
        if not self.sizes:
            return np.ones((len(ratios), HEAD), np.uint8)
        bits = self._head_code.read(ratios[:, self.order[: 2**HEAD_WORD]])
        return np.packbits(bits[:, : 8 * HEAD], axis=1)

    def head_in(self, said) -> bytes | None:
        """The frame's head in what a small word says, uint8 [HEAD]; None if there is none."""
        said = said.tobytes()
        whole = zlib.crc32(said[:-4]).to_bytes(4, "big") == said[-4:]
        return said[:-5] if whole and said[-5] == self.design.quality else None

    def read_bodies(self, ratios, level: int, most: int | None = None) -> np.ndarray:
        """The bodies' bits, uint8 [n, k], for float32 [n, bits].

        Args:
            level: of error correction.
            most: read only so many words of each size.
        """
        found = [np.zeros((len(ratios), 0), np.uint8)]
        for size, places in self._words():
            words = ratios[:, places[:most]].reshape(-1, places.shape[1])
            found.append(self._code(size, level).read(words).reshape(len(ratios), -1))
        return np.concatenate(found, axis=1)

    @property
    def _head_code(self):
        return _code(HEAD_WORD, HEAD_NOISE, self.design.freedom)

    def _code(self, size, level):
        noise = self.design.noise[level] + UNEVEN / 2 ** (size / 2)
        return _code(size, noise, self.design.freedom)

    def _head_bits(self, head):
        said = head.ljust(HEAD - 5, b"\0") + bytes([self.design.quality])
        said += zlib.crc32(said).to_bytes(4, "big")
        bits = np.zeros((1, len(self._head_code.message)), np.uint8)
        bits[0, : 8 * HEAD] = np.unpackbits(np.frombuffer(said, np.uint8))
        return bits

    def _words(self) -> Iterator[tuple[int, np.ndarray]]:
        """The body's words of each size: its logarithm, and their places, int [words, size]."""
        start = 2**HEAD_WORD
        for size, same in itertools.groupby(self.sizes):
            end = start + len(list(same)) * 2**size
            yield size, self.order[start:end].reshape(-1, 2**size)
            start = end


@functools.lru_cache(4)
def _order(count):
    return np.argsort(scattered(count, 99), kind="stable")


def _word_sizes(count):
    """Logarithms of the sizes of as few words as fill `count` bits, but for the head."""
    sizes, left = [], count - 2**HEAD_WORD
    while left >= 2**SMALLEST_WORD:
        sizes.append(min(LARGEST_WORD, left.bit_length() - 1))
        left -= 2 ** sizes[-1]
    return tuple(sizes)
