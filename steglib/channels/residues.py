"""Bytes in an image: each sample of the stego image carries a digit, its residue.

Quantisation index modulation with a step of `base` grey levels (Chen and Wornell, 2001,
https://doi.org/10.1109/18.923725). Samples count in the order of rows, columns, channels. The
frame's head comes first, in base 2, its lowest bit first; its body follows in base `base`. All
other digits are pseudo-random, or zeros where a key masks all digits.

With error correction, the head's bytes lie spread over the body, so that no part of the image
matters more.
"""

import functools
import itertools
import math
import zlib

import numpy as np

from steglib.channels import digits, frame
from steglib.channels.digits import BASES, check_base
from steglib.channels.frame import Kind, Layout, Payload
from steglib.channels.parity import WORD
from steglib.images.arrays import check_image

__all__ = ["BASES", "ResidueChannel", "expected_psnr"]


def expected_psnr(base: int, cover=None) -> float:
    """PSNR in dB of a cover with uniform digits.

    Args:
        base: 2…16.
        cover: uint8, any shape; None for one without samples near 0 or 255.

    Raises:
        ValueError: another base.
    """
    mse = (check_base(base) ** 2 + (-1 if base % 2 else 2)) / 12
    if cover is not None:
        change = np.arange(256)[:, None] - _nearest(base)[0].astype(float)
        parts = np.array_split(np.reshape(cover, -1), 1 + np.size(cover) // 2**24)
        levels = sum(np.bincount(part, minlength=256) for part in parts)
        mse = np.average(np.square(change).mean(axis=1), weights=levels)
    return 10 * math.log10(255**2 / mse)


class ResidueChannel:
    """Writes bytes into the residues of a cover's samples. Reads any base and level.

    Args:
        base: 2…16, how many values a digit has. A larger one carries more and changes more.
        key: a password that seals the bytes; None for none.
        level: of error correction, 0…3 (`parity.LEVELS`).

    Raises:
        ValueError: another base or level.
    """

    def __init__(self, base: int = 5, key: bytes | None = None, level: int = 0):
        self.layout, self.key = Layout(base, key is not None, level), key
        self.name = f"base {base}"

    def capacity(self, shape) -> int:
        """How many bytes a cover of `shape` (h, w, 3) carries; 0 where nothing fits."""
        return max(0, self.layout.free(_room(math.prod(shape), self.layout)))

    def write(self, cover, data: bytes, kind: Kind = Kind.RAW, size=None) -> np.ndarray:
        """The stego image: every sample moves to the nearest value in 0…255 with its residue.

        Of two equally near, one is drawn, so that brightness stays. Without a key, equal
        arguments give equal images; with one, no two images are alike.

        Args:
            cover: uint8 [h, w, 3].
            data: at most `capacity(cover.shape)` bytes.
            kind: what they are.
            size: the secret's height and width, 1…65535 each; None for the cover's.

        Returns:
            uint8 [h, w, 3].

        Raises:
            ValueError: another dtype, shape, kind or size, or more data than fit.
        """
        cover, layout = check_image(cover, "cover"), self.layout
        room = _room(cover.size, layout)
        if len(data) > (free := layout.free(room)):
            raise ValueError(
                f"{len(data)} bytes do not fit: at {self.name}, a cover of {cover.shape[1]}×"
                f"{cover.shape[0]} pixels carries {max(0, free)}, after a head of "
                f"{8 * layout.head_size} samples."
            )
        framed = frame.pack(data, kind, size or cover.shape[:2], layout, room, self.key)
        samples = _in_order(cover.reshape(-1), layout)
        stego = samples if layout.level else np.empty_like(samples)  # with a level, they are a copy
        start = 8 * layout.head_size
        _embed(framed.head, 2, framed.noise, None, samples[:start], stego[:start])
        _embed(framed.body, layout.base, framed.noise, framed.seal, samples[start:], stego[start:])
        return _in_place(stego, layout).reshape(cover.shape)

    def attempts(self) -> tuple["ResidueChannel"]:
        """This channel: it promises nothing that it might not hold."""
        return (self,)

    def probe(self, cover) -> list[str]:
        """What would break in a cover: nothing."""
        return []

    def broken(self, stego, data: bytes) -> list[str]:
        """What was promised and does not hold: nothing."""
        return []

    def remarks(self, broken: list[str]) -> list[str]:
        """Lines to say about what `broken` found."""
        return []

    def read(self, stego) -> Payload:
        """What `write`, with the same key, hid in `stego`, uint8 [h, w, 3].

        Raises:
            ValueError: another dtype or shape.
            PayloadError: it hides nothing, was hidden with another key, or without one, was
                written by another version, or is damaged.
        """
        return frame.unpack(_Residues(check_image(stego, "stego").reshape(-1)), self.key)


class _Residues:
    """A stego image's samples, uint8 [n], as a `frame.Carrier`."""

    quality = 0

    def __init__(self, samples):
        self.samples = samples

    def room(self, layout):
        return _room(len(self.samples), layout)

    def head(self, size, protected):
        samples = self.samples[: 8 * size]
        if protected and len(samples) == 8 * size:
            samples = np.concatenate(_spans(self.samples)[:size])
        return np.packbits(samples & 1, bitorder="little").tobytes()

    def body(self, layout, size, seal):
        samples, base = _in_order(self.samples, layout)[8 * layout.head_size :], layout.base
        parts = (samples[part] % base for part in digits.chunks(len(samples), base))
        return digits.collect(parts, base, size, seal, strict=layout.sealed and not layout.level)


def _room(samples, layout):
    """How many bytes the samples after the head carry; −1 if even the head does not fit."""
    return digits.bytes_in(samples - 8 * layout.head_size, layout.base)


def _head_places(count):
    """With error correction, where the 8 samples of each byte of the head begin, among `count`.

    Anywhere in as many equal stretches: in a pattern, one column of the image might hold them all.
    """
    stretch = count // WORD
    offsets = (zlib.crc32(bytes([i])) % (stretch - 7) for i in range(WORD))
    return [i * stretch + offset for i, offset in enumerate(offsets)]


def _spans(samples):
    """Views of the samples, the head's in front: 255 times 8, then those between."""
    places = _head_places(len(samples))
    ends = itertools.pairwise([-8, *places, len(samples)])
    return [samples[i : i + 8] for i in places] + [samples[i + 8 : j] for i, j in ends]


def _in_order(samples, layout):
    """The head's first, then the body's."""
    return np.concatenate(_spans(samples)) if layout.level else samples


def _in_place(samples, layout):
    """The inverse of `_in_order`."""
    if not layout.level:
        return samples
    placed, start = np.empty_like(samples), 0
    for span in _spans(placed):
        span[:] = samples[start : start + len(span)]
        start += len(span)
    return placed


@functools.cache
def _nearest(base):
    """uint8 [2, 256, base]: what a cover's sample becomes; of two values, the lower or higher."""
    levels, residues = np.arange(256), np.arange(base)[:, None]
    distance = np.abs(levels[:, None] - levels)[:, None] + 256 * (levels % base != residues)
    ends = distance.argmin(axis=2), 255 - distance[:, :, ::-1].argmin(axis=2)
    return np.stack(ends).astype(np.uint8)


def _embed(data, base, noise, seal, cover, stego):
    """Writes `data` into `stego`, samples near those of `cover`."""
    for part, wanted in digits.fill(data, len(cover), base, noise, seal):
        higher = noise.integers(0, 2, len(wanted), np.uint8)
        stego[part] = _nearest(base)[higher, cover[part], wanted]
