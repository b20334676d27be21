"""The learned codec: a photo as at most so many bytes, and back.

Blocks of 8×8 pixels become 192 coefficients each: cosines in three colours. These are divided by a
step; `levels` rounds their residuals from what is predicted, with a thought to the bits that saves;
`entropy` writes the levels, with tables that `contexts` chooses. The step is about the finest whose
code fits. Only the picture itself is computed with floats that a machine may round its own way; the
bits never are.

A tile's code is the index of its step (uint16, big-endian), how far its colours are turned (uint8)
and what `entropy` wrote. A large picture's code holds the lengths of its tiles' codes but the last
(uint32), and these codes.
"""

import functools
import itertools
import math
from pathlib import Path

import numpy as np

from steglib import workers
from steglib.channels.frame import Kind, PayloadError
from steglib.codec.contexts import STARTS, ExactMath, code_groups, exact_layers
from steglib.codec.entropy import (
    STATE,
    THRIFT,
    LevelReader,
    SymbolTables,
    scale_classes,
)
from steglib.codec.levels import marks
from steglib.codec.rate import (
    STEPS,
    StepSearch,
    forecast_bits,
    is_large,
    log_steps,
    sample_squares,
)
from steglib.codec.transform import (
    BLOCK,
    TURNS,
    best_turns,
    block_grid,
    from_coefficients,
    tiles,
    to_coefficients,
    turned,
)
from steglib.evaluation.metrics import ROUNDING
from steglib.progress import bar

HEAD = 3  # bytes of a tile's code: the index of its step, the turn of its colours
LENGTH = 4  # bytes that tell how long such a code is
AT_ONCE = 4  # tiles of a large picture that get the same step
SMALL = 16 * 16  # blocks; with no more of them, a tile is a small picture
BATCH = 2**16  # pixels of small pictures that are coded at once
ERROR_UNITS = 2**12  # in a squared step
AIMED = 2  # passes to find the step of a quality
PLENTY = 1.0  # bits for each sample: with more, every picture fits


