"""`--survive`: what comes through JPEG."""

import pytest
import skimage
from PIL import Image
from shell import assert_refused

from steglib.evaluation import metrics
from steglib.images.photos import read_photo

PHOTO = skimage.data.astronaut()


@pytest.fixture
def photos(tmp_path):
    paths = tmp_path / "cover.jpg", tmp_path / "secret.png"
    Image.fromarray(PHOTO[:320, :400]).save(paths[0], quality=95)
    Image.fromarray(PHOTO[250:410, 100:340]).save(paths[1])
    return paths


def test_the_secret_is_there_after_a_messenger(tmp_path, photos, steglib):
    stego, sent, back = tmp_path / "stego.png", tmp_path / "sent.jpg", tmp_path / "back.png"
    code, said, error = steglib("hide", *photos, "-o", stego, "--survive", 75)
    assert (code, error) == (0, ""), error
    assert "it came through each of 62 promised ways: JPEG of every quality from 75 to 95" in said
    for other in ({"subsampling": "4:2:2"}, {"progressive": True, "optimize": True}):
        Image.open(stego).save(sent, quality=75, **other)
        assert steglib("reveal", sent, "-o", back, "--force")[0] == 0
    secret, revealed = (read_photo(path).image for path in (photos[1], back))
    assert metrics.psnr(secret[None], revealed[None])[0] > 22
    code, said, _ = steglib("inspect", sent)
    assert "It hides a picture" in said and "comes through JPEG of quality 75 and more" in said

    Image.open(stego).save(sent, quality=40)
    back.unlink()
    assert_refused(steglib("reveal", sent, "-o", back), 3, sent, "hides nothing")
    assert not back.exists()


@pytest.mark.slow
def test_the_stego_file_may_be_a_jpeg_itself(tmp_path, photos, steglib):
    stego, sent, back = tmp_path / "stego.jpg", tmp_path / "sent.jpg", tmp_path / "back.png"
    hide = "hide", *photos, "-o", stego, "--survive", 75
    code, said, error = steglib(*hide, "--longest", 320, "--protect", "medium")
    assert (code, error) == (0, "") and "320×256 pixels, cover PSNR" in said
    picture = Image.open(stego)
    assert picture.format == "JPEG" and picture.size == (320, 256)
    for quality in (75, 85, 95):
        picture.save(sent, quality=quality)
        assert steglib("reveal", sent, "-o", back, "--force")[0] == 0
    assert_refused(steglib(*hide), 2, stego, "exists already")


def test_small_covers_carry_nothing_through_jpeg(tmp_path, photos, files, steglib):
    result = steglib("hide", files[0], photos[1], "-o", tmp_path / "stego.png", "--survive", 75)
    assert_refused(result, 2, files[0], "too small", "choose a larger one")
    said = steglib("inspect", files[0])[1]
    assert "It is too small to carry anything through JPEG." in said
    lines = steglib("inspect", photos[0])[1].splitlines()
    rooms = [int(line.split()[4].replace(",", "")) for line in lines if "and more:" in line]
    assert len(set(rooms)) == 3 and min(rooms) > 1000


def test_options_that_do_not_go_together(tmp_path, photos, steglib):
    hide = "hide", *photos, "-o", tmp_path / "stego.png"
    assert_refused(steglib(*hide, "--survive", 75, "--base", 3), 2, "jpeg-proof has no base")
    assert_refused(steglib(*hide, "--survive", 75, "--model", "classic"), 2, "has no quality")
    with pytest.raises(SystemExit):
        steglib(*hide, "--survive", 60)
