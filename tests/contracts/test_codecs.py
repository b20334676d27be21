"""What every codec must do. A new one is a line in `CODECS`."""

import functools

import numpy as np
import pytest

from steglib import load_model
from steglib.channels.frame import Kind, PayloadError
from steglib.evaluation import metrics
from steglib.models.baselines import PictureFile

CODECS = {
    "learned": functools.cache(lambda: load_model("residue").codec),
    "jpeg": lambda: PictureFile("jpeg"),
    "webp": lambda: PictureFile("webp"),
    "avif": lambda: PictureFile("avif"),
    "jpeg2000": lambda: PictureFile("jpeg2000"),
}


@pytest.fixture(params=CODECS)
def codec(request):
    return CODECS[request.param]()


@pytest.mark.parametrize("height, width", [(64, 64), (41, 57)])
def test_pictures_come_back_from_as_many_bytes_as_they_may_take(codec, pairs, height, width):
    pictures = pairs[1][:2, :height, :width]
    psnrs = []
    for size in (height * width // 4, height * width):
        codes = codec.encode(pictures, size)
        assert all(isinstance(code, bytes) and len(code) <= size for code in codes)
        assert all(codec.fits(picture, size) for picture in pictures)
        decoded = codec.decode(codes, height, width)
        assert decoded.shape == pictures.shape and decoded.dtype == np.uint8
        psnrs.append(metrics.psnr(pictures, decoded).mean())
    assert psnrs[0] > 20 and psnrs[1] > psnrs[0] + 5


def test_each_picture_has_a_code_of_its_own(codec, pairs):
    pictures = pairs[1][:2]
    codes = codec.encode(pictures, 2000)
    assert codes == [codec.encode(picture[None], 2000)[0] for picture in pictures]
    assert len(set(codes)) == 2


def test_no_better_than_enough(codec, pairs):
    """Which takes fewer bytes; never more than there are, and then as good as without."""
    pictures = pairs[1][:2]
    whole, some = codec.encode(pictures, 9000), codec.encode(pictures, 9000, 36)
    assert all(len(code) < len(other) <= 9000 for code, other in zip(some, whole, strict=True))
    psnr = metrics.psnr(pictures, codec.decode(some, 64, 64))
    assert psnr.min() > 35.7 and psnr.max() < 39
    assert codec.encode(pictures, 1000, 70) == codec.encode(pictures, 1000)


def test_errors_are_told(codec, pairs):
    pictures = pairs[1][:2]
    for enough in (None, 34):
        coded = codec.encode_measured(pictures, 1500, enough)
        codes, errors = zip(*coded, strict=True)
        assert list(codes) == codec.encode(pictures, 1500, enough)
        found = metrics.mse(pictures, codec.decode(list(codes), 64, 64))
        assert np.abs(10 * np.log10(found / errors)).max() < 0.3


def test_too_few_bytes_are_refused(codec, pairs):
    picture = pairs[1][0]
    assert not codec.fits(picture, 10)
    with pytest.raises(ValueError, match="64×64 pixels does not fit 10 bytes"):
        codec.encode(picture[None], 10)
    least = next(size for size in range(10, 4000, 10) if codec.fits(picture, size))
    (code,) = codec.encode(picture[None], least + 8)  # the learned one keeps so much in reserve
    assert 10 < len(code) <= least + 8


def test_the_smallest_pictures(codec, pairs):
    side = codec.min_side
    picture = pairs[1][:1, :side, :side]
    assert codec.decode(codec.encode(picture, 2000), side, side).shape == picture.shape


def test_the_kind_is_its_own(codec):
    others = {name: make().kind for name, make in CODECS.items()}
    assert codec.kind in Kind and list(others.values()).count(codec.kind) == 1


def test_other_bytes_are_refused(codec, pairs):
    (code,) = codec.encode(pairs[1][:1], 2000)
    for other in (b"", b"\1", code[:12], b"\xff" * 42, bytes(8)):
        with pytest.raises(PayloadError):
            codec.decode([other], 64, 64)
