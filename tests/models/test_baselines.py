import io

import numpy as np
import pytest
from PIL import Image

from steglib import LSB, hide_and_reveal
from steglib.channels import residues as payload
from steglib.evaluation import metrics
from steglib.models.baselines import Codec

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


@pytest.mark.parametrize("base", [3, 5])
@pytest.mark.parametrize("format", FORMATS)
def test_codec_hides_and_reveals(format, base, pairs):
    """The floor is well below what Tiny ImageNet gets on average."""
    covers, secrets = pairs[0][:3], pairs[1][:3]
    stegos, revealed = hide_and_reveal(Codec(format, base), covers, secrets)
    assert metrics.psnr(covers, stegos) == pytest.approx(payload.expected_psnr(base), abs=0.5)
    assert metrics.psnr(secrets, revealed).min() > 36
    for stego, image in zip(stegos, revealed, strict=True):
        found = payload.extract(stego)
        picture = Image.open(io.BytesIO(found.data))
        assert picture.format == found.codec.name == format.upper()
        assert (found.base, found.size) == (base, (64, 64))
        assert np.array_equal(picture, image)
    other = Codec("jpeg", 2)  # the stego image says how it is read
    assert np.array_equal(other.reveal(stegos), revealed)


@pytest.mark.parametrize("base", [2, 4, 8])
def test_codec_takes_the_best_that_fits(base, pairs):
    """Not worse than any quality of a plain JPEG, and no larger than there is room."""
    cover, secret = pairs[0][1], pairs[1][1]
    psnrs = []
    for quality in range(1, 101):
        Image.fromarray(secret).save(file := io.BytesIO(), "JPEG", quality=quality, subsampling=0)
        if len(file.getvalue()) <= payload.capacity(cover.shape, base):
            psnrs.append(metrics.psnr(secret[None], np.asarray(Image.open(file))[None])[0])
    hider = Codec("jpeg", base)
    revealed = hider.reveal(hider.hide(cover, secret))
    assert metrics.psnr(secret[None], revealed[None])[0] >= max(psnrs)


@pytest.mark.parametrize("format", FORMATS)
def test_codec_takes_any_shape(format):
    y, x = np.mgrid[:40, :75][..., None]
    secret = (60 + x + 2 * y + [0, 10, 20]).astype(np.uint8)
    hider = Codec(format, 5)
    revealed = hider.reveal(hider.hide(np.zeros_like(secret), secret))
    assert metrics.psnr(secret[None], revealed[None])[0] > 38


def test_codec_hides_without_loss_where_that_fits(pairs):
    for format in ("webp", "jpeg2000"):
        hider = Codec(format, 16)
        assert np.array_equal(hider.reveal(hider.hide(pairs[0][0], pairs[1][0])), pairs[1][0])


def test_codec_notices_damage(pairs):
    hider = Codec("jpeg", 5)
    stego = hider.hide(pairs[0][0], pairs[1][0])
    stego[10, 20, 1] ^= 1
    with pytest.raises(payload.PayloadError, match="changed after hiding"):
        hider.reveal(stego)
    with pytest.raises(payload.PayloadError, match="hides nothing"):
        hider.reveal(pairs[0])


def test_codec_reveals_pictures_of_their_own_size_only(pairs):
    cover, hider = pairs[0][0], Codec("jpeg", 5)
    file = payload.extract(hider.hide(*(images[0] for images in pairs))).data
    for codec, size, match in (
        (payload.RAW, None, "RAW"),
        (payload.LEARNED, None, "LEARNED"),
        (payload.JPEG, (32, 128), "128×32"),
    ):
        with pytest.raises(payload.PayloadError, match=match):
            hider.reveal(payload.embed(cover, file, 5, codec, size))


@pytest.mark.parametrize("format", FORMATS)
def test_codec_needs_room(format):
    image = np.full((10, 10, 3), 99, np.uint8)
    with pytest.raises(
        ValueError, match=r"base 2: .* carries 21 bytes, .* takes \d+ at the lowest"
    ):
        Codec(format, 2).hide(image, image)


def test_codec_arguments_are_checked():
    with pytest.raises(ValueError, match="jpeg, webp, avif, jpeg2000, not 'gif'"):
        Codec("gif", 5)
    with pytest.raises(ValueError, match="base must lie in 2…16, not 17"):
        Codec("jpeg", 17)
    assert Codec("jpeg2000", 3).name == "JPEG 2000, base 3"
