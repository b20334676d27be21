"""What every hider of the zoo promises."""

import numpy as np
import pytest
import skimage

from steglib import PayloadError, load_images, load_model, zoo
from steglib.channels import seal
from steglib.channels.jpeg import JpegChannel
from steglib.evaluation import metrics
from steglib.evaluation.scores import through_png
from steglib.images.arrays import scale_to

SIZES = {"jpeg-proof": (176, 240), "quiet": (96, 128)}  # others have
SIZE = 32, 48
SETTINGS = {  # a finer and a coarser one; others have
    "jpeg-proof": (85, 50),
    "lsb": (2, 4),
    "quiet": (0.2, 0.5),
}
FINE, COARSE = 1.0, 3.0
MENDED = {"jpeg-proof": []}  # remarks on a damaged image; others make
CORRECTED = ["damaged, but corrected"]
KEYS = {"quiet": b"contract"}  # of those that need one
ROOMY = {"quiet": 0.5}  # rates at which a secret of the cover's size fits


def load(name, setting=None, **options):
    """With a key if it needs one; with the first setting that is scored, unless another is given.

    Its defaults are for smaller secrets than these.
    """
    scored = zoo.MODELS[name].scored
    setting = setting or ROOMY.get(name) or (scored[0] if scored else None)
    spec = name if setting is None else f"{name}:{setting}"
    return zoo.load_spec(spec, **{"key": KEYS.get(name)} | options)


