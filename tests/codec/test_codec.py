import itertools

import numpy as np
import pytest

from steglib import workers
from steglib.channels.frame import PayloadError
from steglib.codec import codec as codec_module
from steglib.codec.codec import Codec
from steglib.codec.contexts import STARTS, ExactMath, code_groups, exact_layers
from steglib.codec.entropy import expected_counts, scale_classes
from steglib.codec.levels import marks
from steglib.codec.rate import STEPS, log_steps
from steglib.codec.transform import TILE, block_grid, tiles, to_coefficients, turned
from steglib.evaluation import metrics

HEAD = 3  # bytes before a tile's words
SIZES = [(8, 8), (8, 9), (9, 31), (17, 16), (10, 13), (8, 50), (24, 40)]
DEFECTS = {
    "black": np.zeros((24, 20, 3), np.uint8),
    "white": np.full((24, 20, 3), 255, np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8),
    "contrast": np.random.default_rng(0).choice(np.uint8([0, 255]), (24, 20, 3)),
    "checks": np.kron(np.indices((3, 5, 1)).sum(0) % 2, np.full((8, 4, 3), 255)).astype(np.uint8),
}


def head_of(code):
    """Index of the step, and turn of the colours."""
    return int.from_bytes(code[:2], "big"), code[2]


def tile_codes(code, height, width):
    """The codes of a picture's tiles."""
    count = len(tiles(height, width))
    lengths = [int.from_bytes(code[4 * i : 4 * i + 4], "big") for i in range(count - 1)]
    ends = [*itertools.accumulate(lengths, initial=4 * (count - 1)), len(code)]
    return [code[start:end] for start, end in itertools.pairwise(ends)]


def write(codec, pictures, index):
    """The code of each picture, of one tile, with a step."""
    turns = codec._turns(pictures)
    bodies, _ = codec._write(codec._coefficients(pictures, turns), [index] * len(pictures))
    head = int(index).to_bytes(2, "big")
    return [head + bytes([turn]) + body for turn, body in zip(turns, bodies, strict=True)]


def chosen(codec, picture, index):
    """The coefficients in quarters of a step that an encoder chose for a picture of one tile."""
    grid, groups = block_grid(*picture.shape[:2]), codec.levels(picture[None], [index])
    values = np.zeros((*grid, STARTS[-1]))

    def code(group, prediction, scale, blocks):
        coded = next(groups)
        assert np.array_equal(coded.classes, scale_classes(scale).reshape(1, -1))
        residuals = marks(coded.levels, coded.between).reshape(scale.shape)
        spread = ExactMath.spread(residuals, blocks)
        part = values[..., STARTS[group] : STARTS[group + 1]]
        part[blocks] = (prediction + spread)[0, blocks]
        return spread

    step = np.full((1, *grid, 1), np.rint(8 * log_steps(index)) / 8, np.float32)
    code_groups(exact_layers(codec.weights), step, code, ExactMath)
    assert next(groups, None) is None
    return 4 * values


def assert_is_chosen(codec, code, picture):
    """That the coefficients in a code are those that were chosen, and about the picture's own."""
    index, turn = head_of(code)
    found = codec.quantised(code, *picture.shape[:2])
    assert found.dtype == np.int32
    assert np.array_equal(found, chosen(codec, picture, index))
    own = to_coefficients(picture[None], turned(codec.colours, [turn]))[0][..., codec.order]
    away = np.abs(found / 4 - own / 2 ** log_steps(index))
    assert away[..., : STARTS[1]].max() < 0.501  # the means are the nearest
    assert away.max() < 2.001 and (away > 0.501).mean() < 0.2


