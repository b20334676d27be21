"""Bytes in a photograph that come through JPEG, every one of them.

The bits lie in cosine coefficients of the luma (`coefficients`), scattered over the whole picture
and tied together by polar codes (`polar`), so that no part of it matters more. The first word
holds the frame's head and a checksum, the others its body. Whoever reads finds out by the head
how the picture was written, and by its coefficients through which JPEG it went.
"""

import contextlib
import copy
import dataclasses
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from steglib import workers
from steglib.channels import digits, frame
from steglib.channels.channel import Channel
from steglib.channels.coefficients import (
    Design,
    Reader,
    Writer,
    carried,
    render,
    soften,
    spare_unclear,
)
from steglib.channels.frame import Kind, Layout, Payload, PayloadError
from steglib.channels.parity import LEVELS
from steglib.channels.words import Plan
from steglib.images.arrays import check_image
from steglib.images.damage import damaged
from steglib.progress import bar

WEIGHTS = Path(__file__).parents[1] / "weights"
QUALITIES = 50, 75, 85
BEST = 95  # quality up to which all are promised
GAP = 5  # between qualities of which pairs are promised
# Levels to try in turn, each with a margin and most pixels of `soften`.
ATTEMPTS = (0, (3, 24)), (1, (3, 24)), (2, (5, 40)), (3, (3, 64)), (3, (6, 64))
GUESSES = 3  # tables to try: of the two likeliest qualities, and of all together
FIRST = 6  # of the promises, the worst, are tried before the others
SAMPLED = 2  # words of each size by which a promise is tried
PLENTY = 2**25  # bits that are read at once
FILES = {"png": "png", "jpeg": "jpeg:100:444"}  # what a stego file does to the image


def design_path(quality: int) -> Path:
    """Where the shipped design that promises a quality is. Raises ValueError if there is none."""
    if quality not in QUALITIES:
        raise ValueError(f"quality must be one of {QUALITIES}, not {quality!r}.")
    return WEIGHTS / f"jpeg-{quality}.npz"


@functools.cache
def load_design(quality: int) -> Design:
    """That design. Raises ValueError as `design_path`."""
    return Design.load(design_path(quality))


def promised(quality: int, twice: bool) -> list[tuple[int, ...]]:
    """What a stego image goes through: one quality, or two, one after the other.

    Args:
        quality: the least; all up to 95 are promised.
        twice: whether every ordered pair of every fifth quality is promised; else 90 before the
            least alone.
    """
    some = range(quality, BEST + 1, GAP)
    pairs = itertools.permutations(some, 2) if twice else [(90, quality)]
    return [*((q,) for q in range(quality, BEST + 1)), *pairs]


