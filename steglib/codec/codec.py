"""The learned codec: a photo as at most so many bytes, and back.

Blocks of 8×8 pixels become 192 coefficients each: cosines in three learned colours. These are
divided by a step and rounded; the residuals from their predictions go through a range coder
with tables that `contexts` chooses. The step is about the finest whose code fits. A network
restores what the rounding took. Only the restorer and the picture itself are computed with
floats that a machine may round its own way; the bits never are.
"""

import contextlib
import functools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from constriction import stream
from threadpoolctl import threadpool_limits

from steglib.channels.frame import Kind, PayloadError
from steglib.codec.contexts import SCALES, STARTS, Exact, exact_layers, walk
from steglib.progress import bar, without_chatter

BLOCK = 8
TILE = 512  # pixels a side: nothing crosses a tile's border, so that memory stays bounded
AT_ONCE = TILE * TILE  # so many pixels of small pictures
STEPS = 2560  # from 1/2 upwards, 256 in each octave
LEVELS = 8  # of scale in each octave, from SCALES[0] upwards
NARROW = 56  # levels with a table of their own; wider residuals lose low bits until one fits
LIMIT = 60  # residuals further from zero are escaped
ESCAPE = 2 * LIMIT + 1
HEADER = 2  # bytes: the step
SPARE = 64  # bits that need not be used
PLENTY = 1.0  # bits for each sample: with more, every picture fits
AHEAD = 128  # bits that the range decoder may hold when it has read all words
THREADS = min(4, os.cpu_count() or 1)  # each works on a tile in some 100 MB
FEW_TILES = 4  # of a picture with more, the step is sought on a sample,
SAMPLE = 128  # squares of so many pixels a side,
UNUSED = 1 / 200  # of its room may then stay unused


def log_steps(indices) -> np.ndarray:
    """log2 of the steps with these indices, in grey levels of an orthonormal transform."""
    return np.asarray(indices) / 256 - 1


def block_basis(images) -> np.ndarray:
    """The transform, float32 [192, 192]: its rows are orthonormal blocks [8, 8, 3].

    Cosines in both directions, times the principal components of the colour differences between
    neighbours; the three means first, then by falling variance.

    Args:
        images: uint8 [n, h, w, 3].
    """
    cosines = np.cos((2 * np.arange(BLOCK) + 1) * np.arange(BLOCK)[:, None] * np.pi / 16) / 2
    cosines[0] /= np.sqrt(2)
    differences = np.diff(images.astype(np.float32), axis=2).reshape(-1, 3)
    colours = np.linalg.eigh(differences.T @ differences)[1].T[::-1]
    colours = colours * np.sign(colours[:, 1:2])
    basis = np.einsum("ui,vj,cd->uvcijd", cosines, cosines, colours).reshape(192, 192)
    variance = np.square(to_blocks(images) @ basis.T).mean((0, 1, 2))
    variance[:3] = np.inf
    return basis[np.argsort(-variance, kind="stable")].astype(np.float32)


def to_blocks(pictures) -> np.ndarray:
    """uint8 [n, h, w, 3] → float32 [n, rows, columns, 192], grey levels around 0.

    Sides that are no multiple of 8 are filled up with their last row or column.
    """
    n, h, w, _ = pictures.shape
    padded = np.pad(pictures, ((0, 0), (0, -h % BLOCK), (0, -w % BLOCK), (0, 0)), mode="edge")
    rows, columns = _blocks(h, w)
    split = padded.reshape(n, rows, BLOCK, columns, BLOCK, 3).swapaxes(2, 3)
    return split.reshape(n, rows, columns, -1).astype(np.float32) - 128


def from_blocks(blocks) -> np.ndarray:
    """The inverse of `to_blocks`, float32 [n, 8 rows, 8 columns, 3], neither rounded nor cut."""
    n, rows, columns, _ = blocks.shape
    split = (blocks + 128).reshape(n, rows, columns, BLOCK, BLOCK, 3).swapaxes(2, 3)
    return split.reshape(n, rows * BLOCK, columns * BLOCK, 3)


