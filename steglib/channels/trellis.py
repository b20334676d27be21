"""The least change of an image that says a message: syndrome-trellis codes, of any base.

Each sample's residue counts, times the weights of a column, towards a few consecutive symbols: the
message is a sum mod the base. Many changes of the samples say the same message; the Viterbi
algorithm finds the cheapest (Filler, Judas and Fridrich, 2011,
https://doi.org/10.1109/TIFS.2011.2134094; there in base 2). It goes through the samples of a
segment, many segments at once, and keeps the cheapest way to every state: what the symbols that
are not yet complete would be.

Only changes and their costs are added, always in the same order: so the choice is the same on
every machine, with any number of threads.
"""

import functools
import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

import numpy as np

from steglib import workers
from steglib.compiled import compiled

LONG = 1024, 256  # elements and symbols of a segment, at least, if there are so many;
SHORT, MANY = (128, 64), 64  # in small images fewer, to make 64 segments
AHEAD = 2  # elements more for the first symbol
# Elements for a symbol, at most: where there are more samples, several are an element. In short
# messages, there is time for more.
WIDEST, WIDEST_IN_SHORT, SHORT_MESSAGE = 8, 32, 2**15
TOGETHER = 64  # segments that are gone through together: a processor adds many numbers at once
KEPT = 2**27  # choices that are remembered at once
# Base and memory; frames name them by place. The last one is for quiet hiding.
SHIPPED = (3, 5), (7, 3), (11, 3), (19, 2), (3, 6)
SEEDS = {(3, 5): 254, (3, 6): 39, (7, 3): 144, (11, 3): 0, (19, 2): 189}  # from `research.payload`


class Batch(NamedTuple):
    """Segments that are worked on together.

    Attributes:
        samples, symbols: which these are, of all.
        shape: how many segments, elements in each, and samples in an element.
        count: symbols in each segment.
    """

    samples: slice
    symbols: slice
    shape: tuple[int, int, int]
    count: int


