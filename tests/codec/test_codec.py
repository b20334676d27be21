import numpy as np
import pytest
from constriction import stream

from steglib import load_images, load_model
from steglib.codec import codec as codec_module
from steglib.codec.codec import (
    ESCAPE,
    LIMIT,
    NARROW,
    STEPS,
    TILE,
    Codec,
    block_basis,
    expected_counts,
    from_blocks,
    log_steps,
    symbol_tables,
    symbols,
    to_blocks,
)
from steglib.codec.networks import build_restorer
from steglib.evaluation import metrics

PHOTOS = load_images("sample", "val").images[::3]
SIZES = [(8, 8), (8, 9), (9, 31), (17, 16), (10, 13), (8, 50), (24, 40)]
DEFECTS = {
    "black": np.zeros((24, 20, 3), np.uint8),
    "white": np.full((24, 20, 3), 255, np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8),
    "contrast": np.random.default_rng(0).choice(np.uint8([0, 255]), (24, 20, 3)),
    "checks": np.kron(np.indices((3, 5, 1)).sum(0) % 2, np.full((8, 4, 3), 255)).astype(np.uint8),
}


@pytest.fixture(scope="module")
def codec():
    return load_model("residue").codec


def photo(height, width):
    """Photographs side by side, cut."""
    rows = [np.concatenate(PHOTOS[i : i + 10], 1) for i in range(0, 20, 10)]
    return np.concatenate(rows)[:height, :width][None]


def read(codec, codes, height, width):
    """What a decoder knows before any float."""
    indices, coders = zip(*map(codec_module._open, codes), strict=True)
    rows, columns = codec_module._blocks(height, width)
    return codec._read(coders, np.array(indices), rows, columns), np.array(indices)


def step_of(code):
    return int.from_bytes(code[:2], "big")