def expected_counts(total: int = 2**16) -> np.ndarray:
    """How a logistic distribution of each level's scale shares out `total` symbols, [56, 122]."""
    scales = 2.0 ** (SCALES[0] + (np.arange(NARROW)[:, None] + 0.5) / LEVELS)
    edges = np.arange(-LIMIT - 0.5, LIMIT + 1) / scales
    inside = np.diff(1 / (1 + np.exp(-np.clip(edges, -500, 500))))
    escaped = np.maximum(1 - inside.sum(1, keepdims=True), 0)
    return np.maximum(np.rint(total * np.concatenate([inside, escaped], 1)), 1).astype(np.int32)


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
        basis: float32 [192, 192], from `block_basis`.
        weights: from `contexts.exact_weights`.
        counts: int [56, 122], how often a residual is each symbol, at each level of scale.
        restorer: Keras model from `codec_networks.build_restorer`, the file of one, or None to
            do without.
    """

    kind = Kind.LEARNED
    min_side = BLOCK

    def __init__(self, basis, weights, counts, restorer=None):
        self.basis, self.weights, self.counts, self._restorer = basis, weights, counts, restorer
        self.network = exact_layers(weights)
        chances = counts / counts.sum(1, keepdims=True)
        rows = symbol_tables(np.arange(LEVELS * 16 + 1, dtype=np.uint8))[0]
        self.tables = [stream.model.Categorical(chances[row], perfect=False) for row in rows]
        self.costs = -np.log2(chances)
        self.costs[:, ESCAPE] += 16
        self.least = 0.9 * STARTS[-1] * self.costs.min()  # bits of a block; the coder rounds

    @functools.cached_property
    def restorer(self):
        """The network that restores, or None. Loaded only now: hiding does without Keras."""
        if not isinstance(self._restorer, Path):
            return self._restorer
        with reading(self._restorer), without_chatter():
            import keras

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
        path = Path(path)
        restorer = path.with_suffix(".keras")
        with np.load(path) as arrays:
            weights = {
                name.removeprefix("context/"): arrays[name]
                for name in arrays.files
                if name.startswith("context/")
            }
            return cls(
                arrays["basis"],
                weights,
                arrays["counts"],
                restorer if restorer.is_file() else None,
            )

    def encode(self, pictures, size: int) -> list[bytes]:
        """Each picture as the best code of at most `size` bytes.

        Args:
            pictures: uint8 [n, h, w, 3].

        Raises:
            ValueError: not even the coarsest code is so short.
        """
        sides = pictures.shape[1:3]
        if self.least * math.prod(_blocks(*sides)) > 8 * size:  # no need to try
            _check_fits(np.array([STEPS]), pictures, size)
        if _is_large(*sides):
            return [self._encode_large(picture, size) for picture in pictures]
        parts = _parts(len(pictures), *sides)
        return [code for part in parts for code in self._encode_some(pictures[part], size)]

    def fits(self, picture, size: int) -> bool:
        """Whether a picture uint8 [h, w, 3] has a code of at most `size` bytes.

        Of a large one, only some parts are looked at.
        """
        if 8 * size > PLENTY * picture.size:
            return True
        part = _sample(picture) if _is_large(*picture.shape[:2]) else picture[None]
        (coarsest,) = self._write(part, np.array([STEPS - 1]))
        return len(coarsest) <= size * part.size / picture.size

    def decode(self, codes: list[bytes], height: int, width: int) -> np.ndarray:
        """The pictures, uint8 [n, height, width, 3].

        Args:
            codes: from `encode`, of pictures of one size.

        Raises:
            PayloadError: other bytes, where that is seen at all.
        """
        _ = self.restorer  # is loaded here: its errors are its file's
        try:
            return self._decode(codes, height, width)
        except (ValueError, AssertionError) as error:  # the range decoder raises the latter
            raise PayloadError(f"No such codec wrote the image's data: {error}") from error

    def _decode(self, codes, height, width):
        pictures = np.empty((len(codes), height, width, 3), np.uint8)
        tiles = list(_tiles(height, width))
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(1) as restoring:
            for part in _parts(*pictures.shape[:3]):
                indices, coders = zip(*(_open(code) for code in codes[part]), strict=True)
                indices, waiting, left = np.array(indices), None, math.prod(_blocks(height, width))
                for tile in bar(tiles, "decoding"):
                    self._check_enough(codes[part], coders, left)
                    place = pictures[part, *tile]
                    left -= math.prod(_blocks(*place.shape[1:3]))
                    values = self._read(coders, indices, *_blocks(*place.shape[1:3]))
                    if waiting:
                        waiting.result()
                    waiting = restoring.submit(self._restore, values, indices, place)
                waiting.result()
        return pictures

    def residuals(self, pictures, indices):
        """Quantises pictures with steps of these indices, tile by tile and group by group.

        Yields:
            Residuals, int32 [n, k], and their levels of scale, uint8 [n, k].
        """
        quantise = functools.partial(self._quantise, pictures, indices)
        tiles = list(_tiles(*pictures.shape[1:3]))
        batches = [tiles[start : start + THREADS] for start in range(0, len(tiles), THREADS)]
        # NumPy's own threads would only wait for each other.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as pool:
            for batch in bar(batches, "coding"):
                for found in pool.map(quantise, batch):
                    yield from found

    def _quantise(self, pictures, indices, tile):
        steps = 2.0 ** log_steps(indices)[:, None, None, None]
        coefficients = np.rint(to_blocks(pictures[:, *tile]) @ self.basis.T / steps)
        found = []

        def code(group, prediction, scale, where):
            residuals = coefficients[..., STARTS[group] : STARTS[group + 1]] - prediction
            found.append((_flat(residuals, where).astype(np.int32), _flat(_levels(scale), where)))
            return residuals

        walk(self.network, _step_map(indices, coefficients.shape), code, Exact)
        return found

    def _encode_some(self, pictures, size):
        indices = self._finest_steps(pictures, size)
        codes = self._write(pictures, indices)
        for i in range(len(codes)):
            while len(codes[i]) > size:  # the estimate lacked a word
                indices[i] += 1
                _check_fits(indices[i : i + 1], pictures, size)
                codes[i] = self._write(pictures[i : i + 1], indices[i : i + 1])[0]
        return codes

    def _encode_large(self, picture, size):
        """As `_encode_some`, but begins with what a part of each tile needs: few passes remain."""
        sample, codes = _sample(picture), {}
        share, budget = sample.size / picture.size, 8 * size

        def sample_bits(_, index):
            return self._bits(sample, index)

        def code_bits(_, index):
            (codes[int(index[0])],) = self._write(picture[None], index)
            return np.array([8 * len(codes[int(index[0])])])

        guess = self._search(sample_bits, budget * share, *_typical(1, budget, picture.size))
        guess = np.minimum(guess, STEPS - 17)
        slope = (sample_bits(0, guess + 16) - sample_bits(0, guess)) / 16 / share
        slope = np.minimum(slope, -picture.size / 2560)
        index = self._search(code_bits, budget, guess, slope, budget * UNUSED)
        _check_fits(index, picture[None], size)
        return codes[int(index[0])]

    def _finest_steps(self, pictures, size):
        """Index of about the finest step for each picture that fits."""
        samples = STARTS[-1] * math.prod(_blocks(*pictures.shape[1:3]))
        begin = _typical(len(pictures), _budget(size), samples)
        indices = self._search(
            lambda which, indices: self._bits(pictures[which], indices), _budget(size), *begin
        )
        _check_fits(indices, pictures, size)
        return indices

    @staticmethod
    def _search(bits, budget, guess, slope, spare_enough=SPARE):
        """The index of about the finest step with which each picture needs at most `budget` bits.

        The secant method with a bracket.

        Args:
            bits: function of which pictures and their indices → how many bits they need.
            guess, slope: for each picture, an index to begin with, and bits for an index.
            spare_enough: no finer step is sought where no more than so many bits are left.

        Returns:
            int [n]; `STEPS` where even the coarsest needs more.
        """
        n = len(guess)
        fails, fits = np.full(n, -1), np.full(n, STEPS)
        before, spares, good_enough = np.full(n, np.nan), np.zeros(n), np.zeros(n, bool)
        for attempt in range(40):
            open_ = np.flatnonzero((fits - fails > 1) & ~good_enough)
            if not open_.size:
                break
            low, high = fails[open_] + 1, fits[open_] - 1
            index = guess[open_] if attempt < 8 else (low + high) / 2
            index = np.clip(index, low, high).astype(int)
            spare = budget - bits(open_, index)
            fits[open_] = np.where(spare >= 0, index, fits[open_])
            fails[open_] = np.where(spare < 0, index, fails[open_])
            good_enough[open_] = (spare >= 0) & (spare <= np.maximum(spare_enough, -slope[open_]))
            moved = index - before[open_]
            with np.errstate(all="ignore"):
                secant = -(spare - spares[open_]) / moved
            usable = np.isfinite(secant) & (secant < slope[open_] / 4) & (secant > slope[open_] * 4)
            slope[open_] = np.where(usable, secant, slope[open_])
            before[open_], spares[open_] = index, spare
            guess[open_] = np.ceil(index + (spare - spare_enough / 3) / slope[open_])
        return fits

    def _bits(self, pictures, indices):
        """Length of each picture's code, exact but for the coder's last word."""
        bits = np.zeros(len(pictures))
        for residuals, levels in self.residuals(pictures, indices):
            tables, shifts = symbol_tables(levels)
            costs = self.costs[tables, symbols(residuals, shifts)] + shifts
            bits += costs.sum(1)
        return bits

    def _write(self, pictures, indices):
        coders = [stream.queue.RangeEncoder() for _ in pictures]
        for residuals, levels in self.residuals(pictures, indices):
            for picture in zip(coders, residuals, levels, strict=True):
                self._put(*picture)
        return [
            int(index).to_bytes(HEADER, "big") + coder.get_compressed().astype("<u4").tobytes()
            for index, coder in zip(indices, coders, strict=True)
        ]

    def _read(self, coders, indices, rows, columns):
        values = np.zeros((len(coders), rows, columns, STARTS[-1]), np.float32)

        def code(group, prediction, scale, where):
            levels = _flat(_levels(scale), where)
            found = [self._get(*picture) for picture in zip(coders, levels, strict=True)]
            residuals = np.zeros(scale.shape)
            place = slice(None) if where is None else where
            residuals[:, place] = np.reshape(found, residuals[:, place].shape)
            known = values[..., STARTS[group] : STARTS[group + 1]]
            known[:, place] = (prediction + residuals)[:, place]
            return residuals

        walk(self.network, _step_map(indices, values.shape), code, Exact)
        return values

    def _check_enough(self, codes, coders, blocks):
        """That the codes can hold so many more blocks: else nothing ends a huge picture early."""
        for code, coder in zip(codes, coders, strict=True):
            if self.least * blocks > (AHEAD if coder.maybe_exhausted() else 8 * len(code)):
                raise ValueError(f"These {len(code)} bytes end before their picture does.")

    def _restore(self, values, indices, place):
        log_step = log_steps(indices).astype(np.float32)[:, None]
        pictures = from_blocks(values * 2.0 ** log_step[:, None, None] @ self.basis)
        if self.restorer is not None:
            pictures = np.asarray(self.restorer([pictures, log_step]))
        place[:] = np.clip(np.rint(pictures), 0, 255)[:, : place.shape[1], : place.shape[2]]

    def _put(self, coder, residuals, levels):
        """All residuals of one level share a table: one call; then what the tables left out."""
        order = np.argsort(levels, kind="stable")
        residuals, levels = residuals[order], levels[order]
        _, shifts = symbol_tables(levels)
        found = symbols(residuals, shifts)
        for level, run in _runs(levels):
            coder.encode(found[run], self.tables[level])
        shifted = residuals + (1 << shifts >> 1)
        if (escaped := found == ESCAPE).any():
            coder.encode((shifted >> shifts)[escaped] + 2**15, stream.model.Uniform(2**16))
        for _, run in _runs(levels, NARROW):
            low = 1 << int(shifts[run.start])
            coder.encode(shifted[run] & (low - 1), stream.model.Uniform(low))

    def _get(self, coder, levels):
        order = np.argsort(levels, kind="stable")
        levels = levels[order]
        _, shifts = symbol_tables(levels)
        found = np.empty(len(levels), np.int32)
        for level, run in _runs(levels):
            found[run] = coder.decode(self.tables[level], run.stop - run.start)
        shifted = found - LIMIT
        if (escaped := found == ESCAPE).any():
            wide = coder.decode(stream.model.Uniform(2**16), int(escaped.sum()))
            shifted[escaped] = wide - 2**15
        shifted <<= shifts
        for _, run in _runs(levels, NARROW):
            low = 1 << int(shifts[run.start])
            shifted[run] += coder.decode(stream.model.Uniform(low), run.stop - run.start)
        residuals = np.empty_like(shifted)
        residuals[order] = shifted - (1 << shifts >> 1)
        return residuals


def _blocks(height, width):
    return -(-height // BLOCK), -(-width // BLOCK)


def _tiles(height, width):
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield slice(top, top + TILE), slice(left, left + TILE)


def _is_large(height, width):
    return len(list(_tiles(height, width))) > FEW_TILES and min(height, width) >= SAMPLE


def _sample(picture):
    """A square from each tile that is so large, as one picture uint8 [1, h, TILE, 3]."""
    squares = [picture[tile][-SAMPLE:, -SAMPLE:] for tile in _tiles(*picture.shape[:2])]
    squares = [square for square in squares if square.shape[:2] == (SAMPLE, SAMPLE)]
    columns = TILE // SAMPLE
    rows = -(-len(squares) // columns)
    filled = np.resize(squares, (rows, columns, SAMPLE, SAMPLE, 3))  # the last row with the first
    return filled.swapaxes(1, 2).reshape(1, rows * SAMPLE, TILE, 3)


def _typical(n, budget, samples):
    """Index and slope to begin a search with, for n pictures with so many bits for the samples."""
    return np.full(n, 256 * (5.7 - 1.45 * budget / samples)), np.full(n, -samples * 0.65 / 256)


def _budget(size):
    """How many bits of symbols fit `size` bytes: the coder writes words, and ends with some."""
    bits = 32 * ((size - HEADER) // 4)
    return bits - min(48, bits // 8)


def _parts(n, height, width):
    """Slices of as many pictures as are coded at once."""
    count = max(1, AT_ONCE // (height * width))
    return [slice(start, start + count) for start in range(0, n, count)]


def _check_fits(indices, pictures, size):
    if (indices >= STEPS).any():
        h, w = pictures.shape[1:3]
        raise ValueError(
            f"A picture of {w}×{h} pixels does not fit {size} bytes: "
            "scale it down, or choose a larger cover or base."
        )


def _open(code):
    index = int.from_bytes(code[:HEADER], "big")
    if len(code) < HEADER or len(code) % 4 != HEADER or index >= STEPS:
        raise ValueError(f"These {len(code)} bytes are no code of a picture.")
    words = np.frombuffer(code[HEADER:], "<u4").astype(np.uint32)
    return index, stream.queue.RangeDecoder(words)


def _step_map(indices, shape):
    return np.broadcast_to(log_steps(indices)[:, None, None, None], (*shape[:3], 1))


def _flat(x, where):
    return x.reshape(len(x), -1) if where is None else x[:, where].reshape(len(x), -1)


def _levels(scale):
    return ((scale - SCALES[0]) * LEVELS).astype(np.uint8)


def symbol_tables(levels):
    """For levels uint8: the row of the table, and how many low bits a residual loses before."""
    levels = np.int32(levels)  # uint8 would wrap
    shifts = np.maximum(levels - (NARROW - LEVELS), 0) // LEVELS
    return levels - LEVELS * shifts, shifts


def symbols(residuals, shifts):
    """The column of the table for residuals int32, int32 0…121."""
    high = (residuals + (1 << shifts >> 1)) >> shifts
    return np.where(np.abs(high) <= LIMIT, high + LIMIT, ESCAPE).astype(np.int32)


def _runs(levels, lowest=0):
    """Each level from `lowest` up that occurs, and where it stands in the sorted levels."""
    counts = np.bincount(levels)
    ends = counts.cumsum()
    for level in (np.flatnonzero(counts[lowest:]) + lowest).tolist():
        yield level, slice(int(ends[level] - counts[level]), int(ends[level]))