class JpegChannel(Channel):
    """Writes bytes into a photograph so that they come through JPEG.

    Args:
        quality: the least JPEG quality to come through: 50, 75 or 85. From it up to 95 all do;
            from 75 on, an image may also be compressed twice.
        key: a password that seals the bytes; None for none.
        level: of error correction, 0…3: more of it carries less and survives more.
        file: "png" for any lossless one, or "jpeg" if the stego image is to be saved as one of
            quality 100 without chroma subsampling, and come through others after that.
        price: of a change of the cover, in bits for a squared grey level of a coefficient; None for
            the design's. A higher one saves the cover, and may take more error correction.

    Raises:
        ValueError: another quality, level or file.
    """

    def __init__(
        self,
        quality: int = 75,
        key: bytes | None = None,
        level: int = 0,
        file: str = "png",
        price: float | None = None,
    ):
        if file not in FILES:
            raise ValueError(f"file must be one of {', '.join(FILES)}, not {file!r}.")
        self._design, self.file = load_design(quality), FILES[file]
        if price is not None:
            self._design = dataclasses.replace(self._design, price=price)
        self.layout, self.key = Layout(2, key is not None, level, quality), key
        self._soft = dict(reversed(ATTEMPTS))[level]
        self.name = f"JPEG {quality}"

    def capacity(self, shape) -> int:
        """How many bytes a cover of `shape` (h, w, 3) carries; 0 where nothing fits."""
        return max(0, self.layout.free(Plan.of(self._design, shape).room(self.layout.level)))

    def write(self, cover, data: bytes, kind: Kind = Kind.RAW, size=None) -> np.ndarray:
        """The stego image. Arguments, result and errors are those of `ResidueChannel.write`."""
        cover, layout, design = check_image(cover, "cover"), self.layout, self._design
        plan = Plan.of(design, cover.shape)
        room = plan.room(layout.level)
        if len(data) > (free := layout.free(room)):
            raise ValueError(
                f"{len(data)} bytes do not fit: for {self.name}, a cover of {cover.shape[1]}×"
                f"{cover.shape[0]} pixels carries {max(0, free)}."
            )
        framed = frame.pack(data, kind, size or cover.shape[:2], layout, room, self.key)
        parts = digits.fill(framed.body, plan.body_bits(layout.level), 2, framed.noise, framed.seal)
        body = np.concatenate([np.zeros(0, np.uint8), *(said for _, said in parts)])
        image = soften(cover, *self._soft)
        values, costs = Writer(design, design.caution[layout.level]).moves(
            carried(image, design.places)
        )
        spare_unclear(image, design, values, costs)
        wishes = np.log(2, dtype=np.float32) * (costs[1] - costs[0])
        bits = plan.write(framed.head, body, layout.level, wishes.reshape(-1))
        wanted = np.where(bits.reshape(wishes.shape), values[1], values[0])
        return render(image, design.places, wanted)

    def read(self, stego) -> Payload:
        """What `write`, with the same key, hid in `stego`, uint8 [h, w, 3].

        Raises:
            ValueError: another dtype or shape.
            PayloadError: it hides nothing, was hidden with another key, or without one, or is
                damaged.
        """
        payload = self.read_if_any(stego)
        if payload is None:
            raise PayloadError(frame.WRONG_KEY if self.key is not None else frame.NOTHING)
        return payload

    def read_if_any(self, stego) -> Payload | None:
        """As `read`; None if nothing at all is seen that this channel wrote."""
        stego, error = check_image(stego, "stego"), None
        plan, reader = Plan.of(self._design, stego.shape), Reader(self._design, stego)
        for quality in reader.likely_qualities()[:GUESSES]:
            bits = _Bits(plan, reader.ratios(quality).reshape(1, -1))
            if bits.found:
                try:
                    return frame.unpack(bits, self.key)
                except PayloadError as found:
                    error = found
        if error is not None:
            raise error
        return None

    def attempts(self) -> Iterator["JpegChannel"]:
        """This channel, and then those with more protection, in turn.

        With the most, black and white pixels are at last drawn in further: that costs the cover.
        """
        for level, soft in ATTEMPTS:
            if level >= self.layout.level:
                channel = copy.copy(self)
                channel.layout = dataclasses.replace(self.layout, level=level)
                channel._soft = soft
                yield channel

    def probe(self, cover) -> list[str]:
        """As `broken`, for random bytes in uint8 [h, w, 3] and the worst promises alone."""
        data = np.random.default_rng(0).bytes(self.capacity(cover.shape))
        return self._broken(self.write(cover, data), data, self.promises()[:FIRST])

    def broken(self, stego, data: bytes) -> list[str]:
        """What was promised and does not hold: the first damage found after which all is lost.

        Large pictures are tried by some of their words: all are scattered over the picture alike.

        Args:
            stego: from `write`.
            data: what it hides.
        """
        return self._broken(stego, data, self.promises())

    def _broken(self, stego, data, lines):
        plan, saved = Plan.of(self._design, stego.shape), damaged(stego, self.file)
        wanted = self._said(plan, saved, data)
        if wanted is None:
            return [self.file]
        at_once = max(workers.THREADS, PLENTY // len(plan.order))
        cuts = [0, *range(min(FIRST, at_once), len(lines), at_once), len(lines)]
        for start, end in bar(list(itertools.pairwise(cuts)), "trying what is promised"):
            lost = self._lost(plan, saved, lines[start:end], wanted)
            if lost:
                return lost[:1]
        return []

    def remarks(self, broken: list[str]) -> list[str]:
        """Lines to say about what `broken` found."""
        tried, level = self.promises(), LEVELS[self.layout.level]
        if broken:
            return [f"with protection {level}, {broken[0]} would destroy it: trying more"]
        return [
            f"with protection {level}, it came through each of {len(tried)} promised ways: JPEG of "
            f"every quality from {self.layout.quality} to {BEST}, also twice"
        ]

    def promises(self) -> list[str]:
        """Every kind of damage that a stego image comes through, the worst first."""
        singles, pairs = [], []
        for channel in promised(self.layout.quality, self._design.twice):
            if len(channel) == 2:
                pairs.append("+".join(f"jpeg:{q}" for q in channel))
            else:
                singles += [f"jpeg:{channel[0]}:{chroma}" for chroma in (420, 444)]
        return pairs + singles

    def _said(self, plan, stego, data):
        """What a promise is tried by, uint8 [k]; None if `data` is not read even without damage."""
        reader = Reader(self._design, stego)
        for quality in reader.likely_qualities()[:GUESSES]:
            bits = _Bits(plan, reader.ratios(quality).reshape(1, -1))
            with contextlib.suppress(PayloadError):
                if bits.found and frame.unpack(bits, self.key).data == data:
                    return bits.sample(self.layout.level)[0]
        return None

    def _lost(self, plan, stego, lines, wanted):
        """Those of the lines of damage after which not all is read as it was."""
        with workers.threads() as pool:
            readers = pool.map(lambda line: Reader(self._design, damaged(stego, line)), lines)
            left = list(zip(lines, readers, strict=True))
        for guess in range(GUESSES):
            ratios = [reader.ratios(reader.likely_qualities()[guess]).ravel() for _, reader in left]
            said = _Bits(plan, np.stack(ratios)).sample(self.layout.level)
            left = [pair for pair, bits in zip(left, said, strict=True) if (bits != wanted).any()]
            if not left:
                break
        return [line for line, _ in left]


class _Bits:
    """Ratios of stego images, float32 [n, bits]; of the first one, a `frame.Carrier`.

    Attributes:
        found: whether there is a head at all.
    """

    def __init__(self, plan, ratios):
        self._plan, self._ratios, self.quality = plan, ratios, plan.design.quality
        self._heads = plan.read_heads(ratios)
        self.found = plan.head_in(self._heads[0]) is not None

    def room(self, layout):
        return self._plan.room(layout.level)

    def head(self, size, protected):
        return b"" if protected else self._plan.head_in(self._heads[0])

    def body(self, layout, size, seal):
        (bits,) = self._plan.read_bodies(self._ratios[:1], layout.level)
        parts = (bits[part] for part in digits.chunks(len(bits), 2))
        return digits.collect(parts, 2, size, seal)

    def sample(self, level):
        """What a promise is tried by, uint8 [n, k]: heads, and some words of bodies."""
        bodies = self._plan.read_bodies(self._ratios, level, SAMPLED)
        return np.concatenate([self._heads, bodies], axis=1)