@pytest.fixture(scope="module", params=zoo.MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module", autouse=True)
def few_promises():
    """All would be tried for each image that is hidden."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JpegChannel, "promises", lambda self: [f"jpeg:{self.layout.quality}"])
        yield


@pytest.fixture(scope="module", autouse=True)
def same_salts():
    """With a key, no two stego images are alike but for this. Keys are made quickly, too."""
    with pytest.MonkeyPatch.context() as patch:
        fresh = classmethod(lambda cls, password: cls(password, bytes(seal.DRAWN)))
        patch.setattr(seal.Seal, "fresh", fresh)
        patch.setattr(seal, "COST", 2**4)
        yield


@pytest.fixture(scope="module")
def hider(name):
    return load(name)


@pytest.fixture(scope="module")
def photos(name):
    """Three covers and three secrets."""
    if name in SIZES:
        height, width = SIZES[name]
        photo = skimage.data.astronaut()
        corners = [(0, 0), (0, 150), (90, 200), (250, 20), (200, 240), (320, 100)]
        images = np.stack([photo[top:, left:][:height, :width] for top, left in corners])
    else:
        images = load_images("sample", "val").images[:, : SIZE[0], : SIZE[1]]
    return images[:3], images[3:6]


@pytest.fixture(scope="module")
def stegos(hider, photos):
    return hider.hide(*photos)


@pytest.fixture(scope="module")
def revealed(hider, stegos):
    return hider.reveal(stegos)


def almost_equal(images, others):
    """Floats may be rounded in another order."""
    return images.shape == others.shape and np.abs(images.astype(int) - others).max() <= 1


def test_both_images_are_what_they_should_be(photos, stegos, revealed):
    for images in (stegos, revealed):
        assert images.shape == photos[0].shape and images.dtype == np.uint8
    assert metrics.psnr(photos[0], stegos).min() > 30
    assert metrics.psnr(photos[1], revealed).min() > 12
    for i, secret in enumerate(revealed):  # each is in its own cover
        likeness = metrics.psnr(photos[1], np.broadcast_to(secret, revealed.shape))
        assert likeness.argmax() == i


def test_one_image_is_as_a_batch_of_one(hider, photos, stegos, revealed):
    stego = hider.hide(photos[0][0], photos[1][0])
    assert almost_equal(stego, stegos[0])
    assert almost_equal(hider.hide(photos[0][:1], photos[1][:1])[0], stego)
    assert almost_equal(hider.reveal(stegos[0]), revealed[0])


def test_a_hider_loaded_anew_reveals_from_the_file(name, stegos, revealed):
    assert almost_equal(load(name).reveal(through_png(stegos)), revealed)


def test_arrays_stay_as_they_are(hider, photos, stegos):
    covers, secrets, given = (images[:1].copy() for images in (*photos, stegos))
    for images in (covers, secrets, given):
        images.setflags(write=False)
    hider.hide(covers, secrets)
    hider.reveal(given)
    # Other strides are as good.
    mirrored = hider.hide(covers[:, ::-1, ::-1], secrets[:, ::-1, ::-1])
    copied = hider.hide(*(images[:, ::-1, ::-1].copy() for images in (covers, secrets)))
    assert almost_equal(mirrored, copied)


def test_what_is_no_image_is_refused(hider, photos):
    cover = photos[0][0]
    small = cover[: hider.min_side - 1, : hider.min_side - 1]
    for wrong, word in (
        (cover / 255, "must be uint8"),
        (cover.astype(np.int64), "must be uint8"),
        (cover[..., 0], "must have the shape"),
        (cover[..., :2], "must have the shape"),
        (cover[None, None], "must have the shape"),
        (cover[:0], "must have the shape"),
        (photos[0][:0], "must have the shape"),
        *([(small, "pixels")] if small.size else []),
    ):
        for call in (hider.reveal, lambda x: hider.hide(x, cover), lambda x: hider.hide(cover, x)):
            with pytest.raises(ValueError, match=word):
                call(wrong)
    for wrong in (photos[1], photos[1][:2]):
        for cover in (photos[0][0], photos[0][:1]):
            with pytest.raises(ValueError, match="same shape"):
                hider.hide(cover, wrong)


def test_the_smallest_images(hider):
    side = max(8, hider.min_side)
    image = np.full((side, side, 3), 128, np.uint8)
    try:
        stego = hider.hide(image, image)
    except ValueError as error:  # a header alone may take more than its room
        assert "bytes" in str(error)
    else:
        assert hider.reveal(stego).shape == image.shape


def test_detects_says_whether_a_plain_photograph_is_refused(hider, photos):
    if hider.detects:
        for plain in photos[0]:
            with pytest.raises(PayloadError, match="hides nothing"):
                hider.reveal(plain)
    else:
        assert hider.reveal(photos[0]).shape == photos[0].shape


@pytest.mark.parametrize("shape", [(90, 33), (12, 100), (32, 48), (600, 500)])
def test_fit_secret_makes_any_secret_fit(hider, photos, shape):
    cover = photos[0][0]
    large = np.tile(photos[1][0], (20, 12, 1))[: shape[0], : shape[1]]
    fitted = hider.fit_secret(large, cover)
    assert fitted.dtype == np.uint8 and fitted.ndim == 3
    assert fitted.shape == cover.shape if hider.same_size else fitted.size <= large.size
    revealed = hider.reveal(hider.hide(cover, fitted))
    assert revealed.shape == fitted.shape
    if not hider.same_size and shape != (600, 500):
        assert metrics.psnr(fitted[None], revealed[None])[0] > 15


def test_remarks(hider, photos, stegos, revealed):
    stego, remarks = hider.hide_remarked(photos[0][0], photos[1][0])
    assert almost_equal(stego, stegos[0])
    secret, others = hider.reveal_remarked(stegos[0])
    assert almost_equal(secret, revealed[0]) and others == []
    assert all(isinstance(line, str) and "\n" not in line for line in remarks)


def test_names_are_unique():
    names = [load(name).name for name in zoo.MODELS]
    assert all(names) and len(set(names)) == len(names)


@pytest.fixture
def options(name, hider):
    """Which it takes; without a key, it says so."""
    assert hider.key == KEYS.get(name)
    return zoo.MODELS[name].options


def test_a_key_seals(name, options, photos):
    if "key" not in options:
        with pytest.raises(ValueError, match="has no key"):
            load_model(name, key=b"key")
        return
    hider = load(name, key=b"key")
    stego = hider.hide(photos[0][0], photos[1][0])
    assert hider.key == b"key" and load_model(name, key=b"key").reveal(stego).shape == stego.shape
    with pytest.raises(PayloadError):
        load_model(name, key=b"Key").reveal(stego)
    with pytest.raises(PayloadError):
        load_model("residue").reveal(stego)


def test_some_need_a_key(name):
    if name in KEYS:
        with pytest.raises(ValueError, match=r"needs a key .*--key-prompt"):
            load_model(name)
    else:
        assert load_model(name).key is None


def test_protection_mends(name, options, photos):
    if "level" not in options:
        with pytest.raises(ValueError, match="has no protection"):
            load_model(name, level=1)
        return
    cover, secret = np.tile(photos[0][0], (3, 2, 1)), scale_to(photos[1][0], 400)
    stego = load_model(name, level=3).hide(cover, secret)
    damaged = stego.copy()
    damaged[::8, ::8] ^= 1
    revealed, remarks = load_model(name).reveal_remarked(damaged)
    assert almost_equal(revealed, load_model(name).reveal(stego))
    assert remarks == MENDED.get(name, CORRECTED)


def test_settings_matter(name, photos):
    entry = zoo.MODELS[name]
    if entry.setting is None:
        with pytest.raises(ValueError, match="has no setting"):
            zoo.load_spec(f"{name}:3")
        return
    settings = SETTINGS.get(name, (FINE, COARSE))
    covers, secrets = (images[:1] for images in photos)
    stegos = [load(name, setting).hide(covers, secrets) for setting in settings]
    fine, coarse = (metrics.psnr(covers, images).mean() for images in stegos)
    assert fine > coarse + 3
    wrong = 99.0 if entry.setting == "rate" else 99
    with pytest.raises(ValueError, match=rf"{entry.setting} must .* {wrong}"):
        load(name, wrong)
