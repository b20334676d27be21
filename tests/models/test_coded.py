import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steglib import PayloadError, load_model
from steglib.channels import residues as payload
from steglib.evaluation import metrics
from steglib.models.coded import ResidueHider

VECTORS = Path(__file__).parent.parent / "vectors"
sys.path.append(str(VECTORS))

from make_vectors import VECTORS as OPTIONS  # noqa: E402
from make_vectors import digests  # noqa: E402


@pytest.fixture(scope="module")
def hider():
    return load_model("residue")


@pytest.fixture(scope="module")
def stegos(hider, pairs):
    return hider.hide(*pairs)


@pytest.mark.parametrize("base, floor", [(2, 28), (3, 32), (8, 36), (16, 38)])
def test_any_base_is_revealed(hider, pairs, base, floor):
    """The cover keeps what the base says; the more values a digit has, the better the secret."""
    covers, secrets = (images[:3] for images in pairs)
    stegos = ResidueHider(hider.codec, base).hide(covers, secrets)
    assert stegos.shape == covers.shape and stegos.dtype == np.uint8
    assert metrics.psnr(covers, stegos).mean() == pytest.approx(
        payload.expected_psnr(base), abs=0.6
    )
    assert metrics.psnr(secrets, hider.reveal(stegos)).mean() > floor


def test_round_trip_as_a_file(hider, pairs, stegos):
    file = io.BytesIO()
    Image.fromarray(stegos[2]).save(file, "PNG")
    revealed = hider.reveal(np.asarray(Image.open(file)))
    assert revealed.shape == pairs[1][2].shape and revealed.dtype == np.uint8
    together = hider.reveal(stegos)
    assert np.abs(together[2].astype(int) - revealed).max() <= 1
    assert metrics.psnr(pairs[0], stegos).min() > 44.5
    assert metrics.psnr(pairs[1], together).mean() > 34


def test_a_batch_is_as_its_images(hider, pairs, stegos):
    for i in (0, 5):
        assert np.array_equal(hider.hide(pairs[0][i], pairs[1][i]), stegos[i])


def test_cover_and_secret_of_any_size(hider, pairs):
    covers, secrets = pairs
    for cover in (covers[0, :8, :8], covers[0, :9, :31], covers[0, :64, :50]):
        for secret in (secrets[0, :8, :8], secrets[0, :17, :13], secrets[0]):
            if secret.size < 20 * cover.size:
                revealed = hider.reveal(hider.hide(cover, secret))
                assert revealed.shape == secret.shape
                assert metrics.psnr(secret[None], revealed[None])[0] > 12
    stegos = hider.hide(covers[:2], secrets[:2, :20, :30])
    assert stegos.shape == covers[:2].shape
    assert hider.reveal(stegos).shape == (2, 20, 30, 3)
    with pytest.raises(ValueError, match="64×64 pixels does not fit 18 bytes"):
        hider.hide(covers[0, :8, :8], secrets[0])


def test_eight_by_eight_at_every_base(hider, pairs):
    cover, secret = pairs[0][0, :8, :8], pairs[1][0, 20:28, 20:28]
    for base in payload.BASES:
        stego = ResidueHider(hider.codec, base).hide(cover, secret)
        assert metrics.psnr(secret[None], hider.reveal(stego)[None])[0] > 15


def test_wrong_images_are_refused(hider, pairs):
    cover, secret = pairs[0][0], pairs[1][0]
    for wrong, message in (
        (cover / 255, "uint8"),
        (cover[..., 0], "shape"),
        (cover[:7], "at least 8"),
        (cover[:0], "shape"),
    ):
        for call in (
            lambda wrong=wrong: hider.hide(wrong, secret),
            lambda wrong=wrong: hider.hide(cover, wrong),
            lambda wrong=wrong: hider.reveal(wrong),
        ):
            with pytest.raises(ValueError, match=message):
                call()
    with pytest.raises(ValueError, match="same shape"):
        hider.hide(cover, secret[None])
    with pytest.raises(ValueError, match="same shape"):
        hider.hide(pairs[0][:2], pairs[1][:3])
    for base in (0, 1, 17, 2.5):
        with pytest.raises(ValueError, match=f"2…16, not {base}"):
            ResidueHider(hider.codec, base)