@pytest.mark.parametrize("height, width", SIZES)
def test_all_coefficients_come_back(codec, cut, height, width):
    pictures = np.concatenate([cut(height, width), cut(height, 600)[:, :, -width:]])
    for size in (40, height * width // 2 + 20, 10**6):
        codes = codec.encode(pictures, size)
        assert all(len(code) <= size for code in codes)
        for code, picture in zip(codes, pictures, strict=True):
            assert_is_chosen(codec, code, picture)
        assert codec.decode(codes, height, width).shape == pictures.shape
    assert metrics.psnr(pictures, codec.decode(codes, height, width)).min() > 45


@pytest.mark.parametrize("picture", DEFECTS.values(), ids=DEFECTS)
def test_pictures_that_are_no_photographs(codec, picture):
    for index in (0, 700, 1800, STEPS - 1):
        (code,) = write(codec, picture[None], index)
        assert_is_chosen(codec, code, picture)
    (code,) = codec.encode(picture[None], 5000)
    assert metrics.psnr(picture[None], codec.decode([code], *picture.shape[:2]))[0] > 40


def test_codes_say_step_and_turn(codec, photos):
    """Where the colours turn as suits the picture, it takes fewer bits than as they were."""
    codes = codec.encode(photos, 1000)
    heads = np.array([head_of(code) for code in codes])
    assert heads[:, 1].tolist() == codec._turns(photos).tolist() and np.ptp(heads[:, 1]) > 0
    bits = [
        codec._count_bits(codec._coefficients(photos, turns), [600] * len(photos)).sum()
        for turns in (heads[:, 1], 0 * heads[:, 1])
    ]
    assert bits[0] < bits[1]


def test_thrift_shows_more_with_as_many_bytes(codec, photos):
    """And is no matter of the decoder; without, errors are the least there are."""
    plain = Codec(codec.colours, codec.order, codec.weights, codec.counts, thrift=0)
    psnr = []
    for one in (plain, codec):
        codes = one.encode(photos, 1000)
        psnr.append(metrics.psnr(photos, codec.decode(codes, 64, 64)).mean())
    assert psnr[0] + 0.05 < psnr[1]
    index, turn = head_of(write(plain, photos[:1], 600)[0])
    own = to_coefficients(photos[:1], turned(codec.colours, [turn]))[0][..., codec.order]
    errors = []
    for one in (plain, codec):
        (found,) = [one.quantised(code, 64, 64) for code in write(one, photos[:1], 600)]
        errors.append(np.square(found / 4 - own / 2 ** log_steps(index)).mean())
    assert errors[0] < 1 / 12 and errors[0] < errors[1]


@pytest.mark.parametrize("sides, table", [((128, 128), 0), ((128, 136), 1)])
def test_small_and_large_pictures_have_tables_of_their_own(codec, cut, sides, table):
    counts = np.stack([expected_counts()] * 2)
    counts[table] = codec.counts[table]
    other = Codec(codec.colours, codec.order, codec.weights, counts)
    picture = cut(*sides)
    codes = codec.encode(picture, 5000)
    assert other.encode(picture, 5000) == codes
    counts[table], counts[1 - table] = counts[1 - table], codec.counts[1 - table]
    other = Codec(codec.colours, codec.order, codec.weights, counts)
    assert other.encode(picture, 5000) != codes


@pytest.mark.parametrize("size", [1000, 3777])
def test_a_code_fills_its_room(codec, photos, size):
    """By about the finest step that fits: ten finer ones hardly do.

    A finer step needs more bits, but for some chance: each level depends on those before it.
    """
    codes = codec.encode(photos, size)
    lengths, steps = np.array([[len(code), head_of(code)[0]] for code in codes]).T
    assert lengths.max() <= size and lengths[steps > 0].min() >= 0.96 * size
    assert lengths.mean() >= 0.99 * size
    finer = [
        write(codec, photo[None], max(step - 10, 0))[0]
        for photo, step in zip(photos, steps, strict=True)
    ]
    assert np.mean([len(code) > size for code in finer]) > 0.8
    assert codec.encode(photos[3:4], size) == codes[3:4]


def test_the_estimate_of_a_length_is_right(codec, photos):
    """But for the coder's number, and what the least of costs are rounded by."""
    indices = np.linspace(0, 2300, len(photos)).astype(int)
    coefficients = codec._coefficients(photos, codec._turns(photos))
    lengths = [8 * len(body) for body in codec._write(coefficients, indices)[0]]
    spare = lengths - codec._count_bits(coefficients, indices)
    assert spare.min() > 0 and spare.max() <= 50 and spare.mean() < 34


def test_more_bytes_show_more(codec, photos):
    psnr = [
        metrics.psnr(photos[:6], codec.decode(codec.encode(photos[:6], size), 64, 64))
        for size in (200, 700, 2000, 5000)
    ]
    assert (np.diff(psnr, axis=0) > 1).all()
    assert psnr[0].min() > 18 and psnr[-1].min() > 38


PLENTY = 10**6  # bytes


def psnrs(codec, pictures, codes):
    return metrics.psnr(pictures, codec.decode(codes, *pictures.shape[1:3]))


@pytest.mark.parametrize("enough, more", [(33, 1), (40, 1), (45, 0.9), (50, 0.3), (52, 0.4)])
def test_as_good_as_asked_for(codec, photos, enough, more):
    """But hardly better, so that a code is no longer than that takes; best at 50 dB."""
    codes = codec.encode(photos[:12], PLENTY, enough)
    found = psnrs(codec, photos[:12], codes)
    assert enough - 0.3 < found.min() and found.max() < enough + more
    assert codes == [codec.encode(photo[None], PLENTY, enough)[0] for photo in photos[:12]]
    whole = codec.encode(photos[:12], 9000)
    assert all(len(code) < len(other) for code, other in zip(codes, whole, strict=True))


@pytest.mark.parametrize("height, width, enough", [(8, 520, 45), (30, 1030, 35), (520, 530, 40)])
def test_tiles_as_good_as_asked_for(codec, cut, height, width, enough):
    picture = cut(height, width)
    (code,) = codec.encode(picture, PLENTY, enough)
    assert psnrs(codec, picture, [code])[0] == pytest.approx(enough, abs=0.3)
    assert len({head_of(part)[0] for part in tile_codes(code, height, width)}) == 1


@pytest.mark.parametrize("size", [1000, 3777])
def test_what_would_be_enough_does_not_fit(codec, photos, size):
    """Then it makes no difference; nor is a code longer than without."""
    assert codec.encode(photos[:6], size, 70) == codec.encode(photos[:6], size)
    enough = {1000: 36, 3777: 50}[size]
    some, all_ = codec.encode(photos, size, enough), codec.encode(photos, size)
    lengths = np.array([[len(code) for code in codes] for codes in (some, all_)])
    assert lengths.max() <= size and (lengths[0] <= 1.01 * lengths[1]).all()
    short, found = lengths[0] < 0.95 * lengths[1], psnrs(codec, photos, some)
    assert found[short].min() > enough - 0.3 and found.max() < enough + 2
    assert 0 < short.sum() < len(photos)


def test_pictures_that_need_little_to_be_good(codec):
    """Flat ones, and noise: nothing fails where errors are 0, or the step is the coarsest."""
    for picture in DEFECTS.values():
        for enough in (1, 20, 40, 58, 59, 99):
            ((code, error),) = codec.encode_measured(picture[None], PLENTY, enough)
            found = psnrs(codec, picture[None], [code])[0]
            assert found > min(enough, 52) - 1 and error > 0


@pytest.mark.parametrize("size", [700, 2000, 6000])
def test_errors_are_measured(codec, photos, size):
    coded = codec.encode_measured(photos, size)
    assert [code for code, _ in coded] == codec.encode(photos, size)
    told = 10 * np.log10(255**2 / np.array([error for _, error in coded]))
    found = psnrs(codec, photos, [code for code, _ in coded])
    assert np.abs(told - found)[found < 53].max() < 0.3 and (found < 53).any()


@pytest.mark.parametrize("height, width, size", [(30, 1030, 9000), (520, 530, 60_000)])
def test_errors_of_tiles_are_measured(codec, cut, height, width, size):
    picture = cut(height, width)
    for enough in (None, 34):
        ((code, error),) = codec.encode_measured(picture, size, enough)
        told = 10 * np.log10(255**2 / error)
        assert told == pytest.approx(psnrs(codec, picture, [code])[0], abs=0.3)


def count_calls(monkeypatch, name):
    """A list that gets longer with each call of a method of `Codec`."""
    calls, method = [], getattr(Codec, name)
    monkeypatch.setattr(Codec, name, lambda *a: calls.append(a) or method(*a))
    return calls


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [-1, 0, 1, 2, 5, 6, 14])
def test_too_little_room_is_refused_soon(codec, cut, size, monkeypatch):
    calls = count_calls(monkeypatch, "_levels")
    for height, width in ((64, 64), (8, 520), (8, 2100), (300, 2100)):
        with pytest.raises(ValueError, match=f"{width}×{height} pixels does not fit {size} bytes"):
            codec.encode(cut(height, width), size)
        assert not codec.fits(cut(height, width)[0], size)
    assert len(calls) < 60


