import numpy as np
import pytest

from steglib.channels.frame import PayloadError
from steglib.codec import codec as codec_module
from steglib.codec.codec import Codec
from steglib.codec.rate import STEPS, log_steps
from steglib.codec.transform import TILE, quantise
from steglib.evaluation import metrics

SIZES = [(8, 8), (8, 9), (9, 31), (17, 16), (10, 13), (8, 50), (24, 40)]
DEFECTS = {
    "black": np.zeros((24, 20, 3), np.uint8),
    "white": np.full((24, 20, 3), 255, np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8),
    "contrast": np.random.default_rng(0).choice(np.uint8([0, 255]), (24, 20, 3)),
    "checks": np.kron(np.indices((3, 5, 1)).sum(0) % 2, np.full((8, 4, 3), 255)).astype(np.uint8),
}


def step_of(code):
    return int.from_bytes(code[:2], "big")


@pytest.mark.parametrize("height, width", SIZES)
def test_all_coefficients_come_back(codec, cut, height, width):
    pictures = np.concatenate([cut(height, width), cut(height, 600)[:, :, -width:]])
    for size in (40, height * width // 2 + 20, 10**6):
        codes = codec.encode(pictures, size)
        assert all(len(code) <= size for code in codes)
        steps = log_steps([step_of(code) for code in codes])
        for code, wanted in zip(codes, quantise(pictures, codec.basis, steps), strict=True):
            assert np.array_equal(codec.quantised(code, height, width), wanted)
        assert codec.decode(codes, height, width).shape == pictures.shape
    assert metrics.psnr(pictures, codec.decode(codes, height, width)).min() > 45


@pytest.mark.parametrize("picture", DEFECTS.values(), ids=DEFECTS)
def test_pictures_that_are_no_photographs(codec, picture):
    for index in (0, 700, 1800, STEPS - 1):
        (code,) = codec._write(picture[None], [index])
        wanted = quantise(picture[None], codec.basis, log_steps([index]))
        assert np.array_equal(codec.quantised(code, *picture.shape[:2]), wanted[0])
        bits = 8 * len(code) - 16
        assert -1 <= bits - codec.count_bits(picture[None], [index])[0] <= 65
    (code,) = codec.encode(picture[None], 5000)
    assert metrics.psnr(picture[None], codec.decode([code], *picture.shape[:2]))[0] > 40


@pytest.mark.parametrize("size", [1000, 3777])
def test_a_code_fills_its_room(codec, photos, size):
    """By about the finest step that fits: ten finer ones do not."""
    codes = codec.encode(photos, size)
    lengths, steps = np.array([[len(code), step_of(code)] for code in codes]).T
    assert lengths.max() <= size and lengths[steps > 0].min() >= size - 20
    finer = codec._write(photos, np.maximum(steps - 10, 0))
    assert np.mean([len(code) > size for code in finer]) > 0.8
    assert codec.encode(photos[3:4], size) == codes[3:4]


def test_the_estimate_of_a_length_is_right(codec, photos):
    indices = np.linspace(0, 2300, len(photos)).astype(int)
    lengths = [8 * len(code) - 16 for code in codec._write(photos, indices)]
    spare = lengths - codec.count_bits(photos, indices)
    assert spare.min() > -1 and spare.max() <= 65 and spare.mean() < 34


def test_more_bytes_show_more(codec, photos):
    psnr = [
        metrics.psnr(photos[:6], codec.decode(codec.encode(photos[:6], size), 64, 64))
        for size in (200, 700, 2000, 5000)
    ]
    assert (np.diff(psnr, axis=0) > 1).all()
    assert psnr[0].min() > 18 and psnr[-1].min() > 38


@pytest.mark.parametrize("size", [-1, 0, 1, 2, 5, 14])
def test_too_little_room_is_refused_soon(codec, photos, size, monkeypatch):
    calls, bits = [], Codec.count_bits
    monkeypatch.setattr(Codec, "count_bits", lambda *a: calls.append(1) or bits(*a))
    with pytest.raises(ValueError, match=f"64×64 pixels does not fit {size} bytes"):
        codec.encode(photos[:1], size)
    assert len(calls) < 30


def test_a_step_is_found_soon(codec, cut, monkeypatch):
    calls, bits = [], Codec.count_bits
    monkeypatch.setattr(Codec, "count_bits", lambda *a: calls.append(1) or bits(*a))
    for height, width in SIZES:
        for size in (60, 354):
            calls.clear()
            codec.encode(cut(height, width), size)
            assert len(calls) < 30


def test_a_code_that_is_longer_than_estimated_is_made_shorter(codec, photos, monkeypatch):
    bits = Codec.count_bits
    monkeypatch.setattr(Codec, "count_bits", lambda *a: bits(*a) - 200)
    codes = codec.encode(photos[:3], 1000)
    assert all(960 < len(code) <= 1000 for code in codes)
    monkeypatch.setattr(Codec, "count_bits", lambda *a: 0 * bits(*a))
    monkeypatch.setattr(codec_module, "STEPS", 8)
    with pytest.raises(ValueError, match="does not fit"):
        codec.encode(photos[:3], 30)


def test_tiles_are_coded_one_by_one(codec, cut):
    """Down to a rest of one row or column."""
    for picture in (cut(8, 520), cut(8, 513), cut(8, 513).swapaxes(1, 2)):
        height, width = picture.shape[1:3]
        whole = codec.decode(codec._write(picture, [900]), height, width)
        wanted = quantise(picture, codec.basis, log_steps([900]))[0]
        assert np.array_equal(
            codec.quantised(codec._write(picture, [900])[0], height, width), wanted
        )
        rest = slice(TILE * (height > TILE), None), slice(TILE * (width > TILE), None)
        for tile in ((slice(TILE), slice(TILE)), rest):
            part = picture[:, *tile]
            alone = codec.decode(codec._write(part, [900]), *part.shape[1:3])
            assert np.abs(alone.astype(int) - whole[:, *tile]).max() <= 1


def test_many_pictures_are_coded_in_batches(codec, photos, monkeypatch):
    wanted = codec.encode(photos[:5], 800)
    monkeypatch.setattr(codec_module, "BATCH", 2 * 64 * 64)
    assert codec.encode(photos[:5], 800) == wanted
    assert codec.decode(wanted, 64, 64).shape == (5, 64, 64, 3)


@pytest.fixture(scope="module")
def mosaic(cut):
    return cut(1088, 1031)  # 9 tiles


@pytest.mark.slow
def test_a_large_picture_fills_its_room_in_few_passes(codec, mosaic, monkeypatch):
    passes, write = [], Codec._write
    monkeypatch.setattr(Codec, "_write", lambda *a: passes.append(1) or write(*a))
    (code,) = codec.encode(mosaic, 300_000)
    assert 0.995 * 300_000 <= len(code) <= 300_000
    assert len(passes) <= 4
    assert metrics.psnr(mosaic, codec.decode([code], *mosaic.shape[1:3]))[0] > 25


@pytest.mark.slow
def test_threads_and_tiles_together_change_nothing(codec, mosaic, monkeypatch):
    codes = []
    for threads in (1, 2, 7):
        monkeypatch.setattr(codec_module, "THREADS", threads)
        codes += codec._write(mosaic, [800])
    assert codes[0] == codes[1] == codes[2]


@pytest.mark.slow
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


def test_large_pictures_without_a_sample_or_detail(codec, cut):
    for picture in (cut(8, 2100), np.full((1, 600, 1025, 3), 77, np.uint8)):
        (code,) = codec.encode(picture, 40_000)
        assert len(code) <= 40_000
        shown = codec.decode([code], *picture.shape[1:3])
        assert metrics.psnr(picture, shown)[0] > 35


def test_other_bytes_end_in_an_error_or_a_picture(codec, photos):
    random = np.random.default_rng(0)
    (code,) = codec.encode(photos[:1, :24, :40], 300)
    for garbage in (
        b"",
        b"\1",
        code[:-1],
        code + b"x",
        b"\xff\xff" + code[2:],
        b"\x0a\0" + code[2:],
    ):
        with pytest.raises(PayloadError, match=f"{len(garbage)} bytes are no code"):
            codec.decode([garbage], 24, 40)
    refused = 0
    for length in [0, 4, 8, 40, 400, 4000] * 5:
        garbage = bytes([random.integers(10), random.integers(256)]) + random.bytes(length)
        try:
            picture = codec.decode([garbage], 24, 40)
            assert picture.shape == (1, 24, 40, 3) and picture.dtype == np.uint8
        except PayloadError:
            refused += 1
    assert 0 < refused < 30


def test_a_code_too_short_for_its_size_ends_soon(codec, photos, monkeypatch):
    """Not after all of a huge picture is decoded."""
    (code,) = codec.encode(photos[:1], 300)
    grids, add = [], codec_module.add_predictions
    monkeypatch.setattr(codec_module, "add_predictions", lambda *a: grids.append(a[2:4]) or add(*a))
    with pytest.raises(PayloadError, match=f"{len(code)} bytes end before"):
        codec.quantised(code, 4000, 4000)
    assert len(grids) < 2


def test_a_broken_restorer_is_not_the_fault_of_the_code(codec, photos, tmp_path):
    """Found out before anything is decoded, and only then: hiding does without."""
    codec.save(tmp_path / "mine.npz")
    (tmp_path / "mine.keras").write_bytes(b"broken")
    other = Codec.load(tmp_path / "mine.npz")
    codes = other.encode(photos[:1], 500)
    assert codes == codec.encode(photos[:1], 500)
    with pytest.raises(ValueError, match=r"mine\.keras holds no model") as caught:
        other.decode(codes, 64, 64)
    assert not isinstance(caught.value, PayloadError)


def test_a_failure_in_the_background_is_not_lost(codec, photos, monkeypatch):
    """Of the last tile's restoring too."""

    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(codec, "_restore", fail)
    with pytest.raises(MemoryError, match="no room"):
        codec.decode(codec.encode(photos[:1], 500), 64, 64)
