"""What every channel must do. A new one is a line in `CHANNELS`."""

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image

from steglib.channels.frame import Kind, Payload, PayloadError
from steglib.channels.residues import ResidueChannel

CHANNELS = {
    f"residues, base {base}, level {level}": partial(ResidueChannel, base, level=level)
    for base, level in [(2, 0), (3, 2), (5, 0), (5, 1), (5, 3), (12, 1), (16, 0)]
}
CHANNELS |= {
    f"residues, rate {rate}, level {level}": partial(ResidueChannel, rate=rate, level=level)
    for rate, level in [(0.3, 0), (1.0, 2), (1.45, 0), (2.32, 0), (2.32, 1), (2.32, 3), (4.0, 1)]
}
KEY = b"pass phrase"

pytestmark = pytest.mark.usefixtures("quick_scrypt")


@pytest.fixture(params=[None, KEY], ids=["no key", "key"])
def key(request):
    return request.param


@pytest.fixture(params=CHANNELS)
def channel(request, key):
    return CHANNELS[request.param](key=key)


def reader(channel, key=None):
    """One that knows nothing but the key."""
    return type(channel)(key=key)


def draw(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def draw_bytes(length, seed=1):
    return np.random.default_rng(seed).bytes(length)


def through_png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("shape", [(36, 30, 3), (29, 41, 3)])
def test_all_that_fits_comes_back_and_no_byte_more(channel, key, shape):
    cover, room = draw(shape), channel.capacity(shape)
    for length in (0, 1, room // 2, room - 1, room):
        data = draw_bytes(length)
        stego = channel.write(cover, data, Kind.JPEG, (3, 65535))
        assert stego.shape == shape and stego.dtype == np.uint8
        found = reader(channel, key).read(through_png(stego))
        assert found == Payload(data, Kind.JPEG, (3, 65535), found.layout)
        assert found.layout.sealed == (key is not None)
    with pytest.raises(ValueError, match=f"^{room + 1} bytes do not fit.* carries {room},"):
        channel.write(cover, bytes(room + 1))


def test_nothing_fits_a_tiny_cover(channel):
    assert channel.capacity((1, 5, 3)) == 0
    with pytest.raises(ValueError, match=r"0 bytes do not fit.*5×1 pixels carries 0,"):
        channel.write(draw((1, 5, 3)), b"")


def test_the_size_is_the_covers_if_none_is_given(channel):
    payload = channel.read(channel.write(draw((40, 30, 3)), b"data"))
    assert (payload.kind, payload.size) == (Kind.RAW, (40, 30))


def test_cover_and_data_stay_as_they_were(channel):
    whole, data = draw((80, 60, 3)), bytearray(b"data")
    view = whole[::2, ::-2]
    assert channel.read(channel.write(view, data)).data == data == b"data"
    assert np.array_equal(whole, draw((80, 60, 3)))


def test_equal_arguments_give_equal_images_but_with_a_key(channel, key):
    cover = draw((40, 30, 3))
    first, second = (channel.write(cover, b"data") for _ in range(2))
    assert np.array_equal(first, second) == (key is None)


def test_wrong_arguments_are_refused(channel):
    cover = draw((40, 30, 3))
    for function in (channel.read, lambda image: channel.write(image, b"")):
        for wrong in (cover[None], cover[0]):
            with pytest.raises(ValueError, match="one image"):
                function(wrong)
        with pytest.raises(ValueError, match="uint8"):
            function(cover / 255)
        with pytest.raises(ValueError, match="shape"):
            function(cover[..., :2])
    for size in ((0, 5), (5, 65536), (-1, 5), (65535, 65535)):
        with pytest.raises(ValueError, match=f"1…65535.*: not {size[1]}×{size[0]}"):
            channel.write(cover, b"", size=size)
    with pytest.raises(ValueError, match="Kind"):
        channel.write(cover, b"", kind=8)


def test_images_that_hide_nothing(channel, key, pairs):
    flat = [np.full((60, 40, 3), value, np.uint8) for value in (0, 1, 128, 254, 255)]
    for image in (*pairs[0][:3], *flat, draw((1, 1, 3)), draw((64, 64, 3))):
        with pytest.raises(PayloadError, match="hides nothing") as error:
            reader(channel, key).read(image)
        assert ("The key is wrong" in str(error.value)) == (key is not None)


def test_keys(channel, key):
    stego = channel.write(draw((40, 50, 3)), b"data")
    for wrong in (b"p", b"pass phras", b"pass phrasE", KEY + b" "):
        with pytest.raises(PayloadError, match=r"The key is wrong|hidden without a key"):
            reader(channel, wrong).read(stego)
    if key:
        with pytest.raises(PayloadError, match=r"needs a key|needs its key"):
            reader(channel).read(stego)


def test_damage_is_noticed_or_mended(channel):
    """Whatever the change, nobody gets other data than were hidden."""
    cover = draw((36, 30, 3))
    data = draw_bytes(channel.capacity(cover.shape))
    stego = channel.write(cover, data)
    for seed, share in enumerate((0.001, 0.01, 0.1, 1)):
        changed = np.where(draw(cover.shape, seed) < 256 * share, draw(cover.shape, 9), stego)
        try:
            assert channel.read(changed).data == data
        except PayloadError as error:
            assert str(error).endswith(".")
    with pytest.raises(PayloadError):
        channel.read(stego[:-3])
