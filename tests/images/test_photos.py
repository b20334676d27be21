import contextlib
import errno
import io
import os
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from corpus import UPRIGHT
from malformed_files import MALFORMED, png, srgb_profile, tiff
from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD, Base

import steglib
from steglib.images import photos
from steglib.images.photos import (
    PhotoError,
    check_output,
    read_photo,
    write_photo,
)

RED, GREY = (200, 30, 60), (90, 90, 90)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
LOSSLESS = {".png": {}, ".webp": {"lossless": True}, ".tif": {}, ".bmp": {}, ".jp2": {}}
LOSSY = {".jpg": {}, ".avif": {}, ".gif": {}}
FLATTENED = "its transparency was flattened onto white"


def save(picture, path, **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    picture.save(path, **options)
    return path


def read(picture, path, **options):
    return read_photo(save(picture, path, **options))


def saved_bytes(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def icc(space, tags):
    """An ICC profile's bytes, version 2, from `space` to Lab or XYZ."""
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\x05Test\0" + bytes(79), **tags}
    pcs = b"Lab " if b"A2B0" in tags else b"XYZ "
    white = bytes.fromhex("0000f6d6000100000000d32d")
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I4xI4s4s4s12x4s28x12s48x", start + len(body), 0x02100000, kind, space,
                         pcs, b"acsp", white)  # fmt: skip
    return header + table + body


def grey_profile():
    """Linear greys."""
    white = b"XYZ \0\0\0\0" + bytes.fromhex("0000f6d6000100000000d32d")
    return icc(b"GRAY", {b"wtpt": white, b"kTRC": b"curv\0\0\0\0\0\0\0\x01\x01\0"})


def cmyk_profile():
    """All inks are as grey: CMYK → L = 100 (1 − k) (1 − (c + m + y) / 3), a = b = 0."""
    ramp = bytes(range(256))
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(16, 4)
    light = 255 * (1 - inks[:, 3]) * (1 - inks[:, :3].mean(1))
    lab = np.stack([light, light * 0 + 128, light * 0 + 128], -1).round().astype(np.uint8)
    matrix = struct.pack(">9i", *(np.eye(3, dtype=int).ravel() << 16).tolist())
    head = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix
    return icc(b"CMYK", {b"A2B0": head + 4 * ramp + lab.tobytes() + 3 * ramp})


@pytest.fixture
def people():
    """A folder that everyone may enter, and a context in which we are not root."""

    @contextlib.contextmanager
    def not_root():
        if os.geteuid() != 0:
            yield
            return
        os.setresuid(65534, 65534, 0)
        try:
            yield
        finally:
            os.setresuid(0, 0, 0)

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder), not_root


# Reading


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_every_lossless_format_keeps_every_pixel(tmp_path, suffix):
    photo = read(NOISE, tmp_path / f"photo{suffix}", **LOSSLESS[suffix])
    assert photo.image.dtype == np.uint8 and photo.image.flags.writeable
    assert np.array_equal(photo.image, NOISE)
    assert photo.notes == () and photo.exif == b""


@pytest.mark.parametrize("suffix", LOSSY)
def test_every_lossy_format_keeps_colours(tmp_path, suffix):
    photo = read(Image.new("RGB", (33, 21), RED), tmp_path / f"photo{suffix}")
    assert photo.image.shape == (21, 33, 3) and photo.notes == ()
    assert np.abs(photo.image.astype(int) - RED).max() <= 3


def test_photos_taller_than_a_strip(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (600, 5, 3), np.uint8)
    assert np.array_equal(read(image, tmp_path / "tall.png").image, image)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_opaque_modes(tmp_path, mode, suffix):
    picture = Image.new("RGB", (5, 4), "white")
    picture.paste("black", (2, 0, 5, 4))
    photo = read(picture.convert(mode), tmp_path / f"photo{suffix}")
    assert np.array_equal(photo.image, picture) and photo.notes == ()


def transparent(mode):
    """Left transparent, middle half so, right opaque; and what is read of it."""
    picture = Image.new("RGBA", (3, 2), (*GREY, 255) if mode == "LA" else (*RED, 255))
    picture.putalpha(Image.fromarray(np.array([[0, 128, 255]] * 2, np.uint8)))
    colour = np.array(GREY if mode == "LA" else RED)
    return picture.convert(mode), [[255] * 3, 255 - (255 - colour) * 128 / 255, colour]


