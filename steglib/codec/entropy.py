"""Residuals as bits, and back: a range coder with a table of chances for each scale class.

The context network tells how large a residual probably is; `scale_classes` cuts that scale into
129 classes, eight an octave. The 56 narrow classes have a table of symbols each. Residuals of
wider ones lose low bits, which are coded as they are, until such a table fits the rest. What
lies further out than a table reaches is escaped.
"""

import numpy as np
from constriction import stream

from steglib.channels.frame import PayloadError
from steglib.codec.contexts import SCALES

PER_OCTAVE = 8
CLASSES = PER_OCTAVE * int(SCALES[1] - SCALES[0]) + 1
NARROW = 56
LIMIT = 60  # the largest residual with a symbol of its own
ESCAPE = 2 * LIMIT + 1
ESCAPE_BITS = 16
ESCAPED = stream.model.Uniform(2**ESCAPE_BITS)
THRIFT = 0.1  # squared steps that a bit is worth


def scale_classes(scales) -> np.ndarray:
    """The class of each log2 of a scale within `SCALES`, uint8 0…128."""
    return ((scales - SCALES[0]) * PER_OCTAVE).astype(np.uint8)


def symbol_tables(classes):
    """The row of each class's table, and how many low bits its residuals lose; both int32."""
    classes = np.int32(classes)  # uint8 would wrap
    shifts = np.maximum(classes - (NARROW - PER_OCTAVE), 0) // PER_OCTAVE
    return classes - PER_OCTAVE * shifts, shifts


def symbols(residuals, shifts) -> np.ndarray:
    """The column of the table for residuals int32, int32 0…121."""
    high = (residuals + (1 << shifts >> 1)) >> shifts
    return np.where(np.abs(high) <= LIMIT, high + LIMIT, ESCAPE).astype(np.int32)


def expected_counts(total: int = 2**16) -> np.ndarray:
    """How logistic distributions of each class's scale share out `total` symbols, [56, 122]."""
    scales = 2.0 ** (SCALES[0] + (np.arange(NARROW)[:, None] + 0.5) / PER_OCTAVE)
    edges = np.arange(-LIMIT - 0.5, LIMIT + 1) / scales
    inside = np.diff(1 / (1 + np.exp(-np.clip(edges, -500, 500))))
    escaped = np.maximum(1 - inside.sum(1, keepdims=True), 0)
    return np.maximum(np.rint(total * np.concatenate([inside, escaped], 1)), 1).astype(np.int32)


class SymbolTables:
    """How probable each symbol is, in each scale class.

    Args:
        counts: int [56, 122], how often each symbol occurred, in each narrow class.
        thrift: squared steps that a bit is worth, where a residual is chosen.

    Attributes:
        models: constriction's model of the symbols, for each of the 129 classes.
        costs: float64 [56, 122], bits that a symbol takes, in 1/256.
        least: bits that the most probable symbol takes.
    """

    def __init__(self, counts, thrift: float = THRIFT):
        chances = counts / counts.sum(1, keepdims=True)
        rows, _ = symbol_tables(np.arange(CLASSES))
        self.models = [stream.model.Categorical(chances[row], perfect=False) for row in rows]
        self.costs = np.rint(-256 * np.log2(chances)) / 256  # the same on every machine
        self.least = -np.log2(chances.max())
        self.costs[:, ESCAPE] += ESCAPE_BITS
        self._thresholds = self._thrifty_thresholds(rows, thrift)

    def bits(self, residuals, classes) -> np.ndarray:
        """What residuals int32 [n, k] of these classes take, float64 [n]."""
        tables, shifts = symbol_tables(classes)
        return (self.costs[tables, symbols(residuals, shifts)] + shifts).sum(1)

    def choose(self, distances, classes) -> np.ndarray:
        """The residuals that cost least, in squared steps and bits: the nearest, or one less.

        Args:
            distances: float32, in steps, any shape.
            classes: uint8, likewise.

        Returns:
            Whole numbers, float32.
        """
        nearest = np.rint(distances)
        sizes = np.minimum(np.abs(nearest), LIMIT).astype(np.int32)
        thresholds = self._thresholds.take(classes.astype(np.int32) * (LIMIT + 1) + sizes)
        return np.where(np.abs(distances) < thresholds, nearest - np.sign(distances), nearest)

    def _thrifty_thresholds(self, rows, thrift):
        """For each class and size: below which distance the next smaller residual is better.

        From (d − s + 1)² + thrift · bits(s − 1) < (d − s)² + thrift · bits(s).
        """
        both = (self.costs[:, LIMIT:ESCAPE] + self.costs[:, LIMIT::-1]) / 2
        sizes = np.arange(1, LIMIT + 1) - 0.5
        thresholds = np.zeros((CLASSES, LIMIT + 1), np.float32)
        thresholds[:, 1:] = sizes + thrift / 2 * np.diff(both, axis=1)[rows]
        thresholds[NARROW:] = 0  # where the low bits say most, they cost the same
        thresholds[:, LIMIT] = 0  # what is larger, too
        return thresholds


