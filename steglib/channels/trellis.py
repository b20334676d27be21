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

LONG = 1024, 256  # elements and symbols of a segment, at least, if there are so many;
SHORT, MANY = (128, 64), 64  # in small images fewer, to make 64 segments
AHEAD = 2  # elements more for the first symbol
# Elements for a symbol, at most: where there are more samples, several are an element. In short
# messages, there is time for more.
WIDEST, WIDEST_IN_SHORT, SHORT_MESSAGE = 8, 32, 2**15
TOGETHER = 64  # symbols
AT_ONCE = 2**18  # states of segments that are gone through together
KEPT = 2**25  # costs that are remembered at once
MOST = 2**9  # what whole costs lie below
NEVER = 2**15  # what a way costs, in whole numbers, that there is not
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
            symbols[batch.symbols] = self._syndrome(residues, batch).reshape(-1)

        _in_threads(read, self._batches(len(residues), count, LONG[0] * AT_ONCE))
        return symbols

    def embed(self, residues, costs: Callable[[slice], np.ndarray], symbols) -> np.ndarray:
        """The cheapest change, or nearly so, after which samples say these symbols.

        Args:
            residues: of the samples, uint8 [n].
            costs: gives for some of the samples what it costs to add 0, 1, … to their residues,
                [base, k]: float32, infinite for what cannot be; or uint16, less than `MOST`, which
                takes half the time.
            symbols: uint8 [count], count ≤ n.

        Returns:
            What is to be added to each residue, mod the base, uint8 [n].

        Raises:
            ValueError: no possible change says this.
        """
        changes = np.zeros(len(residues), np.uint8)

        def embed(batch):
            said = symbols[batch.symbols].reshape(-1, batch.count).astype(int)
            wanted = (said - self._syndrome(residues, batch)) % self.base
            elements, places = _elements(costs(batch.samples), batch.shape)
            found = self._cheapest(elements, wanted.T).T
            if (several := batch.shape[2]) > 1:
                chosen = np.take_along_axis(places, found[None].astype(int), 0)[0]
                here = chosen[..., None] == np.arange(several)
                found = found[..., None] * here
            changes[batch.samples] = found.reshape(-1)

        _in_threads(embed, self._batches(len(residues), len(symbols), KEPT))
        return changes

    def _batches(self, samples, symbols, kept) -> list[Batch]:
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
        states = self.base**self.memory
        step = max(1, min(AT_ONCE, kept // (1 + length - count)) // states)
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

    def _syndrome(self, residues, batch):
        """What samples say, [segments, count]. float32 adds such whole numbers exactly."""
        (segments, length, _), count = batch.shape, batch.count
        samples = residues[batch.samples].reshape(batch.shape)
        elements = np.einsum("ijk->ij", samples, dtype=np.uint32) % np.uint32(self.base)
        elements = elements.astype(np.float32)
        weights, ends = _weights(self, length, count), [0, *_ends(length, count).tolist()]
        said = np.empty((segments, count), np.uint32)
        for first in range(0, count, TOGETHER):  # most weights are 0
            last = min(first + TOGETHER, count)
            heard = slice(ends[max(0, first - self.memory + 1)], ends[last])
            said[:, first:last] = elements[:, heard] @ weights[heard, first:last]
        return (said % self.base).astype(np.uint8)

    def _cheapest(self, costs, wanted):
        """The changes of each element, uint8 [length, segments].

        Args:
            costs: float32 or uint16 [length, base, segments], which are overwritten.
            wanted: the symbols that the changes are to say, [count, segments].
        """
        (length, base, segments), every = costs.shape, np.arange(costs.shape[2])
        changes = self._some_changes(wanted, length)
        # What is left to find says only zeros: ways to other symbols need not be kept.
        for last in _ends(length, len(wanted)) - 1:
            turned = (changes[last] + np.arange(base)[:, None]) % base
            costs[last] = costs[last, turned, every]
        whole = costs.dtype == np.uint16
        never, most = (NEVER, int(costs.max())) if whole else (np.inf, 0)
        least = np.full((base ** (self.memory - 1), segments), never, costs.dtype)
        least[0] = 0
        before, sums = [], 0
        for step, cost in zip(_steps(self, length, len(wanted)), costs, strict=False):
            before.append(least if step.ways > 1 else None)
            least, sums = step.least(least, cost), sums + most
            if step.last and sums > NEVER // 4:
                missing, sums = least >= NEVER, 0
                least -= least.min(0)
                least[missing] = NEVER
        state = least.argmin(0)
        if (least[state, every] >= never).any():
            raise ValueError("The cover cannot say this: too few of its samples may change.")
        for place in reversed(range(len(before))):
            step = _steps(self, length, len(wanted))[place]
            move, state = step.back(before[place], costs[place], state, every)
            changes[place] += move
        return changes % base

    def _some_changes(self, wanted, length):
        """Changes that say what is wanted, at any cost: of the last element of each symbol."""
        count, segments = wanted.shape
        changes = np.zeros((length, segments), np.uint8)
        said = np.zeros((count + self.memory, segments), int)
        ends = _ends(length, count)
        for symbol, width in enumerate(np.diff(ends, prepend=0)):
            column = _columns(self, 2 * WIDEST_IN_SHORT)[width - 1]
            inverse = pow(int(column[0]), -1, self.base)
            change = (wanted[symbol] - said[symbol]) * inverse % self.base
            said[symbol : symbol + self.memory] += column[:, None] * change
            changes[ends[symbol] - 1] = change
        return changes


class _Step:
    """From the states before an element to those after it.

    A state's lowest digit is the next symbol to be complete. At the first element of a symbol, the
    highest digit is still 0; after the last one, the lowest must be, and is left out.

    Attributes:
        sources: the states from which others may come, [ways, states].
        moves: with which change of the element, likewise.
        last: whether it is the last element of its symbol.
    """

    def __init__(self, trellis, column, first, last):
        base, power = trellis.base, trellis.base ** np.arange(trellis.memory)
        after = np.arange(0, base**trellis.memory, base if last else 1)
        digits = after[:, None] // power % base
        moves = np.arange(base)
        sources = (digits - moves[:, None, None] * column) % base @ power
        if first:  # the highest digit tells the only move: equal for a run of states
            possible = sources < base ** (trellis.memory - 1)
            moves = possible.argmax(0)[None]
            sources = np.take_along_axis(sources, moves, 0)
        else:
            moves = np.broadcast_to(moves[:, None], sources.shape)
        self.sources, self.moves = sources.astype(np.intp), moves.astype(np.intp)
        (self.ways, states), self.last = sources.shape, last
        self.runs = base if first and states % base == 0 else 1

    def least(self, before, cost):
        """The cost of the cheapest way to each state, [states, segments]."""
        shape = self.sources.shape[1], before.shape[1]
        least, other = np.empty(shape, before.dtype), np.empty(shape, before.dtype)
        for way, (sources, moves) in enumerate(zip(self.sources, self.moves, strict=True)):
            found = other if way else least
            np.take(before, sources, 0, out=found, mode="clip")
            runs = found.reshape(self.runs, -1, before.shape[1])
            runs += cost[moves[:: len(moves) // self.runs], None]
            if way:
                np.minimum(least, other, out=least)
        return least

    def back(self, before, cost, state, every):
        """The move on the cheapest way to a state, and the state before it, of each segment."""
        sources, moves = self.sources[:, state], self.moves[:, state]
        if self.ways == 1:
            return moves[0].astype(np.uint8), sources[0]
        segments = len(every)
        ways = before.take(sources * segments + every) + cost.take(moves * segments + every)
        way = ways.argmin(0) * segments + every
        return moves.take(way).astype(np.uint8), sources.take(way)


@functools.cache
def _columns(trellis, count):
    """Weights by which the elements of a symbol count, int [count, memory].

    The first and the last have inverses mod the base.
    """
    base, memory = trellis.base, trellis.memory
    seed = SEEDS.get((base, memory), 0) if trellis.seed is None else trellis.seed
    drawn = [
        [zlib.crc32(b"%d %d %d" % (seed, row, column)) >> 8 for column in range(memory)]
        for row in range(count)
    ]
    units = np.array([unit for unit in range(1, base) if gcd(unit, base) == 1])
    columns = np.array(drawn)
    ends = units[columns[:, [0, -1]] % len(units)]
    columns %= base
    columns[:, [0, -1]] = ends
    return columns


def _ends(length, count):
    """Behind which elements symbols are complete: evenly spread.

    But for the first one, which only its own elements can say: it has up to `AHEAD` more.
    """
    ahead = min(AHEAD, length - count)
    return ahead + np.arange(1, count + 1) * (length - ahead) // count


@functools.lru_cache(8)
def _weights(trellis, length, count):
    """By how much each element counts towards each symbol, float32 [length, count]."""
    weights, start = np.zeros((length, count + trellis.memory), np.float32), 0
    columns = _columns(trellis, 2 * WIDEST_IN_SHORT)
    for symbol, end in enumerate(_ends(length, count)):
        weights[start:end, symbol : symbol + trellis.memory] = columns[: end - start]
        start = end
    return weights[:, :count]


@functools.lru_cache(8)
def _steps(trellis, length, count) -> list[_Step]:
    """One for each element, up to the end of the last symbol."""
    make = functools.cache(lambda place, last: _Step(trellis, columns[place], place == 0, last))
    columns = _columns(trellis, 2 * WIDEST_IN_SHORT)
    widths = np.diff(_ends(length, count), prepend=0)
    return [make(place, place + 1 == width) for width in widths for place in range(width)]


def _elements(costs, shape):
    """Costs [base, k] of elements, [length, base, segments], and of which sample, if any.

    Of the samples of an element, the cheapest changes.
    """
    parts = costs.reshape(-1, *shape)
    if shape[2] == 1:
        return np.array(parts[..., 0].transpose(2, 0, 1), order="C"), None
    places = parts.argmin(3)
    least = np.take_along_axis(parts, places[..., None], 3)[..., 0]
    return np.ascontiguousarray(least.transpose(2, 0, 1)), places


def _in_threads(work, batches):
    with workers.threads() as pool:
        for _ in pool.map(work, batches):
            pass
