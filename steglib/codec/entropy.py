"""Levels as bits, and back: a coder with a table of chances for each scale class.

The context network tells how large a residual probably is; `scale_classes` cuts that scale into
129 classes, eight an octave. In each group of coefficients, and for each of the two rulers
(`levels`), the 56 narrow classes have a table of symbols each. Levels of wider ones lose low bits,
which are coded as they are, until such a table fits the rest. What lies further out than a table
reaches is escaped.

The coder is an asymmetric numeral system (Duda, 2013, https://arxiv.org/abs/1311.2540): a whole
number grows with all that is written, gives away its low bytes when it is too large, and what was
written last is read first. So levels are written in reverse.
"""

from typing import NamedTuple

import numpy as np

from steglib.channels.frame import PayloadError
from steglib.codec.contexts import GROUPS, SCALES
from steglib.codec.levels import AFTER, STATES, choose_levels
from steglib.compiled import compiled

PER_OCTAVE = 8
CLASSES = PER_OCTAVE * int(SCALES[1] - SCALES[0]) + 1
NARROW = 56
LIMIT = 60  # the largest level with a symbol of its own
ESCAPE = 2 * LIMIT + 1
SYMBOLS = ESCAPE + 1
RULERS = 2
CHANCE = 16  # bits; all chances are multiples of 2^-16
WHOLE = 1 << CHANCE
STATE = 4  # bytes of the coder's number
LEAST = 1 << 24  # that number, before and after something is written
THRIFT = 0.08  # squared steps that a bit is worth


def scale_classes(scales) -> np.ndarray:
    """The class of each log2 of a scale within `SCALES`, uint8 0…128."""
    return ((scales - SCALES[0]) * PER_OCTAVE).astype(np.uint8)


def symbol_tables(classes):
    """The row of each class's table, and how many low bits its levels lose; both int32."""
    classes = np.int32(classes)  # uint8 would wrap
    shifts = np.maximum(classes - (NARROW - PER_OCTAVE), 0) // PER_OCTAVE
    return classes - PER_OCTAVE * shifts, shifts


ROWS, SHIFTS = symbol_tables(np.arange(CLASSES))


def symbols(levels, shifts) -> np.ndarray:
    """The column of the table for levels int32, int32 0…121."""
    high = (levels + (1 << shifts >> 1)) >> shifts
    return np.where(np.abs(high) <= LIMIT, high + LIMIT, ESCAPE).astype(np.int32)


def whole_chances(chances) -> np.ndarray:
    """Chances [14, 2, 56, 122] as int32, in 2^-16: each at least that, and all of a table 1."""
    counts = np.maximum(np.rint(WHOLE * chances), 1).astype(np.int32)
    most = counts.argmax(-1, keepdims=True)
    rest = WHOLE - counts.sum(-1, keepdims=True)
    np.put_along_axis(counts, most, np.take_along_axis(counts, most, -1) + rest, -1)
    return counts


def expected_counts() -> np.ndarray:
    """What logistic distributions of each class's scale make of `whole_chances`."""
    scales = 2.0 ** (SCALES[0] + (np.arange(NARROW)[:, None] + 0.5) / PER_OCTAVE)
    edges = np.arange(-LIMIT - 0.5, LIMIT + 1) / scales
    inside = np.diff(1 / (1 + np.exp(-np.clip(edges, -500, 500))))
    escaped = np.maximum(1 - inside.sum(1, keepdims=True), 0)
    table = np.concatenate([inside, escaped], 1)
    return whole_chances(np.broadcast_to(table, (len(GROUPS), RULERS, *table.shape)))


class SymbolTables:
    """How probable each symbol is: in each group, on each ruler, in each scale class.

    Args:
        counts: from `whole_chances`, int [14, 2, 56, 122].
        thrift: squared steps that a bit is worth, where a level is chosen.

    Attributes:
        costs: float64 [14, 2, 56, 122], bits that a symbol takes, in 1/256.
        least: bits that the most probable symbol takes.
        bounds: where a symbol begins in 2^16, and the next one, int64 [14, 2, 56, 123].
        first: the first symbol with a place in each 256 of them, uint8 [14, 2, 56, 256].
    """

    def __init__(self, counts, thrift: float = THRIFT):
        self.bounds = np.pad(np.cumsum(counts, -1, dtype=np.int64), ((0, 0),) * 3 + ((1, 0),))
        self.costs = np.rint(256 * (CHANCE - np.log2(counts))) / 256  # the same on every machine
        self.least = CHANCE - np.log2(counts.max())
        self.costs[..., ESCAPE] += CHANCE
        self._prices = self._level_prices(thrift)
        places = np.arange(0, WHOLE, 256)
        rows = self.bounds[..., 1:].reshape(-1, SYMBOLS)
        first = np.stack([np.searchsorted(row, places, "right") for row in rows])
        self.first = first.astype(np.uint8).reshape(*counts.shape[:-1], -1)

    def bits(self, part) -> np.ndarray:
        """What a `Part` of n pictures takes, float64 [n]."""
        ruler, row, shifts = part.between.astype(np.uint8), ROWS[part.classes], SHIFTS[part.classes]
        found = symbols(part.levels, shifts)
        return (self.costs[part.group][ruler, row, found] + shifts).sum(1)

    def choose(self, group, distances, classes) -> "Part":
        """The levels that cost least, in squared steps and bits; of the means, the nearest.

        Args:
            group: of the coefficients.
            distances: residuals in steps, float32 [n, k].
            classes: uint8 [n, k].
        """
        if group:
            return Part(group, *choose_levels(distances, self._prices[group], classes), classes)
        levels = np.rint(distances).astype(np.int32)
        return Part(group, levels, np.zeros(levels.shape, bool), classes)

    def write(self, parts, picture: int) -> bytes:
        """The levels of one of the pictures of which these are the parts."""
        code = np.empty(6 * sum(part.levels.shape[1] for part in parts) + STATE, np.uint8)
        at = np.array([LEAST, len(code)])
        for part in reversed(parts):
            bounds, between = self.bounds[part.group], part.between[picture].astype(np.uint8)
            _write(part.levels[picture], between, part.classes[picture], bounds, code, at)
        return int(at[0]).to_bytes(STATE, "big") + code[at[1] :].tobytes()

    def _level_prices(self, thrift):
        """What each size of a level costs, in squared steps, float32 [14, 2, 129, 61].

        A sign costs the same, whichever it is.
        """
        both = (self.costs[..., LIMIT:ESCAPE] + self.costs[..., LIMIT::-1]) / 2
        prices = (thrift * both[:, :, ROWS]).astype(np.float32)
        prices[:, :, NARROW:] = 0  # where the low bits say most, all cost the same
        return prices