@pytest.mark.parametrize(
    "mode, suffix",
    [("RGBA", suffix) for suffix in (".png", ".webp", ".tif", ".jp2")]
    + [("LA", suffix) for suffix in (".png", ".tif")],
)
def test_transparency_becomes_white(tmp_path, mode, suffix):
    picture, wanted = transparent(mode)
    photo = read(picture, tmp_path / f"photo{suffix}", **LOSSLESS[suffix])
    assert np.abs(photo.image - np.array([wanted] * 2)).max() <= 1
    assert photo.notes == (FLATTENED,)


def test_transparent_palettes(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    for name, transparency in (("a.png", 0), ("b.png", b"\x00\xff"), ("c.gif", 0)):
        photo = read(picture, tmp_path / name, transparency=transparency)
        assert photo.image.tolist() == [[[255, 255, 255], [40, 50, 60]]], name
        assert photo.notes == (FLATTENED,)


@pytest.mark.parametrize("mode, transparent", [("L", 90), ("RGB", GREY), ("1", 0)])
def test_a_transparent_colour(tmp_path, mode, transparent):
    picture = Image.new(mode, (2, 1), transparent)
    picture.putpixel((1, 0), (255,) * 3 if mode == "RGB" else 255)
    photo = read(picture, tmp_path / "photo.png", transparency=transparent)
    assert (photo.image == 255).all() and photo.notes == (FLATTENED,)


def test_premultiplied_grey(tmp_path):
    tags = {256: [3], 257: [1], 258: [8, 8], 259: [1], 262: [1], 277: [2], 278: [1], 279: [6]}
    tags |= {338: [1], 273: [8 + 2 + 12 * 10 + 4]}
    (tmp_path / "photo.tif").write_bytes(tiff(tags, bytes([100, 128, 50, 255, 0, 0])))
    photo = read_photo(tmp_path / "photo.tif")
    assert photo.image[0, :, 0].tolist() == pytest.approx([227, 50, 255], abs=1)


DEEP = np.array([[0, 100 * 257, 65535], [255, 7 * 256, 1]], np.uint16)
DEEP_READ = [[0, 100, 255], [0, 7, 0]]
REDUCED = "16 bits a channel were reduced to 8"


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "grey.jp2"])
def test_16_bit_greys(tmp_path, name):
    photo = read(DEEP, tmp_path / name)
    assert (photo.image == np.array(DEEP_READ)[..., None]).all()
    assert photo.notes == (REDUCED,)


def test_16_bit_greys_of_the_other_byte_order(tmp_path):
    photo = read(DEEP.astype(">u2"), tmp_path / "photo.tif")
    assert (photo.image == np.array(DEEP_READ)[..., None]).all()


def test_16_bit_colours(tmp_path):
    rows = b"".join(b"\0" + row.repeat(3).astype(">u2").tobytes() for row in DEEP)
    (tmp_path / "photo.png").write_bytes(png(3, 2, 16, 2, rows))
    tags = {256: [3], 257: [2], 258: [16] * 3, 259: [1], 262: [2], 277: [3], 278: [2], 279: [36]}
    tags[273] = [8 + 2 + 12 * 9 + 4]
    (tmp_path / "photo.tif").write_bytes(tiff(tags, DEEP.repeat(3).astype("<u2").tobytes()))
    for name in ("photo.png", "photo.tif"):
        photo = read_photo(tmp_path / name)
        assert (photo.image == np.array(DEEP_READ)[..., None]).all()
        assert photo.notes == (REDUCED,)


@pytest.mark.parametrize("colour", [4, 6])
def test_16_bit_transparency(tmp_path, colour):
    pixel = [65535, 0] if colour == 4 else [65535, 65535, 65535, 0]
    row = b"\0" + np.array([*pixel, *[0] * (len(pixel) - 1), 65535], ">u2").tobytes()
    (tmp_path / "photo.png").write_bytes(png(2, 1, 16, colour, row))
    photo = read_photo(tmp_path / "photo.png")
    assert photo.image.tolist() == [[[255] * 3, [0] * 3]] and photo.notes == (REDUCED, FLATTENED)


def test_12_bit_greys(tmp_path):
    tags = {256: [2], 257: [1], 258: [12], 259: [1], 262: [1], 277: [1], 278: [1], 279: [3]}
    tags[273] = [8 + 2 + 12 * 9 + 4]
    (tmp_path / "photo.tif").write_bytes(tiff(tags, b"\xff\xf8\x00"))
    photo = read_photo(tmp_path / "photo.tif")
    assert photo.image[0, :, 0].tolist() == [255, 128]
    assert photo.notes == ("12 bits a channel were reduced to 8",)


