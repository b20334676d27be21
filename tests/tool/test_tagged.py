"""Stego files that got a tag on their way, and pictures as phones make them."""

import numpy as np
import odd_files as odd
import pytest
from PIL import Image
from PIL.ExifTags import Base
from shell import pixels

from steglib.images.photos import read_photo


def oriented(stego, orientation=6):
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return odd.saved(stego, "PNG", exif=exif)


TAGGED = {
    "profile.png": lambda stego: odd.saved(stego, "PNG", icc_profile=odd.wide_profile()),
    "turned.png": oriented,
    "gama.png": lambda stego: odd.png(stego, odd.gama(1), odd.chrm(odd.SWAPPED_CHRM)),
    "alpha.png": lambda stego: odd.png(
        np.pad(stego, ((0, 0), (0, 0), (0, 1)), constant_values=255)
    ),
    "turned.tif": lambda stego: odd.tiff(
        stego, tags=[(274, 3, [8]), (34675, 7, odd.wide_profile())]
    ),
    "profile.webp": lambda stego: odd.saved(
        stego, "WEBP", lossless=True, icc_profile=odd.wide_profile()
    ),
}


@pytest.fixture
def tagged(tmp_path, files, steglib):
    """Hides; then reveals from the stego image and from it with each tag."""

    def reveal(*options, side, names=TAGGED):
        cover, secret = tmp_path / "noise.png", tmp_path / "tiny.png"
        noise = np.random.default_rng(0).integers(60, 190, (side, side, 3), np.uint8)
        Image.fromarray(noise).save(cover)
        Image.fromarray(odd.picture(16, 16)).save(secret)
        stego, revealed = tmp_path / "stego.png", tmp_path / "revealed.png"
        code, _, said = steglib("hide", cover, secret, "-o", stego, *options)
        assert code == 0, said
        key = [option for option in options if "key" in str(option)]
        assert steglib("reveal", stego, "-o", revealed, *key)[0] == 0
        for name in names:
            (tmp_path / name).write_bytes(TAGGED[name](pixels(stego)))
            again = tmp_path / f"again-{name}.png"
            assert steglib("reveal", tmp_path / name, "-o", again, *key)[0] == 0, name
            assert np.array_equal(pixels(again), pixels(revealed)), name

    return reveal


def test_a_tag_does_not_change_what_is_hidden(tmp_path, tagged, steglib):
    tagged(side=64)
    for name in TAGGED:
        code, said, _ = steglib("inspect", tmp_path / name)
        assert code == 0 and "It hides a picture" in said, name


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--survive", "75"), ("--quiet",)], ids=str)
def test_nor_in_other_channels(tagged, keys, options):
    tagged(*options, "--key-file", keys[0], side=256, names=["profile.png", "turned.tif"])


def test_inspect_measures_the_room_of_the_picture_that_is_seen(tmp_path, steglib):
    (tmp_path / "turned.png").write_bytes(oriented(odd.picture(48, 64)))
    assert "PNG, 48×64 pixels" in steglib("inspect", tmp_path / "turned.png")[1]


def test_an_iphones_pictures_are_hidden_and_revealed(tmp_path, steglib):
    pytest.importorskip("pillow_heif")
    (tmp_path / "IMG_1.HEIC").write_bytes(odd.heic(odd.picture(96, 128)))
    (tmp_path / "IMG_2.JPG").write_bytes(odd.heic(odd.picture(32, 32)[::-1]))
    stego, secret = tmp_path / "stego.png", tmp_path / "secret.png"
    code, said, _ = steglib("hide", tmp_path / "IMG_1.HEIC", tmp_path / "IMG_2.JPG", "-o", stego)
    assert code == 0 and "128×96 pixels" in said
    assert steglib("reveal", stego, "-o", secret)[0] == 0
    assert np.abs(pixels(secret) - read_photo(tmp_path / "IMG_2.JPG").image.astype(int)).mean() < 2


def test_a_revealed_picture_may_be_a_jpeg(tmp_path, files, steglib):
    steglib("hide", *files, "-o", tmp_path / "stego.png")
    code, _, said = steglib("reveal", tmp_path / "stego.png", "-o", tmp_path / "secret.jpg")
    assert code == 0 and said == ""
    with Image.open(tmp_path / "secret.jpg") as picture:
        assert picture.format == "JPEG" and picture.size == (40, 40)
    code, _, said = steglib("reveal", tmp_path / "stego.png", "-o", tmp_path / "secret.gif")
    assert code == 2 and "use .png" in said and "destroy" not in said


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_odd_metadata_does_not_stop_the_work(tmp_path, files, steglib, suffix):
    exif = Image.Exif()
    exif[Base.Make], exif[Base.ResolutionUnit], exif[Base.Software] = "Maker", 65535, b"\xff\0"
    cover = tmp_path / "cover.jpg"
    with Image.open(files[0]) as picture:
        picture.save(cover, exif=exif)
    output = tmp_path / f"stego{suffix}"
    code, _, said = steglib("hide", cover, files[1], "-o", output, "--keep-metadata")
    assert code == 0 and said == ""
    kept = Image.Exif()
    kept.load(read_photo(output).exif)
    assert kept[Base.Make] == "Maker"