def test_what_reveals_nothing(hider, pairs, stegos):
    cover, stego = pairs[0][0], stegos[0]
    file = io.BytesIO()
    Image.fromarray(stego).save(file, "JPEG", quality=98)
    changed = stego.copy()
    changed[40, 30, 1] ^= 1
    code = payload.extract(stego).data
    other = payload.embed(cover, code, 5, payload.JPEG)
    strange = payload.embed(cover, b"\xff" * 40, 5, payload.LEARNED)
    short = payload.embed(cover, code[:-1], 5, payload.LEARNED)
    invalid = payload.embed(cover, code[:2] + b"\xff" * 8, 5, payload.LEARNED, (640, 640))
    for image, message in (
        (cover, "hides nothing"),
        (np.asarray(Image.open(file)), "hides nothing"),
        (stego[1:], "hides nothing"),
        (stego[:-1], "cropped"),
        (changed, "changed after hiding"),
        (other, "hides JPEG data"),
        (strange, "No such codec"),
        (short, "No such codec"),
        (invalid, "No such codec"),
    ):
        with pytest.raises(PayloadError, match=message):
            hider.reveal(image)


@pytest.mark.parametrize("key, level", [(b"key", 0), (None, 2), (b"key", 3)])
def test_key_and_level(quick_scrypt, hider, pairs, stegos, key, level):
    covers, secrets = (images[:2] for images in pairs)
    other = ResidueHider(hider.codec, 5, key=key, level=level)
    assert other.capacity(covers.shape[1:]) < hider.capacity(covers.shape[1:])
    file = io.BytesIO()
    Image.fromarray(other.hide(covers[0], secrets[0])).save(file, "PNG")
    stego = np.array(Image.open(file))
    found = payload.extract(stego, key)
    assert found.sealed == (key is not None) and found.level == level
    assert len(found.data) <= other.capacity(stego.shape)
    revealed = other.reveal(stego)
    assert metrics.psnr(secrets[:1], revealed[None])[0] > (22 if level else 32)
    assert metrics.psnr(secrets, other.reveal(other.hide(covers, secrets))).min() > 22
    if level:
        stego[30:33, 30:33] = 0
        assert np.array_equal(other.reveal(stego), revealed)
        assert payload.extract(stego, key).corrected
    for reader, message in (
        (hider, "needs a key|needs its key"),
        (ResidueHider(hider.codec, key=b"Key"), "The key is wrong"),
    ):
        if key:
            with pytest.raises(PayloadError, match=message):
                reader.reveal(stego)
    anyone = ResidueHider(hider.codec, 2, key=key)  # reveals any level, as any base
    assert np.array_equal(anyone.reveal(stego), revealed)
    if key:
        with pytest.raises(PayloadError, match="hidden without a key"):
            other.reveal(stegos[0])
    else:
        assert other.reveal(stegos).shape == stegos.shape


def test_wrong_levels_are_refused(hider):
    for level in (-1, 4, 1.5, None):
        with pytest.raises(ValueError, match=f"level must lie in 0…3, not {level}"):
            ResidueHider(hider.codec, level=level)


def test_secrets_of_several_sizes_are_refused(hider, pairs, stegos):
    small = hider.hide(pairs[0][0], pairs[1][0, :20])
    with pytest.raises(ValueError, match=r"several sizes: \[\(20, 64\), \(64, 64\)\]"):
        hider.reveal(np.stack([stegos[0], small]))


@pytest.mark.parametrize("name", OPTIONS)
def test_vectors_of_today(hider, name):
    """Tomorrow's version reveals them: with and without key and error correction."""
    stego = np.array(Image.open(VECTORS / f"{name}.png"))
    key, level = OPTIONS[name].get("key"), OPTIONS[name].get("level", 0)
    wanted = json.loads((VECTORS / f"{name}.json").read_text())
    assert digests(hider.codec, stego, key) == wanted
    found = payload.extract(stego, key)
    assert (found.base, found.codec, found.size) == (5, payload.LEARNED, (41, 57))
    assert (found.sealed, found.level, found.corrected) == (key is not None, level, False)
    if level:
        stego[20:22, 5:25] ^= 1
        assert digests(hider.codec, stego, key) == wanted
        assert payload.extract(stego, key).corrected


def test_vector_on_another_backend(hider, run_python, tmp_path):
    """A file of format 1 reveals on every machine, on every backend."""
    stego = np.asarray(Image.open(VECTORS / "residue_v1.png"))
    wanted = json.loads((VECTORS / "residue_v1.json").read_text())
    assert stego.shape == (48, 40, 3)
    assert digests(hider.codec, stego) == wanted
    script = """
import json, sys, keras, numpy as np
from PIL import Image
sys.path.append(sys.argv[1])
from make_vectors import digests
from steglib import load_model
assert keras.backend.backend() == "jax"
hider, stego = load_model("residue"), np.asarray(Image.open(sys.argv[1] + "/residue_v1.png"))
np.save(sys.argv[2], hider.reveal(stego))
print(json.dumps(digests(hider.codec, stego)))
"""
    done = run_python("-c", script, VECTORS, tmp_path / "revealed.npy", KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == wanted
    revealed = hider.reveal(stego)
    assert revealed.shape == (41, 57, 3)
    assert np.abs(np.load(tmp_path / "revealed.npy").astype(int) - revealed).max() <= 1