class ResidualWriter:
    """Turns the residuals of one picture into bytes."""

    def __init__(self, tables: SymbolTables):
        self._tables, self._coder = tables, stream.queue.RangeEncoder()

    def write(self, residuals, classes) -> None:
        """Appends residuals int32 [k] of scale classes uint8 [k].

        All of one class share a table: one call; then comes what the tables left out.
        """
        order = np.argsort(classes, kind="stable")
        residuals, classes = residuals[order], classes[order]
        _, shifts = symbol_tables(classes)
        coded = symbols(residuals, shifts)
        for scale_class, run in _class_runs(classes):
            self._coder.encode(coded[run], self._tables.models[scale_class])
        shifted = residuals + (1 << shifts >> 1)
        if (escaped := coded == ESCAPE).any():
            high = (shifted >> shifts)[escaped]
            self._coder.encode(high + 2 ** (ESCAPE_BITS - 1), ESCAPED)
        for _, run in _class_runs(classes, NARROW):
            low = 1 << int(shifts[run.start])
            self._coder.encode(shifted[run] & (low - 1), stream.model.Uniform(low))

    def to_bytes(self) -> bytes:
        """All that was written, in words of four bytes."""
        return self._coder.get_compressed().astype("<u4").tobytes()


class ResidualReader:
    """Reads what a `ResidualWriter` with the same tables wrote.

    Args:
        code: from `ResidualWriter.to_bytes`, a multiple of four bytes.
    """

    def __init__(self, tables: SymbolTables, code: bytes):
        words = np.frombuffer(code, "<u4").astype(np.uint32)
        self._tables, self._coder = tables, stream.queue.RangeDecoder(words)

    def read(self, classes) -> np.ndarray:
        """The next residuals, int32 [k], for scale classes uint8 [k].

        Raises:
            PayloadError: no writer wrote these bytes, where that is seen.
        """
        order = np.argsort(classes, kind="stable")
        classes = classes[order]
        _, shifts = symbol_tables(classes)
        coded = np.empty(len(classes), np.int32)
        for scale_class, run in _class_runs(classes):
            coded[run] = self._decode(self._tables.models[scale_class], run.stop - run.start)
        shifted = coded - LIMIT
        if (escaped := coded == ESCAPE).any():
            shifted[escaped] = self._decode(ESCAPED, int(escaped.sum())) - 2 ** (ESCAPE_BITS - 1)
        shifted <<= shifts
        for _, run in _class_runs(classes, NARROW):
            low = stream.model.Uniform(1 << int(shifts[run.start]))
            shifted[run] += self._decode(low, run.stop - run.start)
        residuals = np.empty_like(shifted)
        residuals[order] = shifted - (1 << shifts >> 1)
        return residuals

    def _decode(self, model, count):
        try:
            return self._coder.decode(model, count)
        except AssertionError as error:  # so constriction says that the bytes are invalid
            raise PayloadError("No such codec wrote the image's data.") from error


def _class_runs(classes, lowest=0):
    """Each class from `lowest` up that occurs, and where it stands in the sorted classes."""
    counts = np.bincount(classes)
    ends = counts.cumsum()
    for scale_class in (np.flatnonzero(counts[lowest:]) + lowest).tolist():
        end = int(ends[scale_class])
        yield scale_class, slice(end - int(counts[scale_class]), end)
