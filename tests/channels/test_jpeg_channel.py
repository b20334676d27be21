import io

import numpy as np
import pytest
import skimage
from PIL import Image

from steglib.channels import detection
from steglib.channels.frame import Kind, Layout, Payload, PayloadError
from steglib.channels.jpeg import QUALITIES, JpegChannel, load_design
from steglib.channels.residues import ResidueChannel
from steglib.evaluation import metrics
from steglib.images.damage import damaged

KEY = b"pass phrase"
PHOTO = skimage.data.astronaut()[:200, :303]

pytestmark = pytest.mark.usefixtures("quick_scrypt")


def draw_bytes(length, seed=1):
    return np.random.default_rng(seed).bytes(length)


def hidden(channel, cover=PHOTO):
    """A stego image as full as it can be, and its data."""
    data = draw_bytes(channel.capacity(cover.shape))
    return channel.write(cover, data, Kind.AVIF, (3, 65535)), data


@pytest.fixture(scope="module", params=QUALITIES)
def quality(request):
    return request.param


@pytest.fixture(scope="module")
def full(quality):
    return hidden(JpegChannel(quality, level=3))


def test_every_byte_comes_back_after_the_least_quality(quality, full):
    stego, data = full
    assert stego.shape == PHOTO.shape and stego.dtype == np.uint8
    wanted = Payload(data, Kind.AVIF, (3, 65535), Layout(2, False, 3, quality))
    for line in ("png", f"jpeg:{quality}", f"jpeg:{quality}:444", "jpeg:90", "one:0.3"):
        assert detection.read(damaged(stego, line)) == wanted, line
    assert metrics.psnr(PHOTO[None], stego[None])[0] > 33


def test_the_certificate_tells_what_it_finds(quality, full):
    stego, data = full
    channel = JpegChannel(quality, level=3)
    assert channel.broken(stego, data) == []
    assert channel.broken(stego, data[:-1] + b"?") == ["png"]
    weak = damaged(stego, f"jpeg:{quality - 20}")  # hardly anything is left
    assert channel.broken(weak, data) == ["png"]
    assert f"quality from {quality} to 95" in channel.remarks([])[0]


def test_a_promise_that_does_not_hold_is_noticed(full, quality, monkeypatch):
    channel = JpegChannel(quality, level=3)
    monkeypatch.setattr(channel, "promises", lambda: ["jpeg:90", "resize:0.5", "jpeg:95"])
    assert channel.broken(*full) == ["resize:0.5"]
    assert "resize:0.5 would destroy it" in channel.remarks(["resize:0.5"])[0]


def test_promises():
    lines = JpegChannel(75).promises()
    assert len(lines) == len(set(lines)) == 21 * 2 + 20
    assert {"jpeg:75:420", "jpeg:95:444", "jpeg:85+jpeg:75", "jpeg:75+jpeg:95"} <= set(lines)
    assert "jpeg:90+jpeg:50" in JpegChannel(50).promises()


def test_beyond_the_promise_nothing_wrong_is_read(full):
    stego, data = full
    for line in ("jpeg:20", "webp:50", "resize:0.5", "crop:3", "blur:2", "brightness:40"):
        try:
            assert detection.read(damaged(stego, line)).data == data
        except PayloadError as error:
            assert str(error).endswith(".")


def test_levels_carry_less_and_attempts_climb_them():
    rooms = [JpegChannel(level=level).capacity((512, 768, 3)) for level in range(4)]
    assert rooms == sorted(rooms, reverse=True) and rooms[3] > 0
    assert [channel.layout.level for channel in JpegChannel(level=1).attempts()] == [1, 2, 3, 3]


def test_a_higher_price_saves_the_cover():
    photo = skimage.data.astronaut()[:256, :256]
    data = np.random.default_rng(0).bytes(1000)
    dear, cheap = (
        JpegChannel(75, level=3, price=price).write(photo, data) for price in (0.1, 0.01)
    )
    psnrs = [metrics.psnr(photo[None], stego[None])[0] for stego in (dear, cheap)]
    assert psnrs[0] > psnrs[1] + 1
    assert JpegChannel(75).read(dear).data == JpegChannel(75).read(cheap).data == data


def test_keys():
    sealed, data = hidden(JpegChannel(key=KEY, level=3))
    assert detection.read(damaged(sealed, "jpeg:80"), KEY).data == data
    with pytest.raises(PayloadError, match="needs a key"):
        detection.read(sealed)
    with pytest.raises(PayloadError, match="key is wrong"):
        detection.read(sealed, b"other")
    open_, data = hidden(JpegChannel(level=3))
    with pytest.raises(PayloadError, match="without a key"):
        detection.read(open_, KEY)


def test_a_jpeg_file_of_quality_100_holds_what_was_promised():
    channel = JpegChannel(75, level=3, file="jpeg")
    stego, data = hidden(channel)
    assert channel.broken(stego, data) == []
    file = io.BytesIO()
    Image.fromarray(stego).save(file, "JPEG", quality=100, subsampling="4:4:4")
    assert channel.read(damaged(np.asarray(Image.open(file)), "jpeg:75")).data == data
    with pytest.raises(ValueError, match="png, jpeg"):
        JpegChannel(file="gif")


def test_what_fits():
    channel = JpegChannel()
    room = channel.capacity(PHOTO.shape)
    with pytest.raises(ValueError, match=f"^{room + 1} bytes do not fit.* carries {room}"):
        channel.write(PHOTO, bytes(room + 1))
    for data in (b"", b"data", draw_bytes(room)):
        assert channel.read(channel.write(PHOTO, data)).data == data
    assert channel.capacity((64, 64, 3)) == channel.capacity((3, 5, 3)) == 0
    with pytest.raises(ValueError, match="0 bytes do not fit"):
        channel.write(PHOTO[:64, :64], b"")
    with pytest.raises(ValueError, match=r"quality must be one of \(50, 75, 85\), not 60"):
        JpegChannel(60)


def test_black_white_and_grey_pictures():
    grey = np.repeat(PHOTO.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    burnt = np.clip(1.6 * PHOTO.astype(float) - 60, 0, 255).astype(np.uint8)
    for cover in (grey, burnt):
        channel = JpegChannel(level=3)
        stego, data = hidden(channel, cover)
        assert channel.read(damaged(stego, "jpeg:75")).data == data
    assert (hidden(JpegChannel(), grey)[0].std(axis=2) == 0).all()


def test_images_that_hide_nothing():
    flat = [np.full((100, 120, 3), value, np.uint8) for value in (0, 128, 255)]
    for image in (PHOTO, *flat, PHOTO[:1, :1], PHOTO[:40, :40]):
        with pytest.raises(PayloadError, match="hides nothing"):
            JpegChannel().read(image)
        with pytest.raises(PayloadError, match="hides nothing"):
            detection.read(image)


def test_residues_are_found_too():
    stego = ResidueChannel(3).write(PHOTO, b"data")
    assert detection.read(stego).layout == Layout(3)


def test_designs():
    for quality in QUALITIES:
        design = load_design(quality)
        assert design.quality == quality and len(design.places) == len(design.steps) > 8
        assert design.twice == (quality > 50)
        assert list(design.noise) == sorted(design.noise) and design.noise[0] > 0