def test_colours_of_5_bits_are_no_16_bits(tmp_path):
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 70, 0, 66, 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    (tmp_path / "photo.bmp").write_bytes(header + masks + b"\x00\xf8\0\0")
    photo = read_photo(tmp_path / "photo.bmp")
    assert photo.image.tolist() == [[[255, 0, 0]]] and photo.notes == ()


def test_values_without_a_convention_are_scaled(tmp_path):
    for values, wanted in (
        (np.array([[0, 35000, 70000]], np.int32), [0, 128, 255]),
        (np.array([[0.2, 0.3, 0.4]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0, 2, np.inf]], np.float32), [0, 0, 255, 255]),
        (np.array([[3, 3]], np.float32), [0, 0]),
    ):
        photo = read(values, tmp_path / "photo.tif")
        assert photo.image[0, :, 1].tolist() == wanted
        assert "scaled to 0…255" in photo.notes[0]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif", ".avif"])
def test_only_the_first_frame_is_read(tmp_path, suffix):
    first, *others = (Image.new("RGB", (9, 7), colour) for colour in ("red", "blue", "lime"))
    options = {"lossless": True} if suffix == ".webp" else {}
    path = tmp_path / f"film{suffix}"
    photo = read(first, path, save_all=True, append_images=others, **options)
    assert np.abs(photo.image.astype(int) - [255, 0, 0]).max() <= 2
    assert photo.notes == ("only its first frame (of 3) is used",)


def test_previews_that_phones_append_are_no_frames(tmp_path):
    first, second = Image.new("RGB", (32, 32), RED), Image.new("RGB", (8, 8))
    path = tmp_path / "phone.jpg"
    photo = read(first, path, format="MPO", save_all=True, append_images=[second])
    assert photo.image.shape == (32, 32, 3) and photo.notes == ()


# Not files


@pytest.mark.parametrize("wrap", [bytes, bytearray, io.BytesIO])
def test_bytes_and_file_objects(wrap):
    data = saved_bytes(NOISE)
    assert np.array_equal(read_photo(wrap(data)).image, NOISE)
    for bad in (b"", b"no picture", data[:500], b"8BPS"):
        with pytest.raises(PhotoError) as error:
            read_photo(wrap(bad))
        message = str(error.value)
        assert message.startswith("The picture ") and "\n" not in message and len(message) < 150
        assert "no picture\\n" not in message and "b'" not in message


def test_a_file_object_is_read_from_where_it_stands(tmp_path):
    (tmp_path / "two").write_bytes(b"before" + saved_bytes(NOISE))
    with open(tmp_path / "two", "rb") as file:
        file.seek(6)
        assert np.array_equal(read_photo(file).image, NOISE) and not file.closed
    with pytest.raises(TypeError):
        read_photo(io.StringIO("text"))


def test_the_package_offers_the_module():
    from steglib import photos as offered

    assert offered is photos and "photos" in dir(steglib)


# Orientation and EXIF


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg", ".avif"])
def test_photos_are_turned_upright(tmp_path, orientation, suffix):
    image = np.kron(NOISE[:3, :5], np.ones((8, 8, 1), np.uint8))
    if suffix in LOSSY:
        image = np.repeat(image[..., :1], 3, axis=2)
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    exif[Base.Make] = "Maker"
    path = tmp_path / f"photo{suffix}"
    photo = read(image, path, exif=exif, quality=100, **LOSSLESS.get(suffix, {}))
    wanted = UPRIGHT[orientation](image)
    assert photo.image.shape == wanted.shape
    assert np.abs(photo.image.astype(int) - wanted).max() <= (8 if suffix in LOSSY else 0)
    assert photo.notes == ()
    kept = Image.Exif()
    kept.load(photo.exif)
    assert dict(kept) == {Base.Make: "Maker"}


