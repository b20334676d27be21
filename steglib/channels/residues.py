"""Bytes in an image: its samples say digits, with their residues.

Samples count in the order of rows, columns, channels. The frame's head comes first, in base 2, its
lowest bit first, a bit in each sample; then its body. Either each of the other samples carries a
digit, its residue: quantisation index modulation with a step of `base` grey levels (Chen and
Wornell, 2001, https://doi.org/10.1109/18.923725). Or all of them together say the digits, through
a `trellis`, at a rate of so many bits a sample: that changes them less.

Where there are no data, samples stay as they are; but where a key masks plain digits, zeros follow.
With error correction, the head's bytes lie spread over the body, so that no part of the image
matters more.
"""

import functools
import itertools
import math
import zlib

import numpy as np

from steglib.channels import digits, frame, trellis
from steglib.channels.channel import Channel
from steglib.channels.digits import BASES, check_base
from steglib.channels.frame import Kind, Layout, Payload
from steglib.channels.parity import WORD
from steglib.channels.trellis import Trellis
from steglib.images.arrays import check_image

__all__ = ["BASES", "ResidueChannel", "expected_psnr"]

PLAIN = 2, 3, 4, 5  # bases of plain digits, of which one is chosen by need
RATE = 2.32  # bits a sample, of which no more are used unless asked for
RATES = dict(zip((1.47, 2.6, 3.3, 4.0), trellis.SHIPPED, strict=False))  # up to which, by what


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


class ResidueChannel(Channel):
    """Writes bytes into the residues of a cover's samples. Reads any base, rate and level.

    Args:
        base: 2…16, how many values a digit has, if each sample is to carry one. A larger one
            carries more and changes more. None for a trellis; but with error correction and no
            rate, for the least base up to 5 that has room: what a trellis says of little data
            depends on many samples, and few of them may be damaged.
        key: a password that seals the bytes; None for none.
        level: of error correction, 0…3 (`parity.LEVELS`).
        rate: of a trellis, in bits a sample, above 0 and up to 4: no more are used, and fewer where
            there are fewer data, which then change less. None for `RATE`.

    Raises:
        ValueError: another base, level or rate, or both a base and a rate.
    """

    def __init__(self, base=None, key: bytes | None = None, level: int = 0, rate=None):
        if base is not None and rate is not None:
            raise ValueError("Choose a base, for plain digits, or a rate, for a trellis: not both.")
        if rate is not None and not 0 < rate <= max(RATES):
            raise ValueError(f"rate must lie above 0 and up to {max(RATES):.0f}, not {rate!r}.")
        self.key, self._rate = key, rate or RATE
        if base is not None:
            kinds, self.name = [(base, 1)], f"base {base}"
        elif level and rate is None:
            kinds, self.name = [(number, 1) for number in PLAIN], f"base {PLAIN[0]}…{PLAIN[-1]}"
        else:
            bits = "bit" if self._rate == 1 else "bits"
            kinds, self.name = RATES.values(), f"{self._rate:g} {bits} a sample"
        self._layouts = [Layout(q, key is not None, level, memory=memory) for q, memory in kinds]

    def capacity(self, shape) -> int:
        """How many bytes a cover of `shape` (h, w, 3) carries; 0 where nothing fits."""
        layout, samples = self._layouts[0], math.prod(shape)
        free = max(x.free(_room(samples, x)) for x in self._layouts)
        if layout.memory > 1:  # with parity, a little less room may hold a little more
            free = min(free, layout.free(_room_at(self._rate, samples, layout)))
        return max(0, free)

    def write(self, cover, data: bytes, kind: Kind = Kind.RAW, size=None) -> np.ndarray:
        """The stego image: of all that say the data, one that is about the nearest to the cover.

        Of two plain digits' equally near values, one is drawn, so that brightness stays. Without a
        key, equal arguments give equal images; with one, no two images are alike.

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
        cover = check_image(cover, "cover")
        layout = self._layout_for(len(data), cover)
        framed = frame.pack(
            data, kind, size or cover.shape[:2], layout, _room(cover.size, layout), self.key
        )
        samples = _in_order(cover.reshape(-1), layout)
        stego, start = samples.copy(), 8 * layout.head_size
        _say_plainly(framed, framed.head, 2, None, samples[:start], stego[:start])
        if layout.memory == 1:
            base, body = layout.base, framed.body
            _say_plainly(framed, body, base, framed.seal, samples[start:], stego[start:])
        else:
            _say_together(framed, layout, samples[start:], stego[start:])
        return _in_place(stego, layout).reshape(cover.shape)

    def _layout_for(self, length, cover):
        """Where so many bytes fit; of trellises, the first one that changes least."""
        free = self.capacity(cover.shape)
        fitting = (x for x in self._layouts if length <= x.free(_room(cover.size, x)))
        layout = next(fitting, None)
        if length > free or layout is None:
            raise ValueError(
                f"{length} bytes do not fit: at {self.name}, a cover of {cover.shape[1]}×"
                f"{cover.shape[0]} pixels carries {free}, after a head of "
                f"{8 * self._layouts[0].head_size} samples."
            )
        return layout

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
        strict = layout.sealed and not layout.level
        if layout.memory > 1:
            count, strict = digits.digits_for(size, base), False
            samples = Trellis(base, layout.memory).read(samples % np.uint8(base), count)
        parts = (samples[part] % base for part in digits.chunks(len(samples), base))
        return digits.collect(parts, base, size, seal, strict)


def _room(samples, layout):
    """How many bytes the samples after the head carry; −1 if even the head does not fit."""
    if layout.memory > 1:
        kinds = {kind: rate for rate, kind in RATES.items()}
        return _room_at(kinds.get((layout.base, layout.memory), 0), samples, layout)
    return digits.bytes_in(samples - 8 * layout.head_size, layout.base)


def _room_at(rate, samples, layout):
    """At a rate of a trellis."""
    return max(-1, math.floor((samples - 8 * layout.head_size) * rate / 8))


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


def _say_plainly(framed, data, base, seal, cover, stego):
    """Writes `data` into `stego`, one digit a sample."""
    for part, wanted in digits.fill(data, len(cover), base, None, seal):
        higher = framed.noise.integers(0, 2, len(wanted), np.uint8)
        stego[part] = _nearest(base)[higher, cover[part], wanted]


def _say_together(framed, layout, cover, stego):
    """Writes the body into `stego` through a trellis."""
    base, nearest = layout.base, _nearest(layout.base)[0]
    levels, moves = np.arange(256)[:, None], np.arange(base)
    become = nearest[levels, (levels + moves) % base].T
    costs = np.square(become - np.arange(256)).astype(np.uint16)
    said = digits.said(framed.body, base, framed.seal)
    changes = Trellis(base, layout.memory).embed(
        cover % np.uint8(base), lambda some: costs[:, cover[some]], said
    )
    for part in digits.chunks(len(cover), base):
        stego[part] = become[changes[part], cover[part]]
