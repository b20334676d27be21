import io

import numpy as np
import pytest
from PIL import Image

from steglib import LSB, hide_and_reveal
from steglib.channels.frame import Kind, PayloadError
from steglib.channels.residues import ResidueChannel, expected_psnr
from steglib.evaluation import metrics
from steglib.models import baselines
from steglib.models.baselines import PictureFile
from steglib.models.coded import CodedHider
from steglib.research.photographs import collage

FORMATS = ["jpeg", "webp", "avif", "jpeg2000"]


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_lsb_keeps_the_high_bits_of_both(bits, pairs):
    covers, secrets = pairs
    hider = LSB(bits)
    stegos = hider.hide(covers, secrets)
    assert np.array_equal(stegos >> bits, covers >> bits)
    revealed = hider.reveal(stegos)
    assert np.array_equal(revealed >> (8 - bits), secrets >> (8 - bits))
    assert np.abs(revealed.astype(int) - secrets).max() <= 2 ** (7 - bits)


def test_lsb_reveals_the_midpoint():
    """The mean error is least there: for 4 bits and uniform secrets, an RMSE of 4.64."""
    secret = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    revealed = LSB(4).reveal(LSB(4).hide(np.zeros_like(secret), secret))
    assert metrics.rmse(secret[None], revealed[None])[0] == pytest.approx(np.sqrt(21.5), rel=1e-6)


def test_lsb_bits_are_checked():
    for bits in (0, 5, 2.5):
        with pytest.raises(ValueError, match="bits"):
            LSB(bits)


def picture_hider(format, base):
    return CodedHider(PictureFile(format), ResidueChannel(base))


@pytest.mark.parametrize("base", [3, 5])
@pytest.mark.parametrize("format", FORMATS)
def test_picture_files_in_residues(format, base, pairs):
    """The floor is well below what Tiny ImageNet gets on average."""
    covers, secrets = pairs[0][:3], pairs[1][:3]
    stegos, revealed = hide_and_reveal(picture_hider(format, base), covers, secrets)
    assert (metrics.psnr(covers, stegos) > expected_psnr(base) - 0.5).all()
    assert metrics.psnr(secrets, revealed).min() > 36
    for stego, image in zip(stegos, revealed, strict=True):
        payload = ResidueChannel().read(stego)
        picture = Image.open(io.BytesIO(payload.data))
        assert picture.format == payload.kind.name == format.upper()
        assert np.array_equal(picture, image)
    other = picture_hider(format, 2)  # the stego image says how it is read
    assert np.array_equal(other.reveal(stegos), revealed)
    for other_format in set(FORMATS) - {format}:
        assert np.array_equal(picture_hider(other_format, base).reveal(stegos), revealed)


@pytest.mark.parametrize("size", [1000, 3000, 6000])
def test_the_best_file_that_fits_is_taken(size, pairs):
    """Not worse than any quality of a plain JPEG."""
    secret, codec, psnrs = pairs[1][1], PictureFile("jpeg"), []
    for quality in range(1, 101):
        Image.fromarray(secret).save(file := io.BytesIO(), "JPEG", quality=quality, subsampling=0)
        if len(file.getvalue()) <= size:
            psnrs.append(metrics.psnr(secret[None], np.asarray(Image.open(file))[None])[0])
    decoded = codec.decode(codec.encode(secret[None], size), 64, 64)
    assert metrics.psnr(secret[None], decoded)[0] >= max(psnrs)


@pytest.mark.parametrize("format", FORMATS)
def test_few_files_of_a_large_picture_are_tried(format, monkeypatch):
    """And yet one is found that errs hardly more than the best of a whole search."""
    picture, codec, saved = collage((128, 2100)), PictureFile(format), []

    def save(picture, options):
        saved.append(picture.shape)
        return PictureFile._save(codec, picture, options)

    monkeypatch.setattr(codec, "_save", save)
    size = picture.size // 24  # 1 bit for a pixel
    ((code, error),) = codec.encode_measured(picture[None], size)
    assert len(code) <= size and saved.count(picture.shape) <= 3 * len(codec._options)
    monkeypatch.setattr(baselines, "is_large", lambda height, width: False)
    ((_, least),) = codec.encode_measured(picture[None], size)
    assert error < 1.1 * least
    monkeypatch.undo()
    with pytest.raises(ValueError, match="2100×128 pixels does not fit 50 bytes"):
        codec.encode(picture[None], 50)


@pytest.mark.parametrize("format", FORMATS)
def test_the_shortest_good_enough_file_is_taken(format, pairs):
    """Of about all options; and none is worse than that."""
    pictures, codec = pairs[1][:3], PictureFile(format)
    for enough in (30, 36, 42):
        coded = codec.encode_measured(pictures, 30_000, enough)
        codes, errors = [code for code, _ in coded], [error for _, error in coded]
        assert np.array_equal(metrics.mse(pictures, codec.decode(codes, 64, 64)), errors)
        psnr = metrics.psnr(pictures, codec.decode(codes, 64, 64))
        assert psnr.min() >= enough
        assert (
            psnr.max() < enough + 2.5 or format == "webp"
        )  # without loss, it may be shorter still
        assert codec.encode(pictures, 30_000, enough) == codes
    codes = [codec.encode(pictures, 30_000, enough) for enough in (30, 36, 42, None)]
    lengths = np.array([[len(code) for code in some] for some in codes])
    assert (np.diff(lengths, axis=0) >= 0).all() and (lengths[0] < 0.9 * lengths[-1]).all()


def test_what_is_not_good_enough_is_as_good_as_it_can_be(pairs):
    codec = PictureFile("jpeg")
    assert codec.encode(pairs[1], 1500, 48) == codec.encode(pairs[1], 1500)


@pytest.mark.parametrize("format", ["webp", "jpeg2000"])
def test_without_loss_where_that_fits(format, pairs):
    codec = PictureFile(format)
    assert np.array_equal(codec.decode(codec.encode(pairs[1][:1], 20_000), 64, 64), pairs[1][:1])


@pytest.mark.parametrize("format", FORMATS)
def test_files_of_another_size_are_refused(format, pairs):
    """Before they are decoded: one that says it is huge needs little room."""
    codec = PictureFile(format)
    codes = codec.encode(pairs[1][:1], 4000)
    for size in ((32, 128), (63, 64)):
        with pytest.raises(PayloadError, match=f"hides no {codec.name} file of the secret's size"):
            codec.decode(codes, *size)


def test_damaged_files_are_refused(pairs):
    codec = PictureFile("jpeg")
    (code,) = codec.encode(pairs[1][:1], 4000)
    with pytest.raises(PayloadError, match="a damaged JPEG file"):
        codec.decode([code[:-500]], 64, 64)
    with pytest.raises(PayloadError, match="a damaged WebP file"):
        PictureFile("webp").decode([code], 64, 64)


def test_formats_are_checked():
    with pytest.raises(ValueError, match="jpeg, webp, avif, jpeg2000, jxl, not 'gif'"):
        PictureFile("gif")
    assert picture_hider("jpeg2000", 3).name == "JPEG 2000, base 3"
    assert PictureFile("avif").kind == Kind.AVIF