def test_16_bit_greys_are_turned_too(tmp_path):
    for name in ("photo.png", "photo.tif"):
        exif = Image.Exif()
        exif[Base.Orientation] = 6
        photo = read(DEEP, tmp_path / name, exif=exif)
        assert np.array_equal(photo.image[..., 0], np.rot90(DEEP_READ, -1))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_exif_of_the_camera_is_kept(tmp_path, suffix):
    exif = Image.Exif()
    exif[Base.Orientation] = 3
    exif[Base.Model] = "Camera"
    exif.get_ifd(Base.ExifOffset)[Base.FNumber] = 2.8
    exif.get_ifd(Base.GPSInfo)[1] = "N"
    kept = Image.Exif()
    kept.load(read(NOISE, tmp_path / f"photo{suffix}", exif=exif.tobytes()).exif)
    assert kept[Base.Model] == "Camera" and kept.get_ifd(Base.ExifOffset)[Base.FNumber] == 2.8
    assert kept.get_ifd(Base.GPSInfo)[1] == "N"
    assert set(kept) == {Base.Model, Base.ExifOffset, Base.GPSInfo}


def test_thumbnail_is_not_kept(tmp_path):
    thumbnail = {Base.ImageWidth: [77], Base.ImageLength: [77]}
    exif = b"Exif\0\0" + tiff({Base.Orientation: [1], Base.ResolutionUnit: [2]}, b"", thumbnail)
    loaded = Image.Exif()
    loaded.load(exif)
    assert loaded.get_ifd(IFD.IFD1)[Base.ImageWidth] == 77  # it has one
    kept = Image.Exif()
    photo = read(NOISE, tmp_path / "photo.jpg", exif=exif)
    kept.load(photo.exif)
    assert dict(kept) == {Base.ResolutionUnit: 2} and not kept.get_ifd(IFD.IFD1)


def test_damaged_exif_does_not_matter(tmp_path):
    photo = read(NOISE, tmp_path / "photo.png", exif=b"Exif\0\0no TIFF at all")
    assert np.array_equal(photo.image, NOISE)
    assert photo.notes == ("its damaged EXIF was ignored",) and photo.exif == b""


# Colours


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_profile_is_converted_to_srgb(tmp_path, suffix):
    picture = Image.new("RGB", (16, 16), (250, 0, 0))
    path = tmp_path / f"photo{suffix}"
    options = LOSSLESS.get(suffix, {"quality": 100})
    photo = read(picture, path, icc_profile=srgb_profile(swap=True), **options)
    assert np.abs(photo.image.astype(int) - [0, 0, 250]).max() <= 4
    (note,) = photo.notes
    assert note == "its colours were converted from sRGB built-in to sRGB"


def test_srgb_keeps_every_pixel(tmp_path):
    photo = read(NOISE, tmp_path / "photo.png", icc_profile=srgb_profile())
    assert np.array_equal(photo.image, NOISE) and photo.notes == ()


def test_profiles_of_greys(tmp_path):
    grey = Image.new("L", (4, 4), 55)
    linear = "its colours were converted from Test to sRGB"
    photo = read(grey, tmp_path / "photo.png", icc_profile=grey_profile())
    assert np.abs(photo.image.astype(int) - 128).max() <= 1 and photo.notes == (linear,)
    photo = read(grey.convert("LA"), tmp_path / "photo.png", icc_profile=grey_profile())
    assert np.abs(photo.image.astype(int) - 128).max() <= 1 and photo.notes == (linear,)
    path = tmp_path / "transparent.png"
    photo = read(grey, path, icc_profile=grey_profile(), transparency=55)
    assert (photo.image == 255).all() and photo.notes == (FLATTENED, linear)
    photo = read(grey, tmp_path / "photo.png", icc_profile=srgb_profile())
    assert (photo.image == 55).all() and photo.notes == ()


@pytest.mark.parametrize("profile", [b"no profile", srgb_profile()[:500], grey_profile()])
def test_damaged_profile_is_ignored(tmp_path, profile):
    photo = read(NOISE, tmp_path / "photo.png", icc_profile=profile)
    assert np.array_equal(photo.image, NOISE)
    assert photo.notes == ("its damaged colour profile was ignored",)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk(tmp_path, suffix):
    cyan, path = Image.new("CMYK", (16, 16), (255, 0, 0, 0)), tmp_path / f"photo{suffix}"
    photo = read(cyan, path)
    assert np.abs(photo.image.astype(int) - [0, 255, 255]).max() <= 3
    assert photo.notes == ("its CMYK colours were converted without a profile",)
    photo = read(cyan, path, icc_profile=cmyk_profile())
    assert np.abs(photo.image.astype(int) - 162).max() <= 4  # the grey of L = 66.7
    assert photo.notes == ("its colours were converted from Test to sRGB",)


def test_lab(tmp_path):
    picture = Image.new("RGB", (4, 4), RED).convert("LAB")
    photo = read(picture, tmp_path / "photo.tif")
    assert np.abs(photo.image.astype(int) - RED).max() <= 4 and photo.notes == ()


