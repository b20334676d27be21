"""Few bytes in a photograph, where they are least seen, for who has the key.

Samples move by one grey level at most, where texture hides that (`costs`), and through a trellis
with costs for each of them, so that few of them move (adaptive embedding: Filler, Judas and
Fridrich, 2011, https://doi.org/10.1109/TIFS.2011.2134094). The key shuffles the samples of each of
twelve parts (`costs.PARTS`), which are written one after the other, so that neighbours and colours
move together. The frame's head lies in the first half of the first part, its body in the rest.
"""

import itertools
import math

import numpy as np

from steglib.channels import costs, digits, frame
from steglib.channels.channel import Channel
from steglib.channels.frame import PREAMBLE, Kind, Layout, Payload
from steglib.channels.seal import DRAWN, Shuffle
from steglib.channels.trellis import SHIPPED, Trellis
from steglib.images import jpeg
from steglib.images.arrays import check_image

LIMIT = 1.0  # bytes for each pixel of a square's side: twice as many pixels hide 1.4 times as many
MOST = 0.5  # bits a sample, for who asks for more than that
TRACE = 0.03  # of JPEG, from which on a cover is refused
SATURATED, FLAT = 0.25, 0.5  # shares of samples at 0 or 255, or equal to their neighbours
TRELLIS = Trellis(*SHIPPED[-1])
HEAD = digits.digits_for(PREAMBLE + DRAWN, TRELLIS.base)  # symbols
# Measured: how often the best detector of notebook 09 errs, which knows the costs, at a rate in
# 256×256 pixels; from 0.1 on, of simulated changes.
RATES, ERRORS = (0, 0.0052, 0.0104, 0.05, 0.1, 0.4), (0.5, 0.457, 0.453, 0.383, 0.344, 0.141)
MEASURED = 256 * 256  # pixels


def detection_error(rate: float, pixels: int) -> float:
    """About how often a detector errs, 0.5 if it can only guess, at equal numbers of both kinds.

    As measured for photographs of 256×256 pixels; others by the square-root law (Ker et al., 2008,
    https://doi.org/10.1145/1411328.1411349): as many bits for each pixel of a side are as safe.

    Args:
        rate: bits a sample.
        pixels: of the picture.
    """
    return float(np.interp(rate * math.sqrt(pixels / MEASURED), RATES, ERRORS))


def objection(cover) -> str | None:
    """Why changes of uint8 [h, w, 3] would be seen, and a remedy; None if there is no reason."""
    if jpeg.trace(cover) > TRACE:
        return (
            "The cover was a JPEG file of this size, and its traces would give every change away: "
            "scale it down (--longest, to half of its longer side or less), or take one that never "
            "was."
        )
    shares = {
        "are black or white": (np.mean((cover == 0) | (cover == 255)), SATURATED),
        "equal their neighbours": (np.mean(cover[:, 1:] == cover[:, :-1]), FLAT),
    }
    for what, (share, most) in shares.items():
        if share > most:
            return f"{share:.0%} of the cover's samples {what}: choose another photograph."
    return None