@pytest.mark.parametrize("height, width", SIZES)
def test_all_coefficients_come_back(codec, height, width):
    pictures = np.concatenate([photo(height, width), photo(height, 600)[:, :, -width:]])
    for size in (40, height * width // 2 + 20, 10**6):
        codes = codec.encode(pictures, size)
        assert all(len(code) <= size for code in codes)
        values, indices = read(codec, codes, height, width)
        coefficients = to_blocks(pictures) @ codec.basis.T
        steps = 2.0 ** log_steps(indices)[:, None, None, None]
        assert np.array_equal(values, np.rint(coefficients / steps))
        assert codec.decode(codes, height, width).shape == pictures.shape
    assert metrics.psnr(pictures, codec.decode(codes, height, width)).min() > 45


@pytest.mark.parametrize("picture", DEFECTS.values(), ids=DEFECTS)
def test_pictures_that_are_no_photographs(codec, picture):
    for index in (0, 700, 1800, STEPS - 1):
        (code,) = codec._write(picture[None], [index])
        values, _ = read(codec, [code], *picture.shape[:2])
        wanted = np.rint(to_blocks(picture[None]) @ codec.basis.T / 2 ** log_steps(index))
        assert np.array_equal(values, wanted)
        bits = 8 * len(code) - 16
        assert -1 <= bits - codec._bits(picture[None], np.array([index]))[0] <= 65
    (code,) = codec.encode(picture[None], 5000)
    assert metrics.psnr(picture[None], codec.decode([code], *picture.shape[:2]))[0] > 40


def test_residuals_of_all_widths(codec):
    """Each of 129 levels, with residuals far out; the length is as estimated."""
    random = np.random.default_rng(0)
    levels = np.repeat(np.arange(129), 60).astype(np.uint8)
    random.shuffle(levels)
    scales = 2.0 ** (levels / 8.0 - 5)
    residuals = np.rint(random.logistic(size=len(levels)) * scales).astype(np.int32)
    residuals[::37] = random.integers(-32000, 32000, len(residuals[::37]))
    coder = stream.queue.RangeEncoder()
    codec._put(coder, residuals, levels)
    tables, shifts = symbol_tables(levels)
    found = symbols(residuals, shifts)
    assert (found == ESCAPE).sum() > 100
    assert tables.min() == 0 and tables.max() == NARROW - 1 and shifts.max() == 10
    bits = (codec.costs[tables, found] + shifts).sum()
    assert -1 <= 32 * coder.num_words() - bits <= 65 + 0.001 * bits
    decoder = stream.queue.RangeDecoder(coder.get_compressed())
    assert np.array_equal(codec._get(decoder, levels), residuals)


def test_tables():
    levels = np.arange(129, dtype=np.uint8)
    tables, shifts = symbol_tables(levels)
    assert np.array_equal(tables + 8 * shifts, levels)
    assert tables.max() < NARROW and (tables[shifts > 0] >= NARROW - 8).all()
    for level in levels.tolist():  # one by one as all at once, whatever NumPy does about uint8
        assert symbol_tables(level) == (tables[level], shifts[level])
    assert symbols(np.int32([-61, -60, 0, 60, 61]), 0).tolist() == [ESCAPE, 0, LIMIT, 120, ESCAPE]
    counts = expected_counts()
    assert counts.shape == (NARROW, ESCAPE + 1) and counts.min() >= 1
    assert np.array_equal(counts[:, :LIMIT], counts[:, LIMIT + 1 : ESCAPE][:, ::-1])
    assert counts.sum(1) == pytest.approx(2**16, rel=0.003)
    middle = np.sum(counts[:, 50:71], 1) / 2**16
    scales = 2 ** ((np.arange(NARROW) + 0.5) / 8 - 5)
    assert middle == pytest.approx(np.tanh(10.5 / scales / 2), abs=0.005)  # within 10.5 of zero
    assert counts[0, LIMIT] > 65300


@pytest.mark.parametrize("size", [1000, 3777])
def test_a_code_fills_its_room(codec, size):
    """By about the finest step that fits: ten finer ones do not."""
    codes = codec.encode(PHOTOS, size)
    lengths, steps = np.array([[len(code), step_of(code)] for code in codes]).T
    assert lengths.max() <= size and lengths[steps > 0].min() >= size - 20
    finer = codec._write(PHOTOS, np.maximum(steps - 10, 0))
    assert np.mean([len(code) > size for code in finer]) > 0.8
    assert codec.encode(PHOTOS[3:4], size) == codes[3:4]


def test_a_step_depends_on_no_other_picture(codec, monkeypatch):
    """Rates that fall steeply, slowly, late or by leaps: found soon, and in a batch as alone."""
    indices = np.arange(STEPS)
    rates = 1e6 + np.stack(
        [
            -350.0 * indices,
            -40.0 * indices,
            -3.0 * np.maximum(indices - 2000, 0) ** 2,
            -1e5 * (indices // 300),
        ]
    )
    calls = []

    def bits(_, pictures, indices):
        calls.append(1)
        return rates[pictures[:, 0, 0, 0], indices]

    monkeypatch.setattr(Codec, "_bits", bits)
    pictures = np.zeros((4, 256, 256, 3), np.uint8) + np.uint8([0, 1, 2, 3])[:, None, None, None]
    for size in range(113_000, 125_000, 700):
        calls.clear()
        found = codec._finest_steps(pictures, size)
        assert len(calls) < 30
        assert (rates[range(4), found] <= 8 * size).all()
        assert (rates[range(4), np.maximum(found - 3, 0)] > 8 * size - 500)[:2].all()
        alone = [codec._finest_steps(picture[None], size)[0] for picture in pictures]
        assert found.tolist() == alone


def test_the_estimate_of_a_length_is_right(codec):
    indices = np.linspace(0, 2300, len(PHOTOS)).astype(int)
    lengths = [8 * len(code) - 16 for code in codec._write(PHOTOS, indices)]
    spare = lengths - codec._bits(PHOTOS, indices)
    assert spare.min() > -1 and spare.max() <= 65 and spare.mean() < 34


def test_more_bytes_show_more(codec):
    psnr = [
        metrics.psnr(PHOTOS[:6], codec.decode(codec.encode(PHOTOS[:6], size), 64, 64))
        for size in (200, 700, 2000, 5000)
    ]
    assert (np.diff(psnr, axis=0) > 1).all()
    assert psnr[0].min() > 18 and psnr[-1].min() > 38


@pytest.mark.parametrize("size", [-1, 0, 1, 2, 5, 14])
def test_too_little_room_is_refused_soon(codec, size, monkeypatch):
    calls, bits = [], Codec._bits
    monkeypatch.setattr(Codec, "_bits", lambda *a: calls.append(1) or bits(*a))
    with pytest.raises(ValueError, match=f"64×64 pixels does not fit {size} bytes"):
        codec.encode(PHOTOS[:1], size)
    assert len(calls) < 30


def test_a_step_is_found_soon(codec, monkeypatch):
    calls, bits = [], Codec._bits
    monkeypatch.setattr(Codec, "_bits", lambda *a: calls.append(1) or bits(*a))
    for height, width in SIZES:
        for size in (60, 354):
            calls.clear()
            codec.encode(photo(height, width), size)
            assert len(calls) < 30


def test_a_code_that_is_longer_than_estimated_is_made_shorter(codec, monkeypatch):
    bits = Codec._bits
    monkeypatch.setattr(Codec, "_bits", lambda *a: bits(*a) - 200)
    codes = codec.encode(PHOTOS[:3], 1000)
    assert all(960 < len(code) <= 1000 for code in codes)
    monkeypatch.setattr(Codec, "_bits", lambda *a: 0 * bits(*a))
    monkeypatch.setattr(codec_module, "STEPS", 8)
    with pytest.raises(ValueError, match="does not fit"):
        codec.encode(PHOTOS[:3], 30)


def test_tiles_are_coded_one_by_one(codec):
    """Down to a rest of one row or column."""
    assert TILE == 512  # a part of the format
    for picture in (photo(8, 520), photo(8, 513), photo(8, 513).swapaxes(1, 2)):
        height, width = picture.shape[1:3]
        whole = codec.decode(codec._write(picture, [900]), height, width)
        rest = slice(TILE * (height > TILE), None), slice(TILE * (width > TILE), None)
        for tile in ((slice(TILE), slice(TILE)), rest):
            part = picture[:, *tile]
            alone = codec.decode(codec._write(part, [900]), *part.shape[1:3])
            assert np.abs(alone.astype(int) - whole[:, *tile]).max() <= 1


def test_many_pictures_are_coded_in_parts(codec, monkeypatch):
    wanted = codec.encode(PHOTOS[:5], 800)
    monkeypatch.setattr(codec_module, "AT_ONCE", 2 * 64 * 64)
    assert codec.encode(PHOTOS[:5], 800) == wanted
    assert codec.decode(wanted, 64, 64).shape == (5, 64, 64, 3)


@pytest.fixture(scope="module")
def mosaic():
    rows = [np.concatenate(list(np.roll(PHOTOS[:17], i, axis=0)), 1) for i in range(17)]
    return np.concatenate(rows)[None, :, :1031]  # 9 tiles


def test_a_large_picture_fills_its_room_in_few_passes(codec, mosaic, monkeypatch):
    passes, write = [], Codec._write
    monkeypatch.setattr(Codec, "_write", lambda *a: passes.append(1) or write(*a))
    (code,) = codec.encode(mosaic, 300_000)
    assert 0.995 * 300_000 <= len(code) <= 300_000
    assert len(passes) <= 4
    assert metrics.psnr(mosaic, codec.decode([code], *mosaic.shape[1:3]))[0] > 25


def test_threads_and_tiles_together_change_nothing(codec, mosaic, monkeypatch):
    codes = []
    for threads in (1, 2, 7):
        monkeypatch.setattr(codec_module, "THREADS", threads)
        codes += codec._write(mosaic, [800])
    assert codes[0] == codes[1] == codes[2]


@pytest.mark.parametrize("hidden", [slice(0, 100), slice(400, 500)])
def test_large_pictures_whose_sample_misleads(codec, hidden):
    """All detail lies where no sample is taken, or only there."""
    picture = np.zeros((1, 1024, 1025, 3), np.uint8)
    for top in range(0, 1024, TILE):
        for left in range(0, 1025, TILE):
            place = picture[0, top:, left:][hidden, hidden]
            place[:] = np.random.default_rng(top + left).integers(0, 256, place.shape)
    (code,) = codec.encode(picture, 40_000)
    assert 39_000 < len(code) <= 40_000


def test_large_pictures_without_a_sample_or_detail(codec):
    for picture in (photo(8, 2100), np.full((1, 600, 1025, 3), 77, np.uint8)):
        (code,) = codec.encode(picture, 40_000)
        assert len(code) <= 40_000
        shown = codec.decode([code], *picture.shape[1:3])
        assert metrics.psnr(picture, shown)[0] > 35


def test_other_bytes_end_in_an_error_or_a_picture(codec):
    random = np.random.default_rng(0)
    (code,) = codec.encode(PHOTOS[:1, :24, :40], 300)
    for garbage in (
        b"",
        b"\1",
        code[:-1],
        code + b"x",
        b"\xff\xff" + code[2:],
        b"\x0a\0" + code[2:],
    ):
        with pytest.raises(ValueError, match=f"{len(garbage)} bytes are no code"):
            codec.decode([garbage], 24, 40)
    for length in [0, 4, 8, 40, 400, 4000] * 5:
        garbage = bytes([random.integers(10), random.integers(256)]) + random.bytes(length)
        try:
            picture = codec.decode([garbage], 24, 40)
            assert picture.shape == (1, 24, 40, 3) and picture.dtype == np.uint8
        except ValueError as error:
            assert "invalid" in str(error)


def test_the_basis_is_orthonormal_and_sorted():
    basis = block_basis(PHOTOS)
    assert basis.dtype == np.float32
    assert np.allclose(basis @ basis.T, np.eye(192), atol=1e-5)
    blocks = to_blocks(PHOTOS)
    variance = np.square(blocks @ basis.T).mean((0, 1, 2))
    assert (np.diff(variance[3:]) <= 1e-3 * variance[3:-1]).all()
    assert np.abs(basis[:3].reshape(3, 64, 3).std(1)).max() < 1e-6  # means come first
    assert np.array_equal(from_blocks(blocks), PHOTOS)
    padded = from_blocks(to_blocks(PHOTOS[:, :61, :50]))
    assert padded.shape == (len(PHOTOS), 64, 56, 3)
    assert np.array_equal(padded[:, :61, :50], PHOTOS[:, :61, :50])
    assert np.array_equal(padded[:, 61:, 55], PHOTOS[:, [60] * 3, 49])


def test_the_restorer_begins_as_the_identity():
    restorer = build_restorer(width=8, hidden=8, blocks=1)
    pictures = PHOTOS[:2, :16, :24].astype(np.float32)
    assert np.array_equal(restorer([pictures, np.float32([[1], [3]])]), pictures)
