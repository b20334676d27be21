"""Which files may be read and written, and what is said of those that may not."""

import os
import shutil

import numpy as np
import pytest
from malformed_files import MALFORMED
from PIL import Image
from PIL.ExifTags import Base
from shell import AS_PEOPLE, assert_refused, names, pixels

from steglib import load_model
from steglib.images.photos import read_photo

# Bad inputs


def save_bad_files(folder, good):
    """What must be said of each, by its name."""
    for name, (data, _) in MALFORMED.items():
        (folder / name).write_bytes(data)
    shutil.copy(good, folder / "forbidden.png")
    (folder / "forbidden.png").chmod(0)
    os.mkfifo(folder / "pipe.png")
    Image.new("RGB", (4, 4)).save(folder / "tiny.png")
    words = {name: words[0] for name, (_, words) in MALFORMED.items()}
    words |= {"missing.png": "not found", "pipe.png": "regular file"}
    return words | {"forbidden.png": "permission", "tiny.png": "at least 8×8"}


def assert_only_bad_ones_are_refused(done, lines, folder, good, outputs):
    assert done.returncode == 2 and "Traceback" not in done.stderr
    reported = done.stderr.splitlines()
    assert reported.pop().startswith(f"steglib: {len(lines)} of "), done.stderr
    assert len(reported) == len(lines), done.stderr
    for name, word in lines.items():
        (line,) = (line for line in reported if f"{folder / name}" in line)
        assert line.startswith("steglib: ") and word in line
    assert names(outputs) == good


def test_bad_files_do_not_stop_the_others(tmp_path, files, run_python):
    folder, stegos = tmp_path / "bad", tmp_path / "stegos"
    folder.mkdir()
    lines = save_bad_files(folder, files[0])
    shutil.copy(files[0], folder / "last.png")
    covers = [files[0], *(folder / name for name in lines), folder / "last.png"]
    done = run_python("-c", AS_PEOPLE, "hide", *covers, files[1], "-o", stegos)
    assert_only_bad_ones_are_refused(done, lines, folder, ["cover.png", "last.png"], stegos)
    assert done.stdout.count("cover PSNR") == 2

    (folder / "last.png").unlink()
    stegos = [stegos / "last.png", *(folder / name for name in lines), stegos / "cover.png"]
    done = run_python("-c", AS_PEOPLE, "inspect", *stegos)
    assert done.returncode == 2 and done.stdout.count("It hides a picture") == 2
    assert done.stderr.count("\n") == len(lines)  # it describes even tiny ones
    assert done.stdout.count("hides nothing") == 1


@pytest.mark.parametrize(
    "name, word, code",
    [("half-png.png", "undamaged copy", 2), ("bomb.png", "megapixels", 2), ("tiny.png", "8×8", 3)],
)
def test_a_bad_file_alone(tmp_path, files, steglib, run_steglib, name, word, code):
    """What is too small to be a cover can be read: it hides nothing."""
    folder, stego = tmp_path / "bad", tmp_path / "stego.png"
    folder.mkdir()
    save_bad_files(folder, files[0])
    before = names(tmp_path)
    assert_refused(run_steglib("hide", folder / name, files[1], "-o", stego), 2, name, word)
    found = steglib("hide", files[0], folder / name, "-o", stego)
    assert_refused(found, 2, name, "a side of less than 8" if code == 3 else word)
    word = "hides nothing" if code == 3 else word
    assert_refused(steglib("reveal", folder / name, "-o", stego), code, name, word)
    assert names(tmp_path) == before


def test_damage_that_c_libraries_report_is_one_line_too(tmp_path, run_steglib):
    path = tmp_path / "damaged-strip.tif"
    path.write_bytes(MALFORMED[path.name][0])
    assert_refused(run_steglib("inspect", path), 2, path, *MALFORMED[path.name][1])


# Outputs


@pytest.mark.parametrize(
    "options", [[], ["--quiet"], ["--rate", "1"], ["--base", "3"], ["--model", "classic"]]
)
def test_jpeg_outputs_are_refused_before_any_work(tmp_path, steglib, options):
    """With a hint at --survive, unless that would be refused as well."""
    inputs = [tmp_path / "missing.png"] * 2
    result = steglib("hide", *inputs, "-o", tmp_path / "stego.jpg", *options)
    assert_refused(result, 2, tmp_path / "stego.jpg", "JPEG", "destroys the secret", ".png")
    assert ("--survive" in result[2]) == (not options)
    assert not names(tmp_path)


def test_a_revealed_picture_may_be_a_jpeg(tmp_path, files, steglib):
    """Nothing is hidden in it."""
    assert steglib("hide", *files, "-o", tmp_path / "stego.png")[0] == 0
    assert steglib("reveal", tmp_path / "stego.png", "-o", tmp_path / "secret.jpg")[0] == 0
    assert Image.open(tmp_path / "secret.jpg").format == "JPEG"