class QuietChannel(Channel):
    """Writes few bytes into a photograph that never was a JPEG file of this size.

    Args:
        key: a password; it also says where the changes are.
        rate: bits a sample at most, up to 0.5; None for what `LIMIT` says.

    Raises:
        ValueError: no key, or another rate.
    """

    takes_unrounded = True

    def __init__(self, key: bytes | None = None, rate: float | None = None):
        if key is None:
            raise ValueError(
                "Quiet hiding needs a key (--key-prompt, --key-file): it says where changes are."
            )
        if rate is not None and not 0 < rate <= MOST:
            raise ValueError(f"rate must lie above 0 and up to {MOST:g}, not {rate!r}.")
        self.layout = Layout(TRELLIS.base, sealed=True, memory=TRELLIS.memory)
        self.key, self._rate = key, rate
        self.name = "quiet" if rate is None else f"{rate:g} bits a sample"

    def capacity(self, shape) -> int:
        """How many bytes a cover of `shape` (h, w, 3) may hide; 0 where nothing fits."""
        pixels = math.prod(shape[:2])
        room = LIMIT * math.sqrt(pixels) if self._rate is None else 3 * pixels * self._rate / 8
        return max(0, self.layout.free(min(int(room), _Pieces(shape, self.key).room)))

    def write(
        self, cover, data: bytes, kind: Kind = Kind.RAW, size=None, unrounded=None
    ) -> np.ndarray:
        """The stego image. No two are alike.

        Args:
            cover: uint8 [h, w, 3].
            data: at most `capacity(cover.shape)` bytes.
            kind: what they are.
            size: the secret's height and width, 1…65535 each; None for the cover's.
            unrounded: the cover as it was before rounding, float [h, w, 3], if only the sender
                knows it: what was rounded up is best moved down.

        Returns:
            uint8 [h, w, 3].

        Raises:
            ValueError: another dtype, shape, kind or size; more data than may be hidden; or a
                cover in which they would be seen: once a JPEG file, black, white or flat.
        """
        cover = check_image(cover, "cover")
        if len(data) > (free := self.capacity(cover.shape)):
            raise ValueError(
                f"{len(data)} bytes do not fit: quietly, a cover of {cover.shape[1]}×"
                f"{cover.shape[0]} pixels hides {free}. More would be seen; a rate allows it."
            )
        if (reason := objection(cover)) is not None:
            raise ValueError(reason)
        pieces = _Pieces(cover.shape, self.key)
        size = size or cover.shape[:2]
        framed = frame.pack(data, kind, size, self.layout, pieces.room, self.key)
        head = digits.said(framed.head, TRELLIS.base)
        body = digits.said(framed.body, TRELLIS.base, framed.seal)
        body = np.split(body, pieces.cuts(len(body)))
        prices = costs.root_hill(cover) if unrounded is None else costs.informed(cover, unrounded)
        changes = np.zeros(cover.shape, np.int8)
        for (part, order), symbols in zip(pieces, [head, *body], strict=True):
            here = prices[:, *part]
            if unrounded is None:
                here = costs.together(prices, changes, part)
            moved = changes[part].reshape(-1)  # a copy
            samples = cover[part].reshape(-1)[order]
            moved[order] += _moves(samples, here.reshape(2, -1)[:, order], symbols)
            changes[part] = moved.reshape(here.shape[1:])
        return (cover + changes.astype(np.int16)).astype(np.uint8)

    def read(self, stego) -> Payload:
        """What `write`, with the same key, hid in `stego`, uint8 [h, w, 3].

        Raises:
            ValueError: another dtype or shape.
            PayloadError: it hides nothing, not with this key, or is damaged.
        """
        return frame.unpack(_Reader(check_image(stego, "stego"), self.key), self.key)

    def about(self, cover, data: bytes) -> list[str]:
        """As `Channel.about`, and how safe that is."""
        rate = 8 * len(data) / cover.size
        error = detection_error(rate, cover.size // 3)
        return [
            f"{len(data)} bytes, {rate:.2g} bits in each sample",
            f"of pictures like this, a detector takes {error:.0%} for the wrong kind, if half of "
            "them hide something (50% is guessing): an estimate, for the detectors of notebook 09",
        ]


class _Pieces:
    """In which order the samples of an image speak: pairs of a part and places in it.

    Attributes:
        room: bytes that a body may have; −1 if not even the head fits.
    """

    def __init__(self, shape, key):
        self._shape, self._key = shape, key
        sizes = [math.prod(np.empty(shape, bool)[part].shape) for part in costs.PARTS]
        self._sizes = [sizes[0] // 2, sizes[0] - sizes[0] // 2, *sizes[1:]]
        fits = self._sizes[0] >= HEAD
        self.room = digits.bytes_in(sum(self._sizes[1:]) * 9 // 10, TRELLIS.base) if fits else -1

    def cuts(self, count):
        """Where `count` symbols of a body are cut, to be said by all pieces but the first."""
        ends = np.cumsum(self._sizes[1:-1])
        return count * ends // sum(self._sizes[1:])

    def __iter__(self):
        shuffle = Shuffle(self._key, b"steglib quiet %d %d %d" % self._shape)
        for number, part in enumerate(costs.PARTS):
            if number:
                yield part, shuffle.order(self._sizes[number + 1])
            else:
                order = shuffle.order(sum(self._sizes[:2]))
                yield part, order[: self._sizes[0]]
                yield part, order[self._sizes[0] :]


class _Reader:
    """A stego image as a `frame.Carrier`."""

    quality = 0

    def __init__(self, stego, key):
        self._stego, self._pieces = stego, _Pieces(stego.shape, key)

    def room(self, layout):
        return self._pieces.room

    def head(self, size, protected):
        if protected or self._pieces.room < 0:
            return b""
        part, order = next(iter(self._pieces))
        return digits.to_bytes(self._said(part, order, HEAD), TRELLIS.base)[:size]

    def body(self, layout, size, seal):
        base = TRELLIS.base
        count = digits.digits_for(size, base)
        counts = np.diff([0, *self._pieces.cuts(count), count])
        pieces = itertools.islice(self._pieces, 1, None)
        said = [self._said(*piece, count) for piece, count in zip(pieces, counts, strict=True)]
        said = np.concatenate(said)
        parts = (said[part] for part in digits.chunks(count, base))
        return digits.collect(parts, base, size, seal)

    def _said(self, part, order, count):
        residues = self._stego[part].reshape(-1)[order] % np.uint8(TRELLIS.base)
        return TRELLIS.read(residues, int(count))


def _moves(samples, prices, symbols):
    """−1, 0 or 1 for each sample, so that together they say the symbols."""
    stay = np.zeros(len(samples), np.float32)

    def cost(some):
        return np.stack([stay[some], *prices[:, some]])

    found = TRELLIS.embed(samples % np.uint8(TRELLIS.base), cost, symbols).astype(np.int8)
    return np.where(found == 2, np.int8(-1), found)
