"""`--quiet`: few bytes, where detectors hardly see them."""

import numpy as np
import pytest
import skimage
from shell import KEY, assert_refused, change, pixels

from steglib.channels.quiet import QuietChannel, objection
from steglib.evaluation import metrics
from steglib.images.arrays import scale_to

pytestmark = pytest.mark.usefixtures("quick_scrypt")
PHOTO = scale_to(skimage.data.astronaut(), 2**20, 240)  # no trace of a JPEG file is left
SECRET = scale_to(skimage.data.coffee(), 800)


@pytest.fixture
def hide(tmp_path, keys, steglib):
    """Hides a secret in a cover, which is saved first: its file, the stego file, the result."""

    def run(cover, *options, secret=SECRET, name="cover.png", key=keys[0], **saved):
        paths = change(tmp_path / name, cover, **saved), change(tmp_path / "secret.png", secret)
        stego = tmp_path / "stego.png"
        locked = () if key is None else ("--key-file", key)
        return paths[0], stego, steglib("hide", *paths, "-o", stego, "--quiet", *locked, *options)

    return run


def test_who_has_the_key_has_the_secret(tmp_path, keys, hide, steglib):
    _, stego, (code, said, error) = hide(PHOTO, "--size", "keep")
    assert (code, error) == (0, "") and "a detector takes 4" in said
    changes = pixels(stego).astype(int) - PHOTO
    assert np.abs(changes).max() == 1 and np.mean(changes != 0) < 0.01
    back = tmp_path / "back.png"
    assert steglib("reveal", stego, "-o", back, "--key-file", keys[0])[0] == 0
    assert metrics.psnr(SECRET[None], pixels(back)[None])[0] > 15
    assert "It hides a picture" in steglib("inspect", stego, "--key-file", keys[0])[1]
    for key in ([], ["--key-file", keys[1]]):
        result = steglib("reveal", stego, "-o", tmp_path / "other.png", *key)
        assert_refused(result, 3, stego, "hides nothing")
        assert "hides nothing" in steglib("inspect", stego, *key)[1]


def test_a_secret_that_is_too_large_is_scaled_to_fit(hide):
    _, stego, (code, said, _) = hide(PHOTO, secret=skimage.data.coffee())
    assert code == 0 and "the secret was scaled to" in said
    room = QuietChannel(KEY).capacity(PHOTO.shape)
    assert room // 2 < len(QuietChannel(KEY).read(pixels(stego)).data) <= room


def a_quarter_saturated():
    """And a little more: of the upper half, many a sample is black or white."""
    cover = PHOTO.copy()
    chosen = np.random.default_rng(0).random(cover[:125].shape) < 0.3
    cover[:125][chosen] = np.where(cover[:125][chosen] < 128, 0, 255)
    assert np.mean((cover == 0) | (cover == 255)) == pytest.approx(0.27, abs=0.02)
    return cover


def flat():
    cover = PHOTO.copy()
    cover[: len(cover) * 11 // 20] = 90
    return cover


@pytest.mark.parametrize(
    "cover, reason, remedy",
    [
        (a_quarter_saturated, "are black or white", "choose another photograph"),
        (flat, "equal their neighbours", "choose another photograph"),
    ],
)
def test_covers_that_show_every_change_are_refused(hide, steglib, cover, reason, remedy):
    path, stego, result = hide(cover())
    assert_refused(result, 2, path, reason, remedy)
    assert not stego.exists()
    assert f"Quietly (--quiet): nothing. {objection(cover())}" in steglib("inspect", path)[1]


@pytest.mark.parametrize("quality", [75, 95])
def test_covers_that_were_a_jpeg_of_this_size_are_refused(hide, steglib, quality):
    """As what they are, and opened and saved as a PNG file; scaled down, they may be used."""
    cover = skimage.data.astronaut()
    path, stego, result = hide(cover, name="cover.jpg", quality=quality)
    assert_refused(result, 2, path, "was a JPEG file of this size", "scale it down (--longest")
    path, stego, result = hide(pixels(path))
    assert_refused(result, 2, path, "was a JPEG file of this size", "scale it down (--longest")
    assert not stego.exists()
    assert hide(pixels(path), "--longest", 256)[2][0] == 0
    assert pixels(stego).shape == (256, 256, 3)


def test_a_payload_above_the_limit_is_refused(hide, steglib):
    """More bytes are there for who asks for a rate, and takes the risk."""
    large = scale_to(skimage.data.coffee(), 2**20, 200)
    path, stego, result = hide(PHOTO, "--size", "keep", secret=large)
    remedies = "scale it down", "a larger cover", "a higher rate"
    assert_refused(result, 2, path, "200×133 pixels does not fit", *remedies)
    assert not stego.exists()
    assert hide(PHOTO, "--size", "keep", "--rate", 0.4, secret=large)[2][0] == 0


def test_without_a_key_nothing_is_hidden(hide):
    _, stego, result = hide(PHOTO, key=None)
    assert_refused(result, 2, "needs a key", "--key-prompt", "--key-file")
    assert not stego.exists()


def test_options_that_do_not_go_together(hide):
    for options, reason in (
        (("--rate", 0.6), "rate must lie above 0 and up to 0.5"),
        (("--base", 3), "quiet has no base"),
        (("--protect", "low"), "quiet has no protection"),
    ):
        assert_refused(hide(PHOTO, *options)[2], 2, reason)
    with pytest.raises(SystemExit):
        hide(PHOTO, "--survive", 75)