def test_nothing_is_overwritten_unless_forced(tmp_path, files, steglib, run_steglib):
    stego = tmp_path / "stego.png"
    stego.write_bytes(b"dear old file")
    assert_refused(run_steglib("hide", *files, "-o", stego), 2, stego, "--force")
    assert_refused(steglib("reveal", files[0], "-o", stego), 2, stego, "--force")
    assert_refused(steglib("hide", files[0], *files, "-o", tmp_path), 2, "more than once")
    (tmp_path / "stegos").mkdir()
    (tmp_path / "stegos" / "cover.png").write_bytes(b"dear old file")
    other = shutil.copy(files[1], tmp_path / "other.png")
    several = ["hide", files[0], other, files[1], "-o", tmp_path / "stegos"]
    assert_refused(steglib(*several), 2, tmp_path / "stegos" / "cover.png", "--force")
    assert stego.read_bytes() == b"dear old file" and names(tmp_path / "stegos") == ["cover.png"]
    assert steglib("hide", *files, "-o", stego, "--force")[0] == 0
    assert pixels(stego).shape == (48, 64, 3)
    before = [path.read_bytes() for path in files]
    for path in files:
        result = steglib("hide", *files, "-o", path, "--force")
        assert_refused(result, 2, f"{path} is to be read")
    assert [path.read_bytes() for path in files] == before


def test_the_secret_is_no_cover(tmp_path, files, steglib):
    """As in `hide holiday/*.jpg holiday/secret.jpg`."""
    (tmp_path / "link.png").symlink_to(files[1])
    for cover in (files[1], tmp_path / "link.png"):
        result = steglib("hide", files[0], cover, files[1], "-o", tmp_path / "stegos")
        assert_refused(result, 2, f"{cover} is the secret")
    assert not (tmp_path / "stegos").exists()


def test_same_names_in_several_folders(tmp_path, files, steglib):
    (tmp_path / "other").mkdir()
    other = shutil.copy(files[0], tmp_path / "other" / "cover.jpg")
    stegos = tmp_path / "stegos"
    capital = shutil.copy(files[0], tmp_path / "other" / "Cover.png")  # the same on some disks
    for second in (other, capital):
        result = steglib("hide", files[0], second, files[1], "-o", stegos)
        assert_refused(result, 2, "cover.png would be written more than once")
        assert not stegos.exists()


def test_outputs_in_folders(tmp_path, files, steglib, run_steglib):
    (tmp_path / "stegos").mkdir()
    assert steglib("hide", *files, "-o", tmp_path / "stegos")[0] == 0
    assert names(tmp_path / "stegos") == ["cover.png"]
    assert steglib("hide", *files, "-o", tmp_path / "stegos" / "new", "--base", 2)[0] == 0
    assert names(tmp_path / "stegos") == ["cover.png", "new"]
    result = steglib("hide", *files, "-o", tmp_path / "v1.2")
    assert_refused(result, 2, "no format", "for a folder, create it first")
    result = steglib("hide", *files, "-o", tmp_path / "none" / "stego.png")
    assert_refused(result, 2, "no folder", tmp_path / "none")
    other = shutil.copy(files[1], tmp_path / "stegos" / "other.png")
    several = ["hide", files[0], other, files[1], "-o"]
    result = run_steglib(*several, files[0])
    assert_refused(result, 2, files[0])
    assert_refused(steglib(*several, tmp_path / "none" / "stegos"), 2, tmp_path / "none")
    assert_refused(steglib(*several, tmp_path / "v1.2"), 2, "must be a folder", "create it first")
    assert names(tmp_path) == ["cover.png", "secret.png", "stegos"]


def test_metadata_is_copied_only_if_asked(tmp_path, pictures, files, steglib):
    exif, cover = Image.Exif(), tmp_path / "photo.jpg"
    exif[Base.Orientation], exif[Base.Model] = 6, "Camera"
    Image.fromarray(pictures[0]).save(cover, exif=exif, comment="a comment")
    for options, wanted in (([], {}), (["--keep-metadata"], {Base.Model: "Camera"})):
        stego = tmp_path / "stego.png"
        assert steglib("hide", cover, files[1], "-o", stego, "--force", *options)[0] == 0
        with Image.open(stego) as picture:
            assert dict(picture.getexif()) == wanted
            assert not picture.getexif().get_ifd(Base.GPSInfo)
            assert not {"comment", "icc_profile", "xmp"} & set(picture.info)
        assert np.array_equal(pixels(stego), load_model("residue").hide(read_photo(cover).image,
                                                                        pictures[1]))  # fmt: skip
