import keras
import numpy as np
import pytest

from steglib import load_model
from steglib.evaluation import metrics
from steglib.models import encoder_decoder

IMAGE = np.zeros((16, 16, 3), np.uint8)
WRONG = {
    "dtype": (IMAGE.astype(np.float32), "uint8"),
    "range": (IMAGE.astype(np.int64) + 300, "uint8"),
    "grey": (IMAGE[..., 0], "shape"),
    "alpha": (np.zeros((16, 16, 4), np.uint8), "shape"),
    "empty": (IMAGE[:0], "shape"),
    "small": (IMAGE[:7], "at least 8"),
}


@pytest.fixture(scope="module")
def hider():
    return load_model("classic")


@pytest.mark.parametrize("height, width", [(8, 8), (9, 31), (64, 64), (100, 75)])
def test_any_size_from_eight(hider, height, width):
    """Smooth images, so that scaling them to whole blocks costs little."""
    y, x = np.mgrid[:height, :width][..., None] / max(height, width)
    cover = (60 + 120 * x + 40 * np.sin([[[1, 2, 3]]] + 5 * y)).astype(np.uint8)
    secret = (200 - 100 * y + 40 * np.cos([[[3, 1, 2]]] + 5 * x)).astype(np.uint8)
    stego = hider.hide(cover, secret)
    revealed = hider.reveal(stego)
    assert stego.shape == revealed.shape == cover.shape
    assert stego.dtype == revealed.dtype == np.uint8
    assert metrics.psnr(cover[None], stego[None])[0] > 35
    assert metrics.psnr(secret[None], revealed[None])[0] > 30
    edges = np.ones((height, width), bool)  # no strip along the edges is lost
    edges[4:-4, 4:-4] = False
    assert np.abs(revealed.astype(int) - secret)[edges].mean() < 6


def test_a_batch_is_as_its_images(hider, pairs):
    covers, secrets = pairs
    batch = hider.hide(covers, secrets)
    single = np.stack([hider.hide(c, s) for c, s in zip(covers[:2], secrets[:2], strict=True)])
    assert np.abs(batch[:2].astype(int) - single).max() <= 1
    assert hider.reveal(batch).shape == covers.shape


@pytest.mark.parametrize("wrong, message", WRONG.values(), ids=WRONG)
def test_wrong_images_are_refused(hider, wrong, message):
    for call in (
        lambda: hider.hide(wrong, wrong),
        lambda: hider.hide(IMAGE, wrong),
        lambda: hider.reveal(wrong),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_mismatched_sizes_are_refused(hider):
    for secret in (IMAGE[:8], IMAGE[None], np.stack([IMAGE] * 2)):
        with pytest.raises(ValueError, match="same shape"):
            hider.hide(IMAGE, secret)


def test_saved_models_load_in_safe_mode(hider, pairs, tmp_path):
    path = tmp_path / "model.keras"
    encoder_decoder.save(encoder_decoder.join(hider.encoder, hider.decoder), path)
    again = encoder_decoder.load(path, "again")
    assert again.name == "again"
    stego = hider.hide(*pairs)
    assert np.array_equal(again.hide(*pairs), stego)
    assert np.array_equal(again.reveal(stego), hider.reveal(stego))


def test_any_two_networks_hide(pairs):
    """Here two that add a third of the secret, and take the cover for a grey one."""
    cover, secret = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    encoder = keras.Model([cover, secret], cover * (2 / 3) + secret / 3)
    stego = keras.Input((None, None, 3))
    hider = encoder_decoder.EncoderDecoder(
        encoder, keras.Model(stego, stego * 3.0 - 255.0), "mixing"
    )
    covers, secrets = pairs
    stegos = hider.hide(covers, secrets)
    assert np.abs(stegos - (covers * 2.0 + secrets) / 3).max() <= 0.5 + 1e-3
    wanted = np.clip(stegos * 3.0 - 255, 0, 255)
    assert np.array_equal(hider.reveal(stegos), wanted)


def test_tiles_change_no_pixel(hider, monkeypatch, pairs):
    cover, secret = (np.concatenate(images[:6].reshape(2, 3, 64, 64, 3), 1) for images in pairs)
    cover, secret = (np.concatenate(list(image), 1)[:125] for image in (cover, secret))
    found = []
    for side in (512, 64, 24):
        monkeypatch.setattr(encoder_decoder, "TILE", side)
        stego = hider.hide(cover, secret)
        found.append([stego, hider.reveal(stego)])
    for tiled in found[1:]:
        for whole, image in zip(found[0], tiled, strict=True):
            off = np.abs(image.astype(int) - whole)
            assert off.max() <= 1 and (off > 0).mean() < 1e-3  # floats may round another way
