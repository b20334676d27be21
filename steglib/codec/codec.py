"""The learned codec: a photo as at most so many bytes, and back.

Blocks of 8×8 pixels become 192 coefficients each: cosines in three learned colours. These are
divided by a step and rounded; the residuals from their predictions go through a range coder
with tables that `contexts` chooses. The step is about the finest whose code fits. A network
restores what the rounding took. Only the restorer and the picture itself are computed with
floats that a machine may round its own way; the bits never are.

A code is the index of the step (uint16, big-endian) and the range coder's words.
"""

import contextlib
import functools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from steglib.channels.frame import Kind, PayloadError
from steglib.codec.contexts import STARTS, add_predictions, exact_layers, subtract_predictions
from steglib.codec.entropy import ResidualReader, ResidualWriter, SymbolTables, scale_classes
from steglib.codec.rate import (
    STEPS,
    StepSearch,
    finest_steps,
    is_large,
    log_steps,
    sample_squares,
    sampled_start,
    typical_start,
)
from steglib.codec.transform import BLOCK, TILE, block_grid, dequantise, quantise, tiles
from steglib.progress import bar, without_chatter

STEP_BYTES = 2  # of a code: the index of its step
BATCH = TILE * TILE  # pixels of small pictures that are coded at once
PLENTY = 1.0  # bits for each sample: with more, every picture fits
AHEAD = 128  # bits that the range decoder may hold when it has read all words
UNUSED = 1 / 200  # of its room may stay unused by a large picture
THREADS = min(4, os.cpu_count() or 1)  # each works on a tile in some 100 MB


@contextlib.contextmanager
def reading(path):
    """Makes one ValueError of all that may go wrong with a model's file."""
    try:
        yield
    except Exception as error:  # of any kind: zip, HDF5, JSON, a missing layer
        raise ValueError(f"{path} holds no model that can be loaded.") from error