@dataclass(frozen=True)
class Trellis:
    """A code that says symbols mod `base` by changes of samples.

    Attributes:
        base: 2…128.
        memory: how many symbols a sample counts towards, 1 or more. There are base^memory states:
            more of them take more time and change less.
        seed: of the weights; None for one with which little is changed, as far as that is known.

    Raises:
        ValueError: another base or memory.
    """

    base: int
    memory: int
    seed: int | None = None

    def __post_init__(self):
        if self.base not in range(2, 129) or self.memory < 1:
            raise ValueError(f"There is no trellis of base {self.base} and memory {self.memory}.")

    def read(self, residues, count: int) -> np.ndarray:
        """The `count` symbols that samples say, uint8 [count].

        Args:
            residues: of the samples, uint8 [n], n ≥ count.
        """
        symbols = np.empty(count, np.uint8)

        def read(batch):
            said = self._said(residues, batch)[:, : batch.count]
            symbols[batch.symbols] = (said % self.base).reshape(-1)

        _in_threads(read, self._batches(len(residues), count))
        return symbols

    def embed(self, residues, costs: Callable[[slice], np.ndarray], symbols) -> np.ndarray:
        """The cheapest change, or nearly so, after which samples say these symbols.

        Args:
            residues: of the samples, uint8 [n].
            costs: gives for some of the samples what it costs to add 0, 1, … to their residues,
                [base, k]: whole numbers up to 2000, which float32 adds exactly, so that all
                machines choose the same; or float32. Infinite for what cannot be.
            symbols: uint8 [count], count ≤ n.

        Returns:
            What is to be added to each residue, mod the base, uint8 [n].

        Raises:
            ValueError: no possible change says this.
        """
        changes = np.zeros(len(residues), np.uint8)

        def embed(batch):
            missing = -self._said(residues, batch)
            missing[:, : batch.count] += symbols[batch.symbols].reshape(-1, batch.count)
            elements, places = _elements(costs(batch.samples), batch.shape)
            found = self._cheapest(elements, missing).T
            if (several := batch.shape[2]) > 1:
                chosen = np.take_along_axis(places, found[None].astype(int), 0)[0]
                here = chosen[..., None] == np.arange(several)
                found = found[..., None] * here
            changes[batch.samples] = found.reshape(-1)

        _in_threads(embed, self._batches(len(residues), len(symbols)))
        return changes

    def _batches(self, samples, symbols) -> list[Batch]:
        """All segments, of equal length; the first ones may say one symbol more."""
        if symbols > samples:
            raise ValueError(f"{samples} samples cannot say {symbols} symbols.")
        if not symbols:
            return []
        widest = WIDEST_IN_SHORT if symbols <= SHORT_MESSAGE else WIDEST
        several = -(-samples // (widest * symbols))
        elements = samples // several
        long, short = (min(elements // e, symbols // s) for e, s in (LONG, SHORT))
        segments = max(1, long, min(short, MANY))
        (length, longer), (count, fuller) = divmod(elements, segments), divmod(symbols, segments)
        step = min(TOGETHER, max(1, KEPT // (length * self.base**self.memory)))
        batches, sample, symbol = [], 0, 0
        for first, last in itertools.pairwise(sorted({0, longer, fuller, segments})):
            shape = length + (first < longer), several
            each = count + (first < fuller)
            for start in range(first, last, step):
                part = min(step, last - start)
                samples, symbols = part * shape[0] * several, part * each
                places = slice(sample, sample + samples), slice(symbol, symbol + symbols)
                batches.append(Batch(*places, (part, *shape), each))
                sample, symbol = sample + samples, symbol + symbols
        return batches

    def _said(self, residues, batch):
        """What samples say, before it is taken mod the base, int [segments, count + memory]."""
        samples = residues[batch.samples].reshape(batch.shape)
        elements = np.einsum("ijk->ij", samples, dtype=int)
        said = np.zeros((len(elements), batch.count + self.memory), int)
        _add(elements, _widths(elements.shape[1], batch.count), _columns(self), said)
        return said

    def _cheapest(self, costs, missing):
        """The changes of each element, uint8 [length, segments].

        Args:
            costs: float32 [length, base, segments], which are overwritten.
            missing: what the changes are to say, int [segments, count + memory], likewise.
        """
        (length, base, segments), columns = costs.shape, _columns(self)
        widths = _widths(length, missing.shape[1] - self.memory)
        changes = np.zeros((length, segments), np.uint8)
        inverses = np.array([pow(int(column[0]), -1, base) for column in columns])
        _change_last(missing, widths, columns, inverses, costs, changes)
        after = _after(self, widths.max())
        choices = np.empty((length, base**self.memory, segments), np.int8)
        if not _change_least(costs, widths, after, choices, changes):
            raise ValueError("The cover cannot say this: too few of its samples may change.")
        return changes


@functools.cache
def _columns(trellis):
    """Weights by which the elements of a symbol count, int [rows, memory].

    The first and the last have inverses mod the base.
    """
    base, memory = trellis.base, trellis.memory
    seed = SEEDS.get((base, memory), 0) if trellis.seed is None else trellis.seed
    drawn = [
        [zlib.crc32(b"%d %d %d" % (seed, row, column)) >> 8 for column in range(memory)]
        for row in range(2 * WIDEST_IN_SHORT)
    ]
    units = np.array([unit for unit in range(1, base) if gcd(unit, base) == 1])
    columns = np.array(drawn)
    ends = units[columns[:, [0, -1]] % len(units)]
    columns %= base
    columns[:, [0, -1]] = ends
    return columns


@functools.lru_cache(8)
def _after(trellis, rows):
    """The states after an element of each row and each change, int [2, rows, base, states].

    The digits of a state are what symbols not yet complete would be, the lowest the first of them.
    After the last element of a symbol (the second half), that must be 0, and goes: else −1.
    """
    base, power = trellis.base, trellis.base ** np.arange(trellis.memory)
    digits = np.arange(base**trellis.memory)[:, None] // power
    moves = np.arange(base)[:, None, None] * _columns(trellis)[:rows, None, None]
    states = (digits + moves) % base @ power
    return np.stack([states, np.where(states % base, -1, states // base)])


def _widths(length, count):
    """How many elements each symbol has of its own: evenly spread, int [count].

    But for the first one, which only its own elements can say: it has up to `AHEAD` more.
    """
    ahead = min(AHEAD, length - count)
    return np.diff(ahead + np.arange(1, count + 1) * (length - ahead) // count, prepend=0)


def _elements(costs, shape):
    """Costs [base, k] of elements, float32 [length, base, segments], and of which sample, if any.

    Of the samples of an element, the cheapest changes.
    """
    parts = costs.reshape(-1, *shape)
    if shape[2] == 1:
        return np.array(parts[..., 0].transpose(2, 0, 1), np.float32, order="C"), None
    places = parts.argmin(3)
    least = np.take_along_axis(parts, places[..., None], 3)[..., 0]
    return np.array(least.transpose(2, 0, 1), np.float32, order="C"), places


def _in_threads(work, batches):
    with workers.threads() as pool:
        for _ in pool.map(work, batches):
            pass


@compiled
def _add(elements, widths, columns, said):
    """Adds what elements [segments, length] say to `said`, [segments, count + memory]."""
    for segment in range(len(elements)):
        element = 0
        for symbol, width in enumerate(widths):
            for row in range(width):
                for place in range(columns.shape[1]):
                    value = elements[segment, element]
                    said[segment, symbol + place] += columns[row, place] * value
                element += 1


@compiled
def _change_last(missing, widths, columns, inverses, costs, changes):
    """Says what is missing, at any cost, by the last element of each symbol.

    Fills `changes`; the costs, and what is missing, count from them on.
    """
    base, element = costs.shape[1], -1
    turned = np.empty(base, costs.dtype)
    for symbol, width in enumerate(widths):
        element += width
        for segment in range(len(missing)):
            change = missing[segment, symbol] * inverses[width - 1] % base
            changes[element, segment] = change
            for place, weight in enumerate(columns[width - 1]):
                missing[segment, symbol + place] -= weight * change
            for move in range(base):
                turned[move] = costs[element, (move + change) % base, segment]
            costs[element, :, segment] = turned


@compiled
def _change_least(costs, widths, after, choices, changes):
    """Adds the cheapest changes that say only zeros; False if there are none.

    Fills `choices`, by which change each state, [length, states, segments], is reached best.
    """
    (_, base, segments), states = costs.shape, after.shape[3]
    least = np.full((states, segments), np.float32(np.inf))
    least[0] = 0
    then, element = least.copy(), 0
    for width in widths:
        some = states // base  # the highest digit is still 0
        for row in range(width):
            is_last = int(row == width - 1)
            then[: states // base if is_last else states] = np.inf
            for move in range(base):
                for before in range(some):
                    state = after[is_last, row, move, before]
                    if state < 0:
                        continue
                    for segment in range(segments):
                        cost = least[before, segment] + costs[element, move, segment]
                        if cost < then[state, segment]:
                            then[state, segment] = cost
                            choices[element, state, segment] = move
            least, then = then, least
            element, some = element + 1, states
    ends = np.empty(segments, np.int64)
    for segment in range(segments):
        ends[segment] = np.argmin(least[: states // base, segment])
        if least[ends[segment], segment] == np.inf:
            return False
    for width in widths[::-1]:
        for row in range(width - 1, -1, -1):
            element -= 1
            for segment, state in enumerate(ends):
                move = choices[element, state, segment]
                changes[element, segment] = (changes[element, segment] + move) % base
                whole = state * base if row == width - 1 else state
                ends[segment] = after[0, row, (base - move) % base, whole]
    return True