class Part(NamedTuple):
    """Some coefficients of n pictures, as they are coded.

    Attributes:
        group: to which they belong.
        levels: int32 [n, k].
        between: whether the ruler is the one with marks between the steps, bool [n, k].
        classes: of their scales, uint8 [n, k].
    """

    group: int
    levels: np.ndarray
    between: np.ndarray
    classes: np.ndarray


class LevelReader:
    """Reads what `SymbolTables.write` wrote, part by part.

    Args:
        tables: the same.
        code: at least four bytes.

    Raises:
        PayloadError: no coder's number is so small.
    """

    def __init__(self, tables: SymbolTables, code: bytes):
        self._tables, self._code = tables, np.frombuffer(code, np.uint8)
        self._at = np.array([int.from_bytes(code[:STATE], "big"), STATE])
        if self._at[0] < LEAST:  # from 0, `_take` would never end
            raise PayloadError("No such codec wrote the image's data.")

    def read(self, group, classes) -> tuple[np.ndarray, np.ndarray]:
        """The next levels, int32 [k], and whether their marks lie between the steps, bool [k].

        Args:
            group: of the coefficients.
            classes: of their scales, uint8 [k].

        Raises:
            PayloadError: the bytes end before the levels.
        """
        levels, between = np.empty(len(classes), np.int32), np.empty(len(classes), bool)
        bounds, first = self._tables.bounds[group], self._tables.first[group]
        after = AFTER if group else 0 * AFTER
        _read(levels, between, classes, after, bounds, first, self._code, self._at)
        if self._at[1] > len(self._code):
            raise PayloadError("No such codec wrote the image's data: it ends too soon.")
        return levels, between

    def finish(self) -> None:
        """Checks that all is read, and the number is what it was before anything was written.

        Raises:
            PayloadError: it is not.
        """
        if self._at.tolist() != [LEAST, len(self._code)]:
            raise PayloadError("No such codec wrote the image's data.")


@compiled
def _write(levels, between, classes, bounds, code, at):
    """Fills `code` from its end, and moves `at`: the coder's number, and where `code` begins."""
    for i in range(len(levels) - 1, -1, -1):
        row, shift = ROWS[classes[i]], SHIFTS[classes[i]]
        shifted = levels[i] + (1 << shift >> 1)
        high, low = shifted >> shift, shifted & ((1 << shift) - 1)
        if shift:
            chance = WHOLE >> shift
            _put(low * chance, chance, code, at)
        symbol = high + LIMIT
        if abs(high) > LIMIT:
            symbol = ESCAPE
            _put(high + WHOLE // 2, 1, code, at)
        start = bounds[between[i], row, symbol]
        _put(start, bounds[between[i], row, symbol + 1] - start, code, at)


@compiled
def _put(start, chance, code, at):
    """Adds something to the number that is so probable, and whose chance begins at `start`."""
    while at[0] >= chance << 8 * STATE - CHANCE:
        at[1] -= 1
        code[at[1]] = at[0] & 255
        at[0] >>= 8
    at[0] = (at[0] // chance << CHANCE) + at[0] % chance + start


@compiled
def _read(levels, between, classes, after, bounds, first, code, at):
    """Fills `levels` and `between`, and moves `at`: the coder's number, and how much is read."""
    ruler_state = 0
    for i, scale_class in enumerate(classes):
        row, shift = ROWS[scale_class], SHIFTS[scale_class]
        ruler = ruler_state // (STATES // 2)
        ends, slot = bounds[ruler, row, 1:], at[0] & (WHOLE - 1)
        symbol = int(first[ruler, row, slot >> 8])
        while ends[symbol] <= slot:
            symbol += 1
        start = bounds[ruler, row, symbol]
        _take(start, ends[symbol] - start, code, at)
        high = symbol - LIMIT
        if symbol == ESCAPE:
            high = (at[0] & (WHOLE - 1)) - WHOLE // 2
            _take(high + WHOLE // 2, 1, code, at)
        low = 0
        if shift:
            chance = WHOLE >> shift
            low = (at[0] & (WHOLE - 1)) // chance
            _take(low * chance, chance, code, at)
        levels[i] = (high << shift) + low - (1 << shift >> 1)
        between[i] = ruler == 1
        ruler_state = after[ruler_state ^ 2 * (levels[i] & 1)]


@compiled
def _take(start, chance, code, at):
    """Takes something out of the number that `_put` put there; bytes that lack are zeros."""
    at[0] = chance * (at[0] >> CHANCE) + (at[0] & (WHOLE - 1)) - start
    while at[0] < LEAST:
        at[0] <<= 8
        if at[1] < len(code):
            at[0] |= code[at[1]]
        at[1] += 1