class Codec:
    """Photos as at most so many bytes, and back.

    Args:
        basis: float32 [192, 192], from `transform.block_basis`.
        weights: from `networks.exact_weights`.
        counts: int [56, 122], how often a residual is each symbol, in each scale class.
        restorer: Keras model from `networks.build_restorer`, the file of one, or None.
    """

    kind = Kind.LEARNED
    least_bits = 1.0  # for a pixel; with fewer, a picture scaled down and up again looks better
    min_side = BLOCK

    def __init__(self, basis, weights, counts, restorer=None):
        self.basis, self.weights, self.counts, self._restorer = basis, weights, counts, restorer
        self._network, self._tables = exact_layers(weights), SymbolTables(counts)
        self._least_bits = 0.9 * STARTS[-1] * self._tables.costs.min()  # a block; the coder rounds

    @functools.cached_property
    def restorer(self):
        """The network that restores, or None. Loaded only now: hiding does without Keras."""
        if not isinstance(self._restorer, Path):
            return self._restorer
        with without_chatter():
            import keras

        with reading(self._restorer), without_chatter():
            return keras.saving.load_model(self._restorer, compile=False)

    def count_parameters(self) -> int:
        """Of the context network, the transform and the restorer."""
        sizes = [array.size for array in (*self.weights.values(), self.basis)]
        return sum(sizes) + (self.restorer.count_params() if self.restorer is not None else 0)

    def save(self, path: Path) -> None:
        """Writes `path` (.npz) and, beside it, the restorer (.keras)."""
        path = Path(path)
        arrays = {f"context/{name}": array for name, array in self.weights.items()}
        np.savez_compressed(path, basis=self.basis, counts=self.counts, **arrays)
        if self.restorer is not None:
            self.restorer.save(path.with_suffix(".keras"))

    @classmethod
    def load(cls, path: Path) -> "Codec":
        """What `save` wrote."""
        restorer = Path(path).with_suffix(".keras")
        with np.load(path) as file:
            arrays = dict(file)
        basis, counts = arrays.pop("basis"), arrays.pop("counts")
        weights = {name.removeprefix("context/"): array for name, array in arrays.items()}
        return cls(basis, weights, counts, restorer if restorer.is_file() else None)

    def encode(self, pictures, size: int) -> list[bytes]:
        """Each picture as the best code of at most `size` bytes.

        Args:
            pictures: uint8 [n, h, w, 3].

        Raises:
            ValueError: not even the coarsest code is so short.
        """
        sides = pictures.shape[1:3]
        _check_room(self._least_bits * math.prod(block_grid(*sides)) <= 8 * size, sides, size)
        if is_large(*sides):
            return [self._encode_large(picture, size) for picture in pictures]
        batches = _batches(len(pictures), *sides)
        return [code for batch in batches for code in self._encode_batch(pictures[batch], size)]

    def fits(self, picture, size: int) -> bool:
        """Whether uint8 [h, w, 3] has a code of at most `size` bytes, a large one by a sample."""
        if 8 * size > PLENTY * picture.size:
            return True
        part = sample_squares(picture) if is_large(*picture.shape[:2]) else picture[None]
        (coarsest,) = self._write(part, [STEPS - 1])
        return len(coarsest) <= size * part.size / picture.size

    def decode(self, codes: list[bytes], height: int, width: int) -> np.ndarray:
        """The pictures, uint8 [n, height, width, 3].

        Args:
            codes: from `encode`, of pictures of one size.

        Raises:
            PayloadError: other bytes, where that is seen at all.
            ValueError: the restorer's file is damaged.
        """
        _ = self.restorer  # loaded here, in no thread
        pictures = np.empty((len(codes), height, width, 3), np.uint8)
        with threadpool_limits(1, "blas"), _in_background(self._restore) as restore:
            for batch in _batches(*pictures.shape[:3]):
                indices = _step_indices(codes[batch])
                for tile, values in self._read(codes[batch], height, width):
                    restore(values, indices, pictures[batch, *tile])
        return pictures

    def quantised(self, code: bytes, height: int, width: int) -> np.ndarray:
        """The coefficients in a code, in steps: all that a decoder knows before any float.

        Returns:
            int32 [rows, columns, 192] for the picture's blocks of 8×8 pixels.

        Raises:
            PayloadError: as `decode`.
        """
        whole = np.empty((*block_grid(height, width), STARTS[-1]), np.int32)
        for (vertical, horizontal), values in self._read([code], height, width):
            rows, columns = values.shape[1:3]
            top, left = vertical.start // BLOCK, horizontal.start // BLOCK
            whole[top : top + rows, left : left + columns] = values[0]
        return whole

    def residuals(self, pictures, indices):
        """Quantises pictures with steps of these indices, tile by tile and group by group.

        Yields:
            Residuals, int32 [n, k], and their scale classes, uint8 [n, k].
        """
        tile_residuals = functools.partial(self._tile_residuals, pictures, indices)
        all_tiles = tiles(*pictures.shape[1:3])
        batches = [all_tiles[i : i + THREADS] for i in range(0, len(all_tiles), THREADS)]
        # NumPy's own threads would only wait for each other.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as pool:
            for batch in bar(batches, "coding"):
                for groups in pool.map(tile_residuals, batch):
                    yield from groups

    def count_bits(self, pictures, indices) -> np.ndarray:
        """Length of each picture's code with the step of its index, but for the last word."""
        bits = np.zeros(len(pictures))
        for residuals, classes in self.residuals(pictures, indices):
            bits += self._tables.bits(residuals, classes)
        return bits

    def _tile_residuals(self, pictures, indices, tile):
        """What `residuals` yields for one tile."""
        steps = log_steps(indices)
        coefficients = quantise(pictures[:, *tile], self.basis, steps)
        groups = subtract_predictions(self._network, coefficients, steps)
        return [(residuals, scale_classes(scales)) for residuals, scales in groups]

    def _encode_batch(self, pictures, size):
        n, *sides, _ = pictures.shape
        budget, samples = _symbol_bits(size), STARTS[-1] * math.prod(block_grid(*sides))
        indices = finest_steps(self.count_bits, pictures, budget, typical_start(n, budget, samples))
        _check_room((indices < STEPS).all(), sides, size)
        codes = self._write(pictures, indices)
        for i in range(n):
            while len(codes[i]) > size:  # the estimate lacked a word
                indices[i] += 1
                _check_room(indices[i] < STEPS, sides, size)
                (codes[i],) = self._write(pictures[i : i + 1], indices[i : i + 1])
        return codes

    def _encode_large(self, picture, size):
        """As `_encode_batch`, but writes a code in each pass: few follow from a good start."""
        start, best = sampled_start(self.count_bits, picture, 8 * size), None
        search = StepSearch(8 * size, *start, spare=8 * size * UNUSED)
        while search.open.size:
            indices = search.propose()
            (code,) = self._write(picture[None], indices)
            search.record(indices, 8 * len(code))
            if len(code) <= size:
                best = code  # each that fits is finer than those before
        _check_room(best is not None, picture.shape[:2], size)
        return best

    def _write(self, pictures, indices):
        """The code of each picture with the step of its index."""
        writers = [ResidualWriter(self._tables) for _ in pictures]
        for group in self.residuals(pictures, indices):
            for writer, residuals, classes in zip(writers, *group, strict=True):
                writer.write(residuals, classes)
        return [
            int(index).to_bytes(STEP_BYTES, "big") + writer.to_bytes()
            for index, writer in zip(indices, writers, strict=True)
        ]

    def _read(self, codes, height, width):
        """Yields each tile and its coefficients in steps, float32 [n, rows, columns, 192]."""
        steps = log_steps(_step_indices(codes))
        readers = [ResidualReader(self._tables, code[STEP_BYTES:]) for code in codes]

        def read(scales):
            classes = scale_classes(scales)
            return [reader.read(row) for reader, row in zip(readers, classes, strict=True)]

        blocks_left = math.prod(block_grid(height, width))
        for vertical, horizontal in bar(tiles(height, width), "decoding"):
            _check_enough(codes, readers, self._least_bits * blocks_left)
            grid = block_grid(vertical.stop - vertical.start, horizontal.stop - horizontal.start)
            yield (vertical, horizontal), add_predictions(self._network, steps, *grid, read)
            blocks_left -= math.prod(grid)

    def _restore(self, values, indices, place):
        """Fills `place`, uint8 [n, h, w, 3], with the pictures that coefficients in steps show."""
        steps = log_steps(indices).astype(np.float32)
        pictures = dequantise(values, self.basis, steps)
        if self.restorer is not None:
            pictures = np.asarray(self.restorer([pictures, steps[:, None]]))
        place[:] = np.clip(np.rint(pictures), 0, 255)[:, : place.shape[1], : place.shape[2]]