@pytest.mark.filterwarnings("error")
def test_the_smallest_picture_takes_some_bytes(codec):
    """What is said to fit does; at most a byte less is enough, too."""
    picture, shortest = np.zeros((1, 8, 8, 3), np.uint8), []
    for size in range(-1, 14):
        try:
            (code,) = codec.encode(picture, size)
        except ValueError as error:
            assert "does not fit" in str(error) and not codec.fits(picture[0], size)
        else:
            assert 3 < len(code) <= size
            shortest.append(size)
    assert not codec.fits(picture[0], 4) and codec.fits(picture[0], min(shortest) + 1)


def test_a_step_is_found_soon(codec, cut, monkeypatch):
    calls = count_calls(monkeypatch, "_write")
    for height, width in SIZES:
        for size in (60, 354):
            calls.clear()
            codec.encode(cut(height, width), size)
            assert len(calls) < 30


@pytest.mark.parametrize("height, width", [(8, 520), (8, 513), (513, 8), (520, 530)])
def test_tiles_are_coded_one_by_one(codec, cut, height, width):
    """Down to a rest of one row or column; behind the lengths of all but the last."""
    picture, size = cut(height, width), height * width // 6
    (code,) = codec.encode(picture, size)
    assert len(code) <= size
    whole, values = codec.decode([code], height, width), codec.quantised(code, height, width)
    parts = tile_codes(code, height, width)
    assert len({head_of(part)[0] for part in parts}) == 1  # of few tiles, all have one step
    for part, tile in zip(parts, tiles(height, width), strict=True):
        alone = picture[:, *tile]
        assert part == write(codec, alone, head_of(part)[0])[0]
        assert_is_chosen(codec, part, alone[0])
        sides = alone.shape[1:3]
        shown = codec.decode([part], *sides)
        assert np.abs(shown.astype(int) - whole[:, *tile]).max() <= 1
        rows, columns = (slice(side.start // 8, -(-side.stop // 8)) for side in tile)
        assert np.array_equal(codec.quantised(part, *sides), values[rows, columns])


@pytest.mark.parametrize("sides, size", [((64, 64), 800), ((20, 520), 1700)])
def test_pictures_are_coded_as_if_alone(codec, photos, cut, sides, size, monkeypatch):
    """Whatever the size of a batch."""
    wide = np.stack([np.roll(cut(*sides)[0], 100 * i, axis=1) for i in range(3)])
    pictures = photos[:5] if sides == (64, 64) else wide
    wanted = codec.encode(pictures, size)
    assert wanted == [codec.encode(picture[None], size)[0] for picture in pictures]
    shown = codec.decode(wanted, *sides)
    for i, code in enumerate(wanted):
        alone = codec.decode([code], *sides)[0]
        assert np.abs(alone.astype(int) - shown[i]).max() <= 1
    monkeypatch.setattr(codec_module, "BATCH", 2 * 64 * 64)
    assert codec.encode(pictures, size) == wanted
    assert np.abs(codec.decode(wanted, *sides).astype(int) - shown).max() <= 1


def test_threads_change_nothing(codec, photos, cut, monkeypatch):
    """Neither batches of small pictures nor tiles."""
    monkeypatch.setattr(codec_module, "BATCH", 2 * 64 * 64)
    some = (photos[:7], 900, None), (photos[:7], 9000, 40), (cut(520, 1031), 60_000, None)
    for pictures, size, enough in (*some, (cut(520, 600), 200_000, 35)):
        found = []
        for threads in (1, 2, 4):
            monkeypatch.setattr(workers, "THREADS", threads)
            codes = codec.encode_measured(pictures, size, enough)
            shown = codec.decode([code for code, _ in codes], *pictures.shape[1:3])
            found.append((codes, shown))
        for codes, shown in found[1:]:
            assert codes == found[0][0] and np.array_equal(shown, found[0][1])


@pytest.fixture(scope="module")
def mosaic(cut):
    return cut(1088, 1031)  # 9 tiles


@pytest.mark.slow
@pytest.mark.parametrize("size", [60_000, 300_000])
def test_a_large_picture_fills_its_room_in_few_passes(codec, mosaic, size, monkeypatch):
    calls = count_calls(monkeypatch, "_levels")
    (code,) = codec.encode(mosaic, size)
    assert 0.997 * size <= len(code) <= size
    assert sum(coefficients.size for _, coefficients, _ in calls) < 3 * mosaic.size
    assert metrics.psnr(mosaic, codec.decode([code], *mosaic.shape[1:3]))[0] > 22
    assert codec.fits(mosaic[0], size) and not codec.fits(mosaic[0], 2000)


@pytest.mark.slow
@pytest.mark.parametrize("enough", [None, 30])
def test_threads_change_nothing_in_a_large_picture(codec, mosaic, enough, monkeypatch):
    codes = []
    for threads in (1, 2, 4):
        monkeypatch.setattr(workers, "THREADS", threads)
        codes += codec.encode_measured(mosaic, 200_000, enough)
    assert codes[0] == codes[1] == codes[2]


@pytest.mark.slow
@pytest.mark.parametrize("enough, more", [(33, 1.5), (40, 1.2), (50, 0.4)])
def test_a_large_picture_about_as_good_as_asked_for(codec, mosaic, enough, more):
    """Though only a sample of it tells the step."""
    ((code, error),) = codec.encode_measured(mosaic, 3_000_000, enough)
    found = psnrs(codec, mosaic, [code])[0]
    assert enough - 0.4 < found < enough + more and len(code) < 2_900_000
    assert 10 * np.log10(255**2 / error) == pytest.approx(found, abs=0.3)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("hidden", [slice(0, 100), slice(400, 500)])
def test_large_pictures_whose_sample_misleads(codec, hidden):
    """All detail lies where no sample is taken, or only there."""
    picture = np.zeros((1, 1024, 1025, 3), np.uint8)
    for top in range(0, 1024, TILE):
        for left in range(0, 1025, TILE):
            place = picture[0, top:, left:][hidden, hidden]
            place[:] = np.random.default_rng(top + left).integers(0, 256, place.shape)
    (code,) = codec.encode(picture, 40_000)
    assert 36_000 < len(code) <= 40_000


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noisy, size", [((0, 1), 30_000), ((0, 1), 1_000_000), ((7, 8), 30_000)])
def test_large_pictures_whose_tiles_have_little_in_common(codec, noisy, size):
    """What the first of them take leaves enough for the last, or all is tried again."""
    picture = np.full((1, 1100, 1100, 3), 99, np.uint8)
    for number in noisy:
        place = picture[0, *tiles(1100, 1100)[number]]
        place[:] = np.random.default_rng(number).integers(0, 256, place.shape)
    (code,) = codec.encode(picture, size)
    assert len(code) <= size
    assert codec.quantised(code, 1100, 1100).shape == (138, 138, 192)


@pytest.mark.filterwarnings("error")
def test_large_pictures_without_a_sample_or_detail(codec, cut):
    for picture in (cut(8, 2100), np.full((1, 600, 1025, 3), 77, np.uint8)):
        (code,) = codec.encode(picture, 40_000)
        assert len(code) <= 40_000
        shown = codec.decode([code], *picture.shape[1:3])
        assert metrics.psnr(picture, shown)[0] > 35


def test_the_shortest_of_codes_is_read(codec):
    """Where all that is left has the most probable table, and nothing is left."""
    certain = {}
    for name, array in codec.weights.items():
        wanted = -5 * 2**8 if "scale" in name and name.endswith("bias") else 0
        certain[name] = np.full_like(array, wanted)
    other = Codec(codec.colours, codec.order, certain, np.stack([expected_counts()] * 2))
    for sides in ((512, 512), (512, 513)):
        picture = np.full((1, *sides, 3), 128, np.uint8)
        (code,) = other.encode(picture, 5000)
        assert 8 * len(code) < 0.6 * np.prod(block_grid(*sides))
        assert np.array_equal(other.decode([code], *sides), picture)


def test_other_bytes_end_in_an_error(codec, photos):
    random = np.random.default_rng(0)
    (code,) = codec.encode(photos[:1, :24, :40], 300)
    for garbage in (
        b"",
        b"\1",
        code[:2],
        code[:6],
        b"\xff\xff" + code[2:],
        b"\x0a\0" + code[2:],  # index 2560
        code[:2] + b"\x20" + code[3:],  # turn 32
    ):
        with pytest.raises(PayloadError, match=f"{len(garbage)} bytes are no code"):
            codec.decode([garbage], 24, 40)
    for garbage in (code[:-1], code + b"x", code[:-1] + bytes([code[-1] ^ 1])):
        with pytest.raises(PayloadError, match="No such codec wrote"):
            codec.decode([garbage], 24, 40)
    for length in [0, 4, 8, 40, 400, 4000] * 5:
        head = [random.integers(10), random.integers(256), random.integers(32)]
        with pytest.raises(PayloadError):
            codec.decode([bytes(head) + random.bytes(length)], 24, 40)


def test_lengths_of_tiles_that_cannot_be_are_refused(codec, cut):
    (code,) = codec.encode(cut(16, 1030), 3000)
    first = int.from_bytes(code[:4], "big")
    for garbage in (
        b"",
        code[:7],
        b"\xff\xff\xff\xff" + code[4:],
        bytes(4) + code[4:],
        (first + 1).to_bytes(4, "big") + code[4:],
        code[:-4] + code[-2:],
    ):
        with pytest.raises(PayloadError, match="No such codec wrote"):
            codec.decode([garbage], 16, 1030)


def test_a_code_too_short_for_its_size_ends_soon(codec, photos, monkeypatch):
    """Not after all of a huge picture is decoded."""
    calls = []
    monkeypatch.setattr(codec_module, "code_groups", lambda *a: calls.append(a) or code_groups(*a))
    (code,) = codec.encode(photos[:1], 120)
    calls.clear()
    with pytest.raises(PayloadError, match=f"{len(code) - HEAD} bytes end before"):
        codec.quantised(code, 500, 500)
    lengths = len(code).to_bytes(4, "big") * (len(tiles(4000, 4000)) - 1)
    for short in (code, lengths + code, lengths + code * 64):
        with pytest.raises(PayloadError, match="No such codec wrote"):
            codec.quantised(short, 4000, 4000)
    assert not calls


def test_a_failure_in_a_thread_is_not_lost(codec, photos, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    codes = codec.encode(photos[:1], 500)
    monkeypatch.setattr(codec_module, "from_coefficients", fail)
    with pytest.raises(MemoryError, match="no room"):
        codec.decode(codes, 64, 64)
    monkeypatch.setattr(codec_module, "to_coefficients", fail)
    with pytest.raises(MemoryError, match="no room"):
        codec.encode(photos[:1], 500)


def test_encoding_and_decoding_do_without_keras(run_python):
    script = """
import sys
import numpy as np
from steglib import zoo
from steglib.codec.codec import Codec
codec = Codec.load(zoo.WEIGHTS / "residue.npz")
picture = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(1, 16, 24, 3)
assert codec.decode(codec.encode(picture, 500), 16, 24).shape == picture.shape
assert not {"keras", "tensorflow", "jax", "pandas"} & set(sys.modules)
"""
    done = run_python("-c", script)
    assert done.returncode == 0, done.stderr
