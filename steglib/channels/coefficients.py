"""Bits in the cosine coefficients of a photograph, so that they come through JPEG.

A coefficient carries a bit: is its value, in units of a step, nearest to an even or an odd number?
JPEG rounds the value to multiples of steps of its own, other ones at each quality. So the writer
moves it to where none of the promised qualities is likely to carry it over into a wrong cell, and
weighs that risk against what the move costs the cover.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steglib import workers
from steglib.channels.polar import scattered
from steglib.images.jpeg import BLOCK, from_cosines, luma, to_cosines

GRID = 24  # values to a step, to which the writer's tables are rounded
REACH = 7 / 4  # steps, how far a value may be moved
LARGEST = 1100.0  # a coefficient of 8×8 pixels hardly exceeds it
CELLS = 6  # whole numbers 0…5 and more, as the reader's tables tell them apart
SATURATION = 0.5, 3.5, 15.5  # black or white pixels of a block, classes of damage
CLEAR = 1.6  # a coefficient may be so far from where it was to be; else the block cannot hold
RELUCTANCE = 10.0  # bits: how much rather such a block is left as it is
ROUNDS = 4  # of embedding anew what was clipped
STRIP = 32  # rows of blocks that are rendered at once


@dataclass(frozen=True)
class Design:
    """Which coefficients carry bits, how they are moved, and how they are read.

    Attributes:
        quality: the least that is promised.
        twice: whether every ordered pair of every fifth quality is, too.
        places: int [k, 2], waves down and across.
        steps: float64 [k], of the reader.
        risks: for each place float32 [2, m]: the probability that a bit (row) at a value is read
            wrongly, over the promised qualities, weighted; values count in 1/24 of a step from
            the middle.
        errors: float32 [q + 1, k · 6 · 24], how often the nearest number is wrong in each cell, at
            each quality and over all of them.
        frequencies: float32 [q, k · 6 · 24], how often a cell occurs at each quality.
        saturated: float32 [4], how much of the certainty black and white pixels take.
        noise: of the code (`polar.Code`), at each level of protection.
        freedom: of the code.
        price: bits of cost for a squared grey level of change.
        caution: bits of cost for a certainly wrong bit, at each level.
    """

    quality: int
    twice: bool
    places: np.ndarray
    steps: np.ndarray
    risks: tuple[np.ndarray, ...]
    errors: np.ndarray
    frequencies: np.ndarray
    saturated: np.ndarray
    noise: tuple[float, ...]
    freedom: float
    price: float
    caution: tuple[float, ...]

    def save(self, path: Path) -> None:
        """Writes an `.npz` file."""
        arrays = {name: value for name, value in vars(self).items() if name != "risks"}
        risks = {f"risk/{i}": risk.astype(np.float16) for i, risk in enumerate(self.risks)}
        np.savez_compressed(path, **arrays, **risks)

    @classmethod
    def load(cls, path: Path) -> "Design":
        """What `save` wrote."""
        with np.load(path) as file:
            arrays = dict(file)
        risks = [arrays.pop(f"risk/{i}") for i in range(len(arrays["places"]))]
        numbers = {name: value.tolist() for name, value in arrays.items() if value.ndim == 0}
        lists = {name: tuple(arrays[name].tolist()) for name in ("noise", "caution")}
        return cls(
            **arrays | numbers | lists, risks=tuple(risk.astype(np.float32) for risk in risks)
        )


class Writer:
    """Moves coefficients.

    Args:
        design: which ones, and the risks.
        caution: in place of the design's.
    """

    def __init__(self, design: Design, caution: float):
        self.design = design
        self._tables = [
            best_moves(risk, step, design.price, caution)
            for risk, step in zip(design.risks, design.steps, strict=True)
        ]

    def moves(self, coefficients):
        """Where each would go for a 0 or a 1, and at what cost.

        Args:
            coefficients: float32 [k, rows, columns].

        Returns:
            Values and costs in bits, both float32 [2, k, rows, columns].
        """
        values = np.empty((2, *coefficients.shape), np.float32)
        costs = np.empty_like(values)
        for i, (table, step) in enumerate(zip(self._tables, self.design.steps, strict=True)):
            moved, cost = table
            index = np.rint(coefficients[i] * (GRID / step)).astype(np.int32) + cost.shape[1] // 2
            index = np.clip(index, 0, cost.shape[1] - 1)
            values[:, i], costs[:, i] = moved[:, index], cost[:, index]
        return values, costs


def best_moves(risk, step, price, caution):
    """For each value on the grid and each bit, the best value to move to, and the cost.

    Args:
        risk: float32 [2, m], as in `Design`.

    Returns:
        Values and costs in bits, both float32 [2, m].
    """
    reach, m = int(GRID * REACH), risk.shape[1]
    offsets = np.arange(-reach, reach + 1)
    far = price * (offsets * step / GRID) ** 2
    padded = np.pad(caution * risk, ((0, 0), (reach, reach)), constant_values=np.inf)
    costs = np.lib.stride_tricks.sliding_window_view(padded, len(offsets), axis=1) + far
    best = costs.argmin(axis=2)
    index = np.arange(m) + best - reach
    cost = np.take_along_axis(costs, best[:, :, None], axis=2)[:, :, 0]
    return ((index - m // 2) * step / GRID).astype(np.float32), cost.astype(np.float32)


def carried(image, places) -> np.ndarray:
    """The coefficients that carry bits, float32 [k, rows, columns], of uint8 [h, w, 3]."""
    rows, columns = (side // BLOCK for side in image.shape[:2])
    found = np.empty((len(places), rows, columns), np.float32)
    for top in range(0, rows, STRIP):
        strip = slice(top, min(rows, top + STRIP))
        pixels = image[BLOCK * strip.start : BLOCK * strip.stop]
        found[:, strip] = to_cosines(luma(pixels) - np.float32(128))[places[:, 0], places[:, 1]]
    return found


def render(image, places, wanted) -> np.ndarray:
    """The image with other coefficients: all three colours of a pixel change alike.

    What clipping to 0…255 takes away is put into what is left, a few times.

    Args:
        image: uint8 [h, w, 3].
        wanted: float32 [k, rows, columns], the coefficients to reach.

    Returns:
        uint8 [h, w, 3].
    """
    stego, (rows, columns) = image.copy(), wanted.shape[1:]

    def fill(top):
        bottom = min(rows, top + STRIP)
        part = slice(BLOCK * top, BLOCK * bottom), slice(BLOCK * columns)
        strip = wanted[:, top:bottom]
        aim = strip - carried(image[part], places)
        stego[part] = _rendered(image[part], places, strip, aim, ROUNDS)

    with workers.threads() as pool:
        list(pool.map(fill, range(0, rows, STRIP)))
    return stego


def _rendered(image, places, wanted, aim, rounds):
    """A strip of whole blocks, changed by `aim`, and in more rounds by what is missing then."""
    _, rows, columns = aim.shape
    changes = np.zeros((rows, BLOCK, columns, BLOCK), np.float32).transpose(1, 3, 0, 2)
    changes[places[:, 0], places[:, 1]] = aim
    levels = np.rint(image + from_cosines(changes)[..., None])
    stego = np.clip(levels, 0, 255).astype(np.uint8)
    if rounds > 1:
        missing = wanted - carried(stego, places)
        missing[np.abs(missing) < 0.8] = 0  # rounding, which the risks account for
        left = missing.any(axis=0)
        if left.any():
            few = _blocks(image)[left].reshape(-1, BLOCK, 3)  # one column of blocks
            wanted, aim = (x[:, left, None] for x in (wanted, aim + missing))
            again = _rendered(few, places, wanted, aim, rounds - 1)
            _blocks(stego)[left] = _blocks(again)[:, 0]
    return stego


def _blocks(image):
    """[h, w, 3] as [rows, columns, 8, 8, 3]: a view, if `image` is a whole array."""
    h, w, _ = image.shape
    return image.reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK, 3).swapaxes(1, 2)


def spare_unclear(image, design, values, costs) -> None:
    """Raises the costs where a block cannot hold what is wanted: it stays as it is, if it may.

    Args:
        image: uint8 [h, w, 3].
        design: whose places carry the bits.
        values, costs: as `Writer.moves` gives them; the costs are changed in place.
    """
    bad = np.zeros(values.shape[2:], bool)
    prefers_one = costs[1] < costs[0]
    for draw in range(2):
        likely = 1 / (1 + np.exp2(np.clip(costs[1] - costs[0], -60, 60)))
        noise = scattered(likely.size, 7 + draw).reshape(likely.shape) / 2.0**64
        wanted = np.where(noise < likely, values[1], values[0])
        missed = np.abs(carried(render(image, design.places, wanted), design.places) - wanted)
        bad |= (missed > CLEAR).any(axis=0)
    for bit in (0, 1):
        costs[bit][bad & (prefers_one != bit)] += RELUCTANCE


def soften(image, margin: int, most: int) -> np.ndarray:
    """The image, its few black and white pixels drawn in, so that they can move both ways.

    Args:
        margin: grey levels from 0 and 255 to keep away.
        most: pixels of a block; one with more is left alone.
    """
    count = _count_extreme(image, margin)
    chosen = np.kron((count > 0) & (count <= most), np.ones((BLOCK, BLOCK), bool))
    softened = image.copy()
    part = softened[: chosen.shape[0], : chosen.shape[1]]
    part[chosen] = np.clip(part[chosen], margin, 255 - margin)
    return softened


def saturation(image) -> np.ndarray:
    """int [rows, columns], 0…3: how many pixels of a block are black or white, as a class."""
    return np.digitize(_count_extreme(image, 2), SATURATION)


def _count_extreme(image, margin):
    """How many pixels of each block are so near to 0 or 255 in some colour, [rows, columns]."""
    red, green, blue = np.moveaxis(image, 2, 0)
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    extreme = (most >= 255 - margin) | (least <= margin)
    rows, columns = (side // BLOCK for side in image.shape[:2])
    blocks = extreme[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return blocks.sum(axis=1, dtype=np.uint8).sum(axis=2, dtype=np.uint8)


def cells(coefficients, steps):
    """The bit that each coefficient seems to say, and the cell by which errors are counted.

    Args:
        coefficients: float32 [k, rows, columns].

    Returns:
        uint8 and int32, both [k, rows, columns].
    """
    scaled = coefficients / steps[:, None, None].astype(np.float32)
    nearest = np.rint(scaled)
    fraction = np.abs(scaled) - np.abs(nearest)
    number = np.minimum(np.abs(nearest), CELLS - 1).astype(np.int32)
    place = np.arange(len(steps), dtype=np.int32)[:, None, None]
    part = np.clip(((fraction + 0.5) * GRID).astype(np.int32), 0, GRID - 1)
    return (nearest.astype(np.int32) & 1).astype(np.uint8), (place * CELLS + number) * GRID + part


class Reader:
    """What coefficients say, and how surely.

    Args:
        design: the one that wrote them.
        image: uint8 [h, w, 3].
    """

    def __init__(self, design: Design, image):
        self.design, self._likely = design, None
        bits, found = cells(carried(image, design.places), design.steps)
        # Cell, class of saturation and bit as one number: all that a ratio depends on.
        self._seen = (found * len(design.saturated) + saturation(image).astype(np.int32)) * 2 + bits

    def likely_qualities(self) -> list[int]:
        """Indices of `Design.errors`: the two likeliest qualities, then that of all, the others."""
        if self._likely is None:
            design, count = self.design, self.design.errors.shape[1]
            seen = np.bincount(self._seen.ravel(), minlength=2 * len(design.saturated) * count)
            scores = np.log(design.frequencies) @ seen.reshape(count, -1).sum(1)
            self._likely = np.argsort(-scores, kind="stable").tolist()
            self._likely.insert(2, len(scores))
        return self._likely

    def ratios(self, quality: int) -> np.ndarray:
        """log P(0) / P(1), float32 [k, rows, columns], by a table of `Design.errors`."""
        wrong = self.design.errors[quality][:, None]
        wrong = wrong + self.design.saturated * (0.5 - wrong)
        ratios = np.log((1 - wrong) / wrong)
        return np.stack([ratios, -ratios], axis=-1).reshape(-1)[self._seen]