class Codec:
    """Photos as at most so many bytes, and back.

    Args:
        colours: float [3, 3], from `transform.learn_colours`.
        order: int [192], in which coefficients are coded.
        weights: from `networks.exact_weights`.
        counts: int [2, 14, 2, 56, 122], how often a level is each symbol (`entropy`), in small
            pictures, which are more detailed, and in large ones.
        thrift: squared steps that a bit is worth when levels are chosen; with 0, errors alone
            count. A decoder need not know it.
    """

    kind = Kind.LEARNED
    least_bits = 1.0  # for a pixel; with fewer, a picture scaled down and up again looks better
    min_side = BLOCK

    def __init__(self, colours, order, weights, counts, thrift=THRIFT):
        self.colours, self.order, self.weights, self.counts = colours, order, weights, counts
        self.thrift = thrift
        self._network = exact_layers(weights)
        self._tables = [SymbolTables(table, thrift) for table in counts]
        self._least_bits = STARTS[-1] * min(tables.least for tables in self._tables)  # a block

    def count_parameters(self) -> int:
        """Of the context network."""
        return sum(array.size for array in self.weights.values())

    def save(self, path: Path) -> None:
        """Writes `path` (.npz)."""
        arrays = {f"context/{name}": array for name, array in self.weights.items()}
        known = {"colours": self.colours, "order": self.order, "counts": self.counts}
        np.savez_compressed(path, **known, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Codec":
        """What `save` wrote."""
        with np.load(path) as file:
            arrays = dict(file)
        known = {name: arrays.pop(name) for name in ("colours", "order", "counts")}
        weights = {name.removeprefix("context/"): array for name, array in arrays.items()}
        return cls(weights=weights, **known)

    def encode(self, pictures, size: int, enough: float | None = None) -> list[bytes]:
        """Each picture as the best code of at most `size` bytes.

        Args:
            pictures: uint8 [n, h, w, 3].
            enough: PSNR in dB about which a code need not be better, but shorter; None to fill all
                that there is.

        Raises:
            ValueError: not even the coarsest code is so short.
        """
        return [code for code, _ in self.encode_measured(pictures, size, enough)]

    def encode_measured(self, pictures, size: int, enough: float | None = None) -> list:
        """As `encode`: each code, and about the mean square error of the picture in it."""
        sides = pictures.shape[1:3]
        _check_room(self._least_bits * math.prod(block_grid(*sides)) <= 8 * size, sides, size)
        with workers.threads() as pool:
            if len(tiles(*sides)) > 1:
                return [self._encode_tiled(picture, size, enough, pool) for picture in pictures]
            batches = (pictures[batch] for batch in _batches(*pictures.shape[:3]))
            coded = pool.map(lambda batch: self._encode_batch(batch, size, enough), batches)
            return [code for codes in coded for code in codes]

    def fits(self, picture, size: int) -> bool:
        """Whether uint8 [h, w, 3] has a code of at most `size` bytes, a large one by a sample."""
        if 8 * size > PLENTY * picture.size:
            return True
        large = is_large(*picture.shape[:2])
        part = sample_squares(picture) if large else picture[None]
        bits = self._count_bits(self._coefficients(part, self._turns(part)), [STEPS - 1])
        return bits[0] <= _symbol_bits(size) * part.size / picture.size

    def decode(self, codes: list[bytes], height: int, width: int) -> np.ndarray:
        """The pictures, uint8 [n, height, width, 3].

        Args:
            codes: from `encode`, of pictures of one size.

        Raises:
            PayloadError: other bytes, where that is seen at all.
        """
        pictures = np.empty((len(codes), height, width, 3), np.uint8)
        unordered = np.argsort(self.order)

        def show(batch, tile, indices, turns, values):
            steps = (2.0 ** log_steps(indices)).astype(np.float32)[:, None, None, None]
            coefficients = (values * steps)[..., unordered]
            shown = from_coefficients(coefficients, turned(self.colours, turns))
            place = pictures[batch][:, *tile]
            place[:] = np.clip(np.rint(shown), 0, 255)[:, : place.shape[1], : place.shape[2]]

        self._read(codes, height, width, show)
        return pictures

    def quantised(self, code: bytes, height: int, width: int) -> np.ndarray:
        """The coefficients in a code, in quarters of a step: what a decoder knows before any float.

        Returns:
            int32 [rows, columns, 192] for the picture's blocks of 8×8 pixels, in the order in
            which they are coded.

        Raises:
            PayloadError: as `decode`.
        """
        whole = np.empty((*block_grid(height, width), STARTS[-1]), np.int32)

        def keep(batch, tile, indices, turns, values):
            top, left = (part.start // BLOCK for part in tile)
            rows, columns = values.shape[1:3]
            whole[top : top + rows, left : left + columns] = 4 * values[0]

        self._read([code], height, width, keep)
        return whole

    def levels(self, pictures, indices):
        """What pictures leave to be coded with steps of these indices, tile by tile.

        Yields:
            A `Part` for each group's coefficients of half of the blocks.
        """
        for tile in tiles(*pictures.shape[1:3]):
            part = pictures[:, *tile]
            yield from self._levels(self._coefficients(part, self._turns(part)), indices)[0]

    def _turns(self, pictures):
        return best_turns(pictures, self.colours)

    def _coefficients(self, pictures, turns):
        """Those of pictures or of a tile of each, in the order of coding, float32."""
        found = to_coefficients(pictures, turned(self.colours, turns))
        return found.astype(np.float32)[..., self.order]

    def _levels(self, coefficients, indices):
        """What `levels` yields for one tile, in a list, and the squared errors, in steps, [n]."""
        steps, parts, errors = log_steps(indices), [], np.zeros(len(coefficients))
        tables = self._tables_for(coefficients)
        wanted = coefficients * (2.0**-steps).astype(np.float32)[:, None, None, None]

        def code(group, prediction, scale, blocks):
            there = wanted[..., STARTS[group] : STARTS[group + 1]]
            distances = ExactMath.at(there, blocks) - ExactMath.at(prediction, blocks)
            part = tables.choose(group, _flat(distances), _flat(scale_classes(scale)))
            parts.append(part)
            residuals = marks(part.levels, part.between).reshape(scale.shape)
            # Whole units add to the same sum on every machine.
            units = np.rint(ERROR_UNITS * np.square(distances - residuals))
            errors[:] += units.sum((1, 2), dtype=float) / ERROR_UNITS
            return ExactMath.spread(residuals, blocks)

        code_groups(self._network, _step_map(steps, wanted), code, ExactMath)
        return parts, errors

    def _tables_for(self, coefficients):
        """The tables for tiles [n, rows, columns, 192]."""
        return self._tables[int(coefficients[0, ..., 0].size > SMALL)]

    def _count_bits(self, coefficients, indices):
        """About how many bits the levels take that `_write` writes, [n]."""
        tables = self._tables_for(coefficients)
        return sum(tables.bits(part) for part in self._levels(coefficients, indices)[0])

    def _write(self, coefficients, indices):
        """The levels of each picture, or of a tile of it, as bytes, with the step of its index.

        And the squared error of each, in grey levels.
        """
        tables, (parts, errors) = (
            self._tables_for(coefficients),
            self._levels(coefficients, indices),
        )
        written = [tables.write(parts, picture) for picture in range(len(coefficients))]
        return written, errors * 4 ** log_steps(indices)

    def _finest_needed(self, parts, enough):
        """The index of about the coarsest step with which pictures come back so well, int [n].

        Args:
            parts: the coefficients of tiles of n pictures.
            enough: PSNR in dB.
        """
        allowed, n = 255**2 / 10 ** (enough / 10) - ROUNDING, len(parts[0])
        if allowed <= 0:
            return np.zeros(n, int)
        samples = sum(part[0].size for part in parts)
        indices = np.full(n, (np.log2(16 * allowed) / 2 - log_steps(0)) * 256).astype(int)
        for _ in range(AIMED):
            errors = sum(self._levels(part, indices)[1] for part in parts)
            errors = np.maximum(errors * 4 ** log_steps(indices) / samples, allowed / 16)
            coarser = np.rint(160 * np.log2(allowed / errors)).astype(int)
            indices = np.clip(indices + coarser, 0, STEPS - 1)
        return indices

    def _encode_batch(self, pictures, size, enough):
        """Small pictures, of one tile each, which are written in each of few passes."""
        sides, turns = pictures.shape[1:3], self._turns(pictures)
        coefficients = self._coefficients(pictures, turns)
        samples, finest, codes = coefficients[0].size, None, [None] * len(pictures)
        if enough is not None:
            finest = self._finest_needed([coefficients], enough)
        budget = 8 * (size - HEAD) / samples
        search = StepSearch(budget, forecast_bits(coefficients), finest=finest)
        while (left := search.open).size:
            indices = search.propose()
            bodies, errors = self._write(coefficients[left], indices)
            search.record(indices, 8 * np.array([len(body) for body in bodies]) / samples)
            for i, index, body, error in zip(left, indices, bodies, errors, strict=True):
                if len(body) + HEAD <= size:  # each that fits is finer than those before
                    codes[i] = _head(index, turns[i]) + body, error / samples + ROUNDING
        _check_room(all(codes), sides, size)
        return codes

    def _encode_tiled(self, picture, size, enough, pool):
        """A picture of several tiles."""
        parts = [picture[None, *tile] for tile in tiles(*picture.shape[:2])]
        room = size - LENGTH * (len(parts) - 1)
        large = is_large(*picture.shape[:2])
        coded = self._encode_large(picture, parts, room, enough, pool) if large else None
        coded = coded or self._encode_evenly(parts, room, pool, enough=enough)
        _check_room(coded is not None, picture.shape[:2], size)
        codes, errors = zip(*coded, strict=True)
        lengths = [len(code).to_bytes(LENGTH, "big") for code in codes[:-1]]
        error = sum(errors) / sum(_samples(part) for part in parts)
        return b"".join([*lengths, *codes]), error + ROUNDING

    def _encode_evenly(self, parts, room, pool, trend=None, finest=None, enough=None):
        """The codes of tiles, with one step, in so many bytes; None if they do not fit.

        They are written in each pass, of which few are needed. Beside each is its squared error.
        """
        turns = list(pool.map(self._turns, parts))
        coefficients = list(pool.map(self._coefficients, parts, turns))
        sizes, best = [tile.size for tile in coefficients], None
        if enough is not None:
            finest = self._finest_needed(coefficients, enough)
        forecast = np.average([forecast_bits(tile) for tile in coefficients], 0, sizes)
        search = StepSearch(8 * room / sum(sizes), forecast, trend, finest=finest)
        while search.open.size:
            indices = search.propose()
            write = functools.partial(self._tile_code, index=indices[0])
            codes = list(pool.map(write, coefficients, turns))
            length = sum(len(code) for code, _ in codes)
            search.record(indices, np.array([8 * length / sum(sizes)]))
            if length <= room:
                best = codes  # each that fits is finer than those before
        return best

    def _encode_large(self, picture, parts, room, enough, pool):
        """As `_encode_evenly`, but each tile is coded once, with a step that suits what is left.

        The last ones alone are tried until they fill the room; None if that fails.
        """
        sample = sample_squares(picture)
        sample = self._coefficients(sample, self._turns(sample))
        finest = np.zeros(1, int) if enough is None else self._finest_needed([sample], enough)
        trend = self._trend(sample, 8 * room / picture.size)
        forecasts = list(pool.map(self._forecast, parts))
        sizes = [_samples(part) for part in parts]
        codes, last = [], len(parts) - AT_ONCE

        def code(part, index):
            turns = self._turns(part)
            return self._tile_code(self._coefficients(part, turns), turns, index)

        for start in bar(range(0, last, AT_ONCE), "coding"):
            some = slice(start, min(start + AT_ONCE, last))
            left = np.average(forecasts[start:], 0, sizes[start:])
            (index,) = trend.index(left, [8 * room / sum(sizes[start:])])
            index = max(index, finest[0])
            done = list(pool.map(functools.partial(code, index=index), parts[some]))
            used = sum(len(code) for code, _ in done)
            expected = np.average(forecasts[some], 0, sizes[some])[:, index]
            trend.correct(expected, 8 * used / sum(sizes[some]))
            codes, room = codes + done, room - used
        if room <= 0:
            return None
        ending = self._encode_evenly(parts[last:], room, pool, trend, finest)
        return codes + ending if ending else None

    def _tile_code(self, coefficients, turns, index):
        (body,), (error,) = self._write(coefficients, [index])
        return _head(index, turns[0]) + body, error

    def _trend(self, sample, budget):
        """How bits follow from forecasts, near such a budget for a coefficient of a sample."""
        search = StepSearch(budget, forecast_bits(sample))
        while search.open.size:
            indices = search.propose()
            search.record(indices, self._count_bits(sample, indices) / sample.size)
        return search.trend

    def _forecast(self, part):
        """That of a tile, from every fourth row of its blocks."""
        n, height, width, _ = part.shape
        if every := height // (4 * BLOCK):
            split = part[:, : 4 * BLOCK * every].reshape(n, every, 4 * BLOCK, width, 3)
            part = split[:, :, :BLOCK].reshape(n, BLOCK * every, width, 3)
        return forecast_bits(self._coefficients(part, self._turns(part)))

    def _read(self, codes, height, width, show):
        """Calls `show` with slices of codes and of pixels, their heads, and coefficients in steps.

        These are float32 [n, rows, columns, 192].
        """
        all_tiles = tiles(height, width)
        split = [_split(code, len(all_tiles)) for code in codes]

        def work(part):
            batch, number, tile = part
            heads = [_open(parts[number]) for parts in split[batch]]
            indices, turns = np.array(heads).T
            bodies = [parts[number][HEAD:] for parts in split[batch]]
            grid = block_grid(*(side.stop - side.start for side in tile))
            show(batch, tile, indices, turns, self._read_tile(bodies, indices, grid))

        parts = [
            (batch, number, tile)
            for batch in _batches(len(codes), height, width)
            for number, tile in enumerate(all_tiles)
        ]
        with workers.threads() as pool:
            for _ in bar(pool.map(work, parts), "decoding", len(parts)):
                pass

    def _read_tile(self, bodies, indices, grid):
        """The coefficients of a tile of each picture."""
        _check_enough(bodies, self._least_bits * math.prod(grid))
        coefficients = np.zeros((len(bodies), *grid, STARTS[-1]), np.float32)
        readers = [LevelReader(self._tables_for(coefficients), part) for part in bodies]

        def code(group, prediction, scale, blocks):
            classes = _flat(scale_classes(scale))
            found = [reader.read(group, row) for reader, row in zip(readers, classes, strict=True)]
            residuals = np.stack([marks(*levels) for levels in found]).reshape(scale.shape)
            known = ExactMath.at(prediction, blocks) + residuals
            coefficients[..., STARTS[group] : STARTS[group + 1]] += ExactMath.spread(known, blocks)
            return ExactMath.spread(residuals, blocks)

        code_groups(self._network, _step_map(log_steps(indices), coefficients), code, ExactMath)
        for reader in readers:
            reader.finish()
        return coefficients


def _batches(n, height, width):
    """Slices of as many pictures as are coded at once."""
    count = max(1, BATCH // (height * width))
    return [slice(start, start + count) for start in range(0, n, count)]


def _samples(part):
    """How many coefficients a part of pictures uint8 [1, h, w, 3] has."""
    return 3 * BLOCK**2 * math.prod(block_grid(*part.shape[1:3]))


def _step_map(log_steps, like):
    eighths = np.rint(8 * log_steps).astype(np.float32) / 8
    return np.broadcast_to(eighths[:, None, None, None], (*like.shape[:3], 1))


def _flat(x):
    return x.reshape(len(x), -1)


def _symbol_bits(size):
    """How many bits of symbols fit `size` bytes."""
    return 8 * (size - HEAD - STATE)


def _head(index, turn):
    return int(index).to_bytes(2, "big") + int(turn).to_bytes(1, "big")


def _split(code, count):
    """The codes of each of `count` tiles."""
    start = LENGTH * (count - 1)
    lengths = [int.from_bytes(code[i : i + LENGTH], "big") for i in range(0, start, LENGTH)]
    ends = [*itertools.accumulate(lengths, initial=start), max(len(code), start)]
    if ends[-2] > len(code):
        raise _no_code(code)
    return [code[start:end] for start, end in itertools.pairwise(ends)]


def _open(code):
    """Index and turn in the code of a tile."""
    index, turn = int.from_bytes(code[:2], "big"), int.from_bytes(code[2:HEAD], "big")
    if len(code) < HEAD + STATE or index >= STEPS or turn >= TURNS:
        raise _no_code(code)
    return index, turn


def _no_code(code):
    return PayloadError(f"No such codec wrote the image's data: {len(code)} bytes are no code.")


def _check_room(enough, sides, size):
    if not enough:
        raise ValueError(
            f"A picture of {sides[1]}×{sides[0]} pixels does not fit {size} bytes: "
            "scale it down, or choose a larger cover, or a higher rate where there is one."
        )


def _check_enough(bodies, bits):
    """That they can hold so many bits: else nothing ends a huge picture early."""
    for part in bodies:
        if bits > 8 * len(part):
            raise PayloadError(
                f"No such codec wrote the image's data: {len(part)} bytes end before their picture."
            )