# Files that cannot be used


def assert_refused(path, *words):
    with pytest.raises(PhotoError) as error:
        read_photo(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message and ": " in message
    for word in words:
        assert word in message


def test_no_regular_file(tmp_path):
    assert_refused(tmp_path / "photo.png", "not found")
    assert_refused(str(tmp_path), "is a folder")
    os.mkfifo(tmp_path / "pipe.png")
    assert_refused(tmp_path / "pipe.png", "regular file")
    assert_refused("/dev/zero", "regular file")


def test_forbidden_file(people):
    folder, not_root = people
    path = save(NOISE, folder / "photo.png")
    path.chmod(0)
    with not_root():
        assert_refused(path, "permission")


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files(tmp_path, name):
    data, words = MALFORMED[name]
    (tmp_path / name).write_bytes(data)
    assert_refused(tmp_path / name, *words)


@pytest.mark.parametrize("suffix", LOSSLESS | LOSSY)
def test_truncated_files(tmp_path, suffix):
    whole = save(NOISE, tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"part{suffix}"
    for length in np.linspace(1, len(whole) - 24, 20).astype(int):
        path.write_bytes(whole[:length])
        assert_refused(path)


def test_what_pillow_warns_of_is_read_silently(tmp_path, monkeypatch):
    path = save(NOISE, tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", NOISE.size // 3 - 1)
    with warnings.catch_warnings(action="error"):
        assert np.array_equal(read_photo(path).image, NOISE)


@pytest.mark.parametrize(
    "error, word",
    [
        (MemoryError(), "memory"),
        (struct.error("unpack\nrequires"), "unpack requires"),
        (SyntaxError("broken PNG"), "broken PNG"),
        (AssertionError(), "AssertionError"),
        (RecursionError("deep"), "deep"),
    ],
)
def test_whatever_a_decoder_raises(tmp_path, monkeypatch, error, word):
    def load(self):
        raise error

    path = save(NOISE, tmp_path / "photo.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    assert_refused(path, word)


def test_quick_to_import_and_silent(tmp_path, run_python):
    """Pillow logs some of what it finds, and warns of some."""
    for name in ("samples.tif", "cut-tags.tif"):
        (tmp_path / name).write_bytes(MALFORMED[name][0])
    code = f"""if True:
        import sys
        from steglib.images import photos
        assert not {{"keras", "tensorflow", "pandas", "matplotlib"}} & set(sys.modules)
        for name in ("samples", "cut-tags"):
            try:
                photos.read_photo(f"{tmp_path}/{{name}}.tif")
            except photos.PhotoError:
                print(name)"""
    done = run_python("-c", code)
    assert done.stderr == "" and done.stdout.split() == ["samples", "cut-tags"]


# Writing


@pytest.mark.parametrize("name", ["a.png", "b.PNG", "c.webp", "d.tif", "e.tiff"])
def test_what_is_written_is_read(tmp_path, name):
    write_photo(NOISE, tmp_path / name)
    photo = read_photo(tmp_path / name)
    assert np.array_equal(photo.image, NOISE) and photo.notes == () and photo.exif == b""
    formats = {"p": "PNG", "w": "WEBP", "t": "TIFF"}
    with Image.open(tmp_path / name) as picture:
        assert picture.format == formats[name[2].lower()] and picture.mode == "RGB"
    write_photo(NOISE[::-1, :, ::-1], str(tmp_path / name), overwrite=True)
    assert np.array_equal(read_photo(tmp_path / name).image, NOISE[::-1, :, ::-1])
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("suffix", photos.WRITERS)
def test_exif_is_written_if_asked(tmp_path, suffix):
    exif = Image.Exif()
    exif[Base.Make] = "Maker"
    write_photo(NOISE, tmp_path / f"photo{suffix}", exif=exif.tobytes())
    photo = read_photo(tmp_path / f"photo{suffix}")
    kept = Image.Exif()
    kept.load(photo.exif)
    assert dict(kept) == {Base.Make: "Maker"} and np.array_equal(photo.image, NOISE)


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_mode_follows_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_photo(NOISE, tmp_path / "photo.png")
    finally:
        os.umask(before)
    assert (tmp_path / "photo.png").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("suffix", photos.WRITERS)
def test_a_phones_exif_is_written(tmp_path, suffix):
    """TIFF keeps what it can: neither the camera's settings nor the place."""
    exif, path = Image.Exif(), tmp_path / f"photo{suffix}"
    exif[Base.Model] = "Camera"
    exif.get_ifd(Base.ExifOffset)[Base.FNumber] = 2.8
    exif.get_ifd(Base.GPSInfo)[1] = "N"
    write_photo(NOISE, path, exif=exif.tobytes())
    photo, kept = read_photo(path), Image.Exif()
    kept.load(photo.exif)
    assert np.array_equal(photo.image, NOISE) and kept[Base.Model] == "Camera"
    assert bool(kept.get_ifd(Base.GPSInfo)) == (not suffix.startswith(".tif"))


def test_exif_that_cannot_be_written(tmp_path):
    with pytest.raises(PhotoError, match="cannot be written"):
        write_photo(NOISE, tmp_path / "photo.tif", exif=b"Exif\0\0no TIFF at all")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [False, True])
def test_failure_leaves_what_was_there(tmp_path, monkeypatch, error, existing):
    def fsync(_):
        (temporary,) = set(tmp_path.iterdir()) - {path}
        assert temporary.stat().st_size > 5000 and temporary.name.startswith(".")
        assert temporary.suffix not in photos.WRITERS
        raise error

    path = tmp_path / "photo.png"
    if existing:
        path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises((PhotoError, KeyboardInterrupt)) as raised:
        write_photo(NOISE, path, overwrite=True)
    if isinstance(error, OSError):
        assert raised.type is PhotoError and f"{path} cannot be written: No space" in str(raised)
    assert os.listdir(tmp_path) == ["photo.png"] * existing
    assert not existing or path.read_bytes() == b"old"


@pytest.mark.parametrize("links", [True, False])
def test_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch, links):
    def link(*_):
        raise OSError(errno.EPERM, "no links here")

    path, fsync = tmp_path / "photo.png", os.fsync
    if not links:
        monkeypatch.setattr(os, "link", link)
    write_photo(NOISE, path)
    assert np.array_equal(read_photo(path).image, NOISE)
    path.unlink()
    monkeypatch.setattr(os, "fsync", lambda file: (path.write_bytes(b"new"), fsync(file)))
    with pytest.raises(PhotoError, match="exists already"):
        write_photo(NOISE, path)
    assert os.listdir(tmp_path) == ["photo.png"] and path.read_bytes() == b"new"


def assert_not_written(path, *words, **options):
    for attempt in (check_output, lambda path, **options: write_photo(NOISE, path, **options)):
        with pytest.raises(PhotoError) as error:
            attempt(path, **options)
        message = str(error.value)
        assert message.startswith(str(path)) and "\n" not in message
        for word in words:
            assert word in message


def test_output_is_checked_before_the_work(tmp_path):
    for suffix in (".jpg", ".JPEG"):
        assert_not_written(tmp_path / f"photo{suffix}", "JPEG", "destroys the secret", ".png")
    for name in ("photo.gif", "photo.avif", "photo"):
        assert_not_written(tmp_path / name, "secret", ".png")
    assert_not_written(tmp_path, "is a folder")
    assert_not_written(tmp_path / "none" / "photo.png", f"no folder {tmp_path / 'none'}")
    check_output(tmp_path / "photo.png")
    (tmp_path / "photo.png").write_bytes(b"old")
    assert_not_written(str(tmp_path / "photo.png"), "exists", "--force")
    assert (tmp_path / "photo.png").read_bytes() == b"old"
    check_output(tmp_path / "photo.png", overwrite=True)
    assert os.listdir(tmp_path) == ["photo.png"]


def test_forbidden_folder(people):
    folder, not_root = people
    (folder / "closed").mkdir(mode=0o555)
    with not_root():
        assert_not_written(folder / "closed" / "photo.png", "another folder")


def test_webp_of_too_long_a_side(tmp_path):
    with pytest.raises(PhotoError, match=r"16383 pixels: use \.png"):
        write_photo(np.zeros((1, 16384, 3), np.uint8), tmp_path / "photo.webp")
    write_photo(np.zeros((1, 16383, 3), np.uint8), tmp_path / "photo.webp")


@pytest.mark.parametrize("image", [NOISE / 255, NOISE[..., 0], NOISE[..., :2], NOISE[:0]])
def test_other_arrays_are_not_written(tmp_path, image):
    with pytest.raises(ValueError, match=r"uint8 \[h, w, 3\]"):
        write_photo(image, tmp_path / "photo.png")
    assert not os.listdir(tmp_path)