@contextlib.contextmanager
def _in_background(work):
    """Gives a function that calls `work` in a thread, when that has done what it had to do.

    So one call runs beside what the caller does next, and no more than one waits in memory.
    """
    with ThreadPoolExecutor(1) as thread:
        calls = []

        def submit(*arguments):
            if calls:
                calls.pop().result()
            calls.append(thread.submit(work, *arguments))

        yield submit
        if calls:
            calls.pop().result()


def _batches(n, height, width):
    """Slices of as many pictures as are coded at once."""
    count = max(1, BATCH // (height * width))
    return [slice(start, start + count) for start in range(0, n, count)]


def _symbol_bits(size):
    """How many bits of symbols fit `size` bytes: the coder writes words, and ends with some."""
    bits = 32 * ((size - STEP_BYTES) // 4)
    return bits - min(48, bits // 8)


def _step_indices(codes):
    """The index of the step in each code, int [n]."""
    indices = [int.from_bytes(code[:STEP_BYTES], "big") for code in codes]
    for code, index in zip(codes, indices, strict=True):
        if len(code) < STEP_BYTES or len(code) % 4 != STEP_BYTES or index >= STEPS:
            raise PayloadError(
                f"No such codec wrote the image's data: {len(code)} bytes are no code."
            )
    return np.array(indices)


def _check_room(enough, sides, size):
    if not enough:
        raise ValueError(
            f"A picture of {sides[1]}×{sides[0]} pixels does not fit {size} bytes: "
            "scale it down, or choose a larger cover or, for residues, a larger base."
        )


def _check_enough(codes, readers, bits):
    """That the codes can hold so many more bits: else nothing ends a huge picture early."""
    for code, reader in zip(codes, readers, strict=True):
        if bits > (AHEAD if reader.exhausted else 8 * len(code)):
            raise PayloadError(
                f"No such codec wrote the image's data: {len(code)} bytes end before their picture."
            )
