"""HEIC, and files of kinds that cannot be read."""

import sys

import numpy as np
import odd_files as odd
import pytest

from steglib.images import kinds
from steglib.images.photos import PhotoError, read_photo

SEEN = odd.picture()


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.JPG", "IMG_1.heif"])
def test_heic_by_any_name(tmp_path, name):
    pytest.importorskip("pillow_heif")
    (tmp_path / name).write_bytes(odd.heic(SEEN))
    photo = read_photo(tmp_path / name)
    assert np.abs(photo.image - SEEN.astype(int)).mean() < 2
    assert photo.notes == () and photo.format == "HEIF"


def test_a_jpeg_called_heic(tmp_path):
    (tmp_path / "IMG_2.HEIC").write_bytes(odd.saved(SEEN, "JPEG", quality=95))
    assert read_photo(tmp_path / "IMG_2.HEIC").format == "JPEG"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(orientation):
    from test_photos import UPRIGHT

    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    from PIL import Image
    from PIL.ExifTags import Base

    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Make] = orientation, "Maker"
    photo = read_photo(odd.saved(SEEN, "HEIF", quality=95, exif=exif.tobytes()))
    wanted = UPRIGHT[orientation](SEEN)
    assert photo.image.shape == wanted.shape
    assert np.abs(photo.image - wanted.astype(int)).mean() < 3
    kept = Image.Exif()
    kept.load(photo.exif)
    assert dict(kept) == {Base.Make: "Maker"}


def test_without_pillow_heif(monkeypatch, tmp_path):
    pytest.importorskip("pillow_heif")
    path = tmp_path / "IMG_3.HEIC"
    path.write_bytes(odd.heic(SEEN))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoError, match="pip install pillow-heif, or save it as JPEG") as error:
        read_photo(path)
    assert str(error.value).startswith(f"{path} is a HEIC picture")
    assert read_photo(odd.avif(SEEN)).format == "AVIF"


@pytest.mark.parametrize(
    "head, said",
    [
        (b"\xff\x0a" + bytes(40), "is a JPEG XL picture, which cannot be read: save it as JPEG or"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "is a JPEG XL picture"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "is a camera's raw file"),
        (b"\0\0\0\x18ftypcrx " + bytes(40), "is a camera's raw file"),
        (b"FUJIFILMCCD-RAW 0201", "is a camera's raw file"),
        (odd.tiff(SEEN, tags=[(50706, 2, b"\1\4\0\0")]), "is a camera's raw file"),
        (b"8BPS\0\1" + bytes(40), "is a Photoshop document"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\0\0\0\x14ftypqt  " + bytes(40), "is a video"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "name the picture itself"),
    ],
)
def test_other_kinds_are_named(tmp_path, head, said):
    (tmp_path / "photo.jpg").write_bytes(head)
    with pytest.raises(PhotoError) as error:
        read_photo(tmp_path / "photo.jpg")
    message = str(error.value)
    assert said in message and "\n" not in message and message.startswith(f"{tmp_path}/photo.jpg ")


def test_kinds_that_are_read_are_not_refused_by_their_first_bytes():
    for data in (odd.saved(SEEN, kind) for kind in kinds.FORMATS[:-1]):
        assert read_photo(data).image.shape == SEEN.shape
