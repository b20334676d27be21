import io

import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from steglib.channels import costs, detection, quiet
from steglib.channels.frame import Kind, Payload, PayloadError
from steglib.channels.quiet import QuietChannel, detection_error, objection
from steglib.images import jpeg
from steglib.images.arrays import scale_unrounded

KEY = b"pass phrase"

pytestmark = pytest.mark.usefixtures("quick_scrypt")


def draw(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def draw_bytes(length, seed=1):
    return np.random.default_rng(seed).bytes(length)


def as_jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.fixture(scope="module")
def photo():
    """One that is scaled down, so that no trace of a JPEG file is left."""
    return np.rint(scale_unrounded(skimage.data.astronaut(), 200)).astype(np.uint8)


@settings(deadline=None, max_examples=12)
@given(
    st.tuples(st.integers(50, 90), st.integers(50, 90), st.just(3)),
    st.sampled_from([None, 0.02, 0.2, 0.5]),
    st.sampled_from(["random", "a fifth saturated"]),
    st.integers(0, 2**32),
)
def test_all_that_fits_comes_back_by_steps_of_one(shape, rate, kind, seed):
    cover = draw(shape, seed)
    if kind != "random":
        cover[: shape[0] // 5] = np.where(draw((shape[0] // 5, *shape[1:])) < 128, 0, 255)
    channel = QuietChannel(KEY, rate)
    room = channel.capacity(shape)
    for length in {0, min(1, room), room}:
        data = draw_bytes(length, seed)
        stego = channel.write(cover, data, Kind.AVIF, (3, 5))
        assert np.abs(stego.astype(int) - cover).max() <= 1
        assert QuietChannel(KEY).read(stego) == Payload(data, Kind.AVIF, (3, 5), channel.layout)
    with pytest.raises(ValueError, match=f"^{room + 1} bytes do not fit: quietly.* hides {room}"):
        channel.write(cover, bytes(room + 1))


def test_the_key_alone_reveals(photo):
    stego = QuietChannel(KEY).write(photo, b"data", Kind.AVIF)
    assert detection.read(stego, KEY).data == b"data"
    for key in (None, b"another"):
        with pytest.raises(PayloadError):
            detection.read(stego, key)
    changed = stego ^ np.uint8(1)
    with pytest.raises(PayloadError):
        QuietChannel(KEY).read(changed)


def test_no_two_images_are_alike(photo):
    first, second = (QuietChannel(KEY).write(photo, b"data") for _ in range(2))
    assert not np.array_equal(first, second)


def test_places_are_the_keys():
    """Each sample has one place, and who has another key, or an image of another size, not that."""

    def places(key, shape):
        return [order for _, order in quiet._Pieces(shape, key)]

    mine, again, others = (places(key, (40, 50, 3)) for key in (KEY, KEY, b"another"))
    for one, same, other in zip(mine, again, others, strict=True):
        assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert sum(map(len, mine)) == 40 * 50 * 3
    assert not np.array_equal(mine[0], places(KEY, (50, 40, 3))[0])


def test_few_samples_change_and_where_texture_is(photo):
    channel = QuietChannel(KEY, 0.1)
    changed = channel.write(photo, draw_bytes(channel.capacity(photo.shape))) != photo
    assert 0.01 < changed.mean() < 0.04
    cheap = costs.root_hill(photo).min(0)
    assert cheap[changed].mean() < 0.6 * cheap.mean()


def test_what_was_rounded_up_moves_down(photo):
    unrounded = photo + np.random.default_rng(0).uniform(-0.5, 0.5, photo.shape)
    channel = QuietChannel(KEY, 0.1)
    data = draw_bytes(channel.capacity(photo.shape))
    moved = channel.write(photo, data, unrounded=unrounded).astype(int) - photo
    error = (unrounded - photo)[moved != 0]
    assert np.mean(np.sign(error) == moved[moved != 0]) > 0.9
    assert np.abs(error).mean() > 0.3  # of all, 0.25


def test_the_limit_grows_with_the_side():
    small, large = (QuietChannel(KEY).capacity((side, side, 3)) for side in (300, 1200))
    assert large + 16 == pytest.approx(4 * (small + 16), abs=8)
    assert QuietChannel(KEY).capacity((8, 8, 3)) == 0
    assert QuietChannel(KEY, 0.2).capacity((300, 300, 3)) == pytest.approx(
        0.2 * 270_000 / 8, abs=20
    )


def test_detection_error():
    assert detection_error(0, 10**6) == 0.5
    assert detection_error(0.05, 256 * 256) == pytest.approx(0.383)
    assert detection_error(0.025, 512 * 512) == pytest.approx(0.383)  # as many for each side
    assert detection_error(0.02, 256 * 256) > detection_error(0.03, 256 * 256)


def test_covers_that_give_changes_away_are_refused(photo):
    channel = QuietChannel(KEY)
    flat = photo.copy()
    flat[:120] = 90
    black = photo.copy()
    black[:60, :, :] = np.where(draw(black[:60].shape) < 128, 0, 255)
    for cover, reason in (
        (as_jpeg(photo, 90), "was a JPEG file of this size.*--longest"),
        (as_jpeg(photo, 75)[3:, 5:], "was a JPEG file"),
        (black, "are black or white: choose another"),
        (flat, "equal their neighbours: choose another"),
    ):
        with pytest.raises(ValueError, match=reason):
            channel.write(cover, b"data")
    assert objection(photo) is None


@pytest.mark.parametrize(
    "options, reason", [({}, "needs a key"), ({"key": KEY, "rate": 2}, "rate must lie above 0")]
)
def test_wrong_options(options, reason):
    with pytest.raises(ValueError, match=reason):
        QuietChannel(**options)


def test_it_says_how_safe_it_is(photo):
    rate, safe = QuietChannel(KEY).about(photo, bytes(100))
    assert rate == "100 bytes, 0.0067 bits in each sample"
    error = detection_error(800 / photo.size, photo.size // 3)
    assert f"{error:.0%}" in safe and "50% is guessing" in safe


def test_traces_of_jpeg(photo):
    assert jpeg.trace(photo) < 0.02 < quiet.TRACE
    for quality in (50, 75, 90, 95):
        assert jpeg.trace(as_jpeg(photo, quality)) > 2 * quiet.TRACE
    assert jpeg.trace(photo[:10, :10]) == 0
