"""The commands for people, as these type them: hide, reveal, inspect."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base
from test_photos import png, srgb_profile

from steglib import load_model
from steglib.__main__ import main
from steglib.channels.residues import ResidueChannel, expected_psnr
from steglib.evaluation import metrics
from steglib.images.arrays import fit_to
from steglib.images.photos import read_photo

KEY = b"correct horse"
# A process without the privileges that let root read what nobody may.
AS_PEOPLE = """import ctypes, os, sys
for privilege in (1, 2) if os.geteuid() == 0 else ():
    ctypes.CDLL(None).prctl(24, privilege, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "steglib", *sys.argv[1:]])"""
# A terminal at which somebody answers whatever is asked.
AT_A_TERMINAL = """import os, pty, sys
answers, output = sys.argv[1].split(","), b""
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-m", "steglib", *sys.argv[2:]])
with open(terminal, "r+b", buffering=0) as screen:
    while True:
        try:
            part = screen.read(1024)
        except OSError:
            break
        output += part
        if part.endswith(b": ") and answers:
            screen.write(answers.pop(0).encode() + b"\\n")
print(output.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"""


@pytest.fixture(scope="module")
def pictures(pairs):
    """A cover of 48×64 pixels and a secret of 40×40."""
    return pairs[0][0][:48], pairs[1][0][:40, :40]


@pytest.fixture
def files(tmp_path, pictures):
    paths = tmp_path / "cover.png", tmp_path / "secret.png"
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture
def steglib(capsys):
    """Runs a command within this process: exit code, stdout, stderr."""

    def run(*arguments):
        capsys.readouterr()
        return main(list(map(str, arguments))), *capsys.readouterr()

    return run


@pytest.fixture
def run_steglib(run_python):
    """Runs a command in a process of its own, as people do: exit code, stdout, stderr."""

    def run(*arguments):
        done = run_python("-m", "steglib", *arguments)
        return done.returncode, done.stdout, done.stderr

    return run


def pixels(path):
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def assert_refused(result, code, *words):
    """Exactly one line, on stderr."""
    assert result[0] == code, result
    error = result[2]
    assert error.startswith("steglib: ") and error.count("\n") == 1 and error.endswith("\n")
    for word in words:
        assert str(word) in error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Every format

SIMPLE = ("photo.jpg", "rgb.png", "photo.webp", "photo.tif", "photo.bmp", "photo.avif")
SIMPLE += ("photo.gif", "photo.jp2")
NOTES = {
    "deep.png": "16 bits a channel were reduced to 8",
    "deep-grey.png": "16 bits a channel were reduced to 8",
    "alpha.png": "transparency was flattened onto white",
    "alpha.webp": "transparency was flattened onto white",
    "film.gif": "only its first frame (of 2) is used",
    "cmyk.jpg": "CMYK colours were converted",
    "profile.png": "colours were converted from sRGB built-in to sRGB",
}
OTHERS = ("palette.png", "grey.png", "turned.jpg", *NOTES)


def save_all_formats(image, folder):
    """A file of each; their stems differ."""
    folder.mkdir()
    picture, exif = Image.fromarray(image), Image.Exif()
    for name in SIMPLE:
        picture.save(folder / name.replace("photo.", f"{name[-3:]}."))
    deep = image.astype(">u2") * 257 + 99
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    (folder / "deep.png").write_bytes(png(*picture.size, 16, 2, rows))
    Image.fromarray(np.asarray(picture.convert("L")) * np.uint16(257)).save(
        folder / "deep-grey.png"
    )
    alpha = picture.copy()
    alpha.putalpha(picture.getchannel("G"))
    alpha.save(folder / "alpha.png")
    alpha.save(folder / "alpha.webp", lossless=True)
    picture.save(folder / "film.gif", save_all=True, append_images=[picture.rotate(180)])
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.save(folder / "profile.png", icc_profile=srgb_profile(swap=True))
    picture.convert("P").save(folder / "palette.png")
    picture.convert("L").save(folder / "grey.png")
    exif[Base.Orientation] = 6
    picture.save(folder / "turned.jpg", exif=exif)
    (folder / "alpha.webp").rename(folder / "alpha-2.webp")
    return sorted(folder.iterdir())


def note_of(path):
    return NOTES.get(path.name.replace("-2", ""))


def test_every_format_is_a_cover(tmp_path, pictures, files, run_steglib):
    """Several at once, and what is hidden in them comes back."""
    covers = save_all_formats(pictures[0], tmp_path / "covers")
    assert len(covers) == len(SIMPLE) + len(OTHERS)
    stegos, back = tmp_path / "stegos", tmp_path / "back"
    code, said, error = run_steglib("hide", *covers, files[1], "-o", stegos)
    assert (code, error) == (0, "")
    assert said.count("No key was given") == 1 and said.endswith("reveal the secret.\n")
    assert names(stegos) == sorted(f"{cover.stem}.png" for cover in covers)
    hider = load_model("residue")
    for cover in covers:
        assert (f"{cover}: " in said) == bool(note_of(cover)), said
        assert not note_of(cover) or (f"{cover}: " in said and note_of(cover) in said)
        image = read_photo(cover).image
        stego, wanted = stegos / f"{cover.stem}.png", hider.hide(image, pictures[1])
        assert np.array_equal(pixels(stego), wanted), cover
        height, width = image.shape[:2]
        psnr = metrics.psnr(image[None], wanted[None])[0]
        assert f"{stego}: {width}×{height} pixels, cover PSNR {psnr:.1f} dB\n" in said
    assert pixels(stegos / "turned.png").shape == (64, 48, 3)

    result = run_steglib("reveal", files[0], *stegos.iterdir(), "-o", back)
    assert_refused(result, 3, f"{files[0]}: The image hides nothing")  # and the others are done
    assert result[1].count("40×40 pixels\n") == len(covers)
    assert names(back) == names(stegos)
    for path in back.iterdir():
        revealed, wanted = pixels(path), hider.reveal(pixels(stegos / path.name))
        assert np.abs(revealed.astype(int) - wanted).max() <= 1  # another number of threads
        assert metrics.psnr(pictures[1][None], revealed[None])[0] > 30


def test_every_format_is_a_secret(tmp_path, pictures, files, steglib, run_steglib):
    hider, stego = load_model("residue"), tmp_path / "stego.png"
    for secret in save_all_formats(pictures[1], tmp_path / "secrets"):
        code, said, error = steglib("hide", files[0], secret, "-o", stego, "--force")
        assert (code, error) == (0, ""), secret
        assert bool(note_of(secret)) == (f"{secret}: " in said)
        assert not note_of(secret) or note_of(secret) in said
        assert np.array_equal(pixels(stego), hider.hide(pictures[0], read_photo(secret).image))
    secret = tmp_path / "secrets" / "turned.jpg"
    assert run_steglib("hide", files[0], secret, "-o", tmp_path / "process.png")[0] == 0
    assert np.array_equal(
        pixels(tmp_path / "process.png"), hider.hide(pictures[0], read_photo(secret).image)
    )


@pytest.mark.parametrize("suffix, format", [(".webp", "WEBP"), (".tif", "TIFF"), (".PNG", "PNG")])
def test_other_lossless_outputs(tmp_path, pictures, files, steglib, suffix, format):
    stego, back = tmp_path / f"stego{suffix}", tmp_path / f"back{suffix}"
    assert steglib("hide", *files, "-o", stego)[0] == 0
    assert steglib("reveal", stego, "-o", back)[0] == 0
    hider = load_model("residue")
    assert Image.open(stego).format == Image.open(back).format == format
    assert np.array_equal(pixels(stego), hider.hide(*pictures))
    assert np.abs(pixels(back).astype(int) - hider.reveal(pixels(stego))).max() <= 1


# Bad inputs


def save_bad_files(good, folder):
    """What each file's line says, by the file's name."""
    whole = good.read_bytes()
    jpeg = io.BytesIO()
    Image.fromarray(pixels(good)).save(jpeg, "JPEG")
    contents = {
        "empty.png": (b"", "is empty"),
        "text.png": (b"no picture\n", "no picture"),
        "cut.png": (whole[: len(whole) // 2], "undamaged copy"),
        "cut2.jpg": (jpeg.getvalue()[:-200], "undamaged copy"),
        "no-pixels.png": (png(0, 5, 8, 2), "no picture"),
        "bomb.png": (png(12_000, 12_000, 1, 0, bytes(12_000 * 1501)), "134 megapixels"),
        "huge.png": (png(2**31 - 1, 2**31 - 1, 8, 2), "134 megapixels"),
        "forbidden.png": (whole, "permission"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    (folder / "forbidden.png").chmod(0)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    Image.new("RGB", (4, 4)).save(folder / "tiny.png")
    lines = {name: word for name, (_, word) in contents.items()}
    lines |= {"folder.png": "is a folder", "missing.png": "not found", "pipe.png": "regular file"}
    return lines | {"tiny.png": "at least 8×8"}


def assert_only_bad_ones_are_refused(done, lines, folder, good, outputs):
    assert done.returncode == 2 and "Traceback" not in done.stderr
    reported = done.stderr.splitlines()
    assert len(reported) == len(lines), done.stderr
    for name, word in lines.items():
        (line,) = (line for line in reported if f"{folder / name}" in line)
        assert line.startswith("steglib: ") and word in line
    assert names(outputs) == good


def test_bad_files_do_not_stop_the_others(tmp_path, files, run_python):
    folder, stegos = tmp_path / "bad", tmp_path / "stegos"
    folder.mkdir()
    lines = save_bad_files(files[0], folder)
    shutil.copy(files[0], folder / "last.png")
    covers = [files[0], *(folder / name for name in lines), folder / "last.png"]
    done = run_python("-c", AS_PEOPLE, "hide", *covers, files[1], "-o", stegos)
    assert_only_bad_ones_are_refused(done, lines, folder, ["cover.png", "last.png"], stegos)
    assert done.stdout.count("cover PSNR") == 2

    (folder / "last.png").unlink()
    stegos = [stegos / "last.png", *(folder / name for name in lines), stegos / "cover.png"]
    done = run_python("-c", AS_PEOPLE, "inspect", *stegos)
    assert done.returncode == 2 and done.stdout.count("It hides a picture") == 2
    assert done.stderr.count("\n") == len(lines) - 1  # it describes even tiny ones
    assert done.stdout.count("hides nothing") == 1


@pytest.mark.parametrize(
    "name, word, code", [("cut.png", "undamaged copy", 2), ("folder.png", "is a folder", 2),
                         ("bomb.png", "megapixels", 2), ("tiny.png", "8×8", 3)],
)  # fmt: skip
def test_a_bad_file_alone(tmp_path, files, steglib, run_steglib, name, word, code):
    """What is too small to be a cover can be read: it hides nothing."""
    folder, stego = tmp_path / "bad", tmp_path / "stego.png"
    folder.mkdir()
    save_bad_files(files[0], folder)
    before = names(tmp_path)
    assert_refused(run_steglib("hide", folder / name, files[1], "-o", stego), 2, name, word)
    found = steglib("hide", files[0], folder / name, "-o", stego)
    assert_refused(found, 2, name, "a side of less than 8" if code == 3 else word)
    word = "hides nothing" if code == 3 else word
    assert_refused(steglib("reveal", folder / name, "-o", stego), code, name, word)
    assert names(tmp_path) == before


def test_damage_that_c_libraries_report_is_one_line_too(tmp_path, files, run_steglib):
    path = tmp_path / "photo.tif"
    Image.open(files[0]).save(path, compression="tiff_adobe_deflate")
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    assert_refused(run_steglib("inspect", path), 2, path, "undamaged copy")


# Outputs


@pytest.mark.parametrize("command", ["hide", "reveal"])
def test_jpeg_outputs_are_refused_before_any_work(tmp_path, run_steglib, command):
    inputs = [tmp_path / "missing.png"] * (2 if command == "hide" else 1)
    result = run_steglib(command, *inputs, "-o", tmp_path / "stego.jpg")
    assert_refused(result, 2, tmp_path / "stego.jpg", "JPEG", "destroys the secret", ".png")
    assert not names(tmp_path)


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


# Sizes and models


def hidden_size(path, key=None):
    return ResidueChannel(key=key).read(pixels(path)).size


def test_secrets_far_larger_than_their_room_are_scaled(tmp_path, pictures, files, steglib):
    large, stego = tmp_path / "large.png", tmp_path / "stego.png"
    Image.fromarray(pictures[1]).resize((300, 150), Image.Resampling.BICUBIC).save(large)
    hide = ["hide", files[0], large, "-o", stego, "--force"]
    code, said, _ = steglib(*hide)
    height, width = hidden_size(stego)
    assert code == 0 and f"{stego}: the secret was scaled to {width}×{height} pixels" in said
    assert "(--size keep prevents that)" in said
    bits = 8 * ResidueChannel().capacity((48, 64, 3))
    assert width == pytest.approx(2 * height, abs=1) and height * width == pytest.approx(bits, 0.02)
    code, said, _ = steglib(*hide, "--size", "keep")
    assert code == 0 and "scaled" not in said and hidden_size(stego) == (150, 300)
    code, said, _ = steglib(*hide, "--size", "cover")
    assert code == 0 and hidden_size(stego) == (48, 64)
    assert "scaled and cropped to 64×48 pixels\n" in said
    hider = load_model("residue")
    assert np.array_equal(
        pixels(stego), hider.hide(pictures[0], fit_to(read_photo(large).image, 48, 64))
    )
    code, said, _ = steglib("hide", *files, "-o", stego, "--force")
    assert code == 0 and "scaled" not in said and hidden_size(stego) == (40, 40)


def test_secrets_that_need_more_bits_than_photographs_are_scaled_further(tmp_path, steglib):
    """Black and white noise at the room's one bit a pixel has no code at all."""
    cover, secret, rng = tmp_path / "cover.png", tmp_path / "secret.png", np.random.default_rng(0)
    save = {cover: rng.integers(99, 150, (64, 64, 3)), secret: rng.integers(0, 2, (110, 110, 3))}
    for path, image in save.items():
        Image.fromarray((image * (255 if path == secret else 1)).astype(np.uint8)).save(path)
    stego, back = tmp_path / "stego.png", tmp_path / "back.png"
    code, said, _ = steglib("hide", cover, secret, "-o", stego, "--base", 2)
    assert code == 0 and "the secret was scaled to" in said
    result = steglib("hide", cover, secret, "-o", back, "--base", 2, "--size", "keep")
    assert_refused(result, 2, "does not fit")
    assert steglib("reveal", stego, "-o", back)[0] == 0
    assert pixels(back).shape == (*hidden_size(stego), 3)


def test_secrets_with_longer_sides_than_the_format_tells(tmp_path, files, steglib):
    long, stego = tmp_path / "long.png", tmp_path / "stego.png"
    Image.new("RGB", (70_000, 8), "red").save(long)
    result = steglib("hide", files[0], long, "-o", stego, "--size", "keep")
    assert_refused(result, 2, "1…65535", "70000×8")
    assert steglib("hide", files[0], long, "-o", stego)[0] == 0
    assert hidden_size(stego)[1] < 2**16


def test_secrets_that_do_not_fit_at_all(tmp_path, files, steglib):
    """Which is known at once."""
    large, start = tmp_path / "large.png", time.monotonic()
    Image.new("RGB", (4000, 3000)).save(large)
    result = steglib("hide", files[0], large, "-o", tmp_path / "stego.png", "--size", "keep")
    assert_refused(result, 2, files[0], "does not fit")
    assert time.monotonic() - start < 10
    assert not (tmp_path / "stego.png").exists()


def test_bases(tmp_path, pictures, files, steglib):
    for base in (2, 16):
        stego = tmp_path / f"{base}.png"
        assert steglib("hide", *files, "-o", stego, "--base", base)[0] == 0
        assert ResidueChannel().read(pixels(stego)).layout.base == base
        assert np.array_equal(pixels(stego), load_model("residue", base=base).hide(*pictures))
    result = steglib("hide", *files, "-o", tmp_path / "stego.png", "--base", 17)
    assert_refused(result, 2, "base must lie in 2…16")


def test_classic_model(tmp_path, pictures, files, steglib, run_steglib):
    stego, back, hider = tmp_path / "stego.png", tmp_path / "back.png", load_model("classic")
    code, said, error = run_steglib("hide", *files, "-o", stego, "--model", "classic")
    assert (code, error) == (0, "") and "scaled and cropped to 64×48 pixels\n" in said
    expected = hider.hide(pictures[0], fit_to(pictures[1], 48, 64))
    assert np.abs(pixels(stego).astype(int) - expected).max() <= 1
    code, said, _ = steglib("reveal", stego, "-o", back, "--model", "classic")
    assert code == 0 and "look whether it is a secret" in said
    secret = fit_to(pictures[1], 48, 64)
    assert metrics.psnr(secret[None], pixels(back)[None])[0] > 25
    out = ["-o", tmp_path / "other.png", "--model"]
    keep = ["classic", "--size", "keep"]
    assert_refused(steglib("hide", *files, *out, *keep), 2, "the cover's size: omit --size keep")
    assert_refused(steglib("hide", *files, *out, "classic", "--base", 3), 2, "no base")
    assert_refused(steglib("reveal", stego, *out, "nothing"), 2, "no model 'nothing'", "residue")
    assert not (tmp_path / "other.png").exists()


# Keys and protection


@pytest.fixture
def keys(tmp_path):
    """The key's file, which ends with a line break, and another's."""
    paths = tmp_path / "key.txt", tmp_path / "other.txt"
    paths[0].write_bytes(KEY + b"\n")
    paths[1].write_bytes(b"wrong")
    return paths


def change(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def test_what_cannot_be_revealed_is_exit_code_3(tmp_path, files, keys, steglib, run_steglib):
    sealed, plain, back = (tmp_path / name for name in ("sealed.png", "plain.png", "back.png"))
    code, said, _ = steglib("hide", *files, "-o", sealed, "--key-file", keys[0])
    assert code == 0 and "No key" not in said
    assert ResidueChannel(key=KEY).read(pixels(sealed)).layout.sealed
    assert steglib("hide", *files, "-o", plain)[0] == 0
    result = run_steglib("reveal", sealed, "-o", back, "--key-file", keys[1])
    assert_refused(result, 3, sealed, "key is wrong")
    one, jpeg = pixels(sealed).copy(), tmp_path / "stego.jpg"
    one[40, 50, 1] ^= 1
    Image.open(plain).save(jpeg, quality=95)
    right = ["--key-file", keys[0]]
    for stego, options, word in (
        (change(tmp_path / "one.png", one), right, "was changed"),
        (change(tmp_path / "part.png", pixels(sealed)[:20]), right, "cropped or damaged"),
        (plain, right, "hidden without a key"),
        (files[0], right, "The key is wrong, the image hides nothing"),
        (sealed, [], "needs a key"),
        (jpeg, [], "changed since (JPEG"),
        (files[0], [], "hides nothing"),
    ):
        assert_refused(steglib("reveal", stego, "-o", back, *options), 3, f"{stego}: ", word)
    assert not back.exists()
    assert steglib("reveal", sealed, "-o", back, *right)[0] == 0
    assert pixels(back).shape == (40, 40, 3)


def test_protection_mends_changed_samples(tmp_path, files, keys, steglib):
    rng, back = np.random.default_rng(0), tmp_path / "back.png"
    large = tmp_path / "cover256.png"
    Image.open(files[0]).resize((128, 96)).save(large)
    for options in ([], ["--key-file", keys[0]]):
        stego = tmp_path / "stego.png"
        hide = ["hide", large, files[1], "-o", stego, "--force", "--protect", "low", *options]
        assert steglib(*hide)[0] == 0
        assert steglib("reveal", stego, "-o", back, "--force", *options)[0] == 0
        wanted, damaged = pixels(back), pixels(stego).copy()
        damaged.reshape(-1)[rng.choice(damaged.size, 40, replace=False)] ^= 1
        change(stego, damaged)
        code, said, _ = steglib("reveal", stego, "-o", back, "--force", *options)
        assert code == 0 and "damaged, but corrected" in said
        assert np.array_equal(pixels(back), wanted)
        said = steglib("inspect", stego, *options)[1]
        assert "protection low, damaged, but corrected" in said
        change(stego, damaged ^ rng.integers(0, 2, damaged.shape, np.uint8))
        assert_refused(steglib("reveal", stego, "-o", tmp_path / "no.png", *options), 3, stego)
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_empty_keys_are_refused(tmp_path, files, steglib, content):
    key, stego = tmp_path / "key.txt", tmp_path / "stego.png"
    key.write_bytes(content)
    assert_refused(steglib("hide", *files, "-o", stego, "--key-file", key), 2, "key is empty")
    assert not stego.exists()


def test_unreadable_key_file(tmp_path, files, run_steglib):
    for key in (tmp_path / "missing.txt", tmp_path):
        result = run_steglib("hide", *files, "-o", tmp_path / "stego.png", "--key-file", key)
        assert_refused(result, 2, f"key file {key} cannot be read")
    assert not (tmp_path / "stego.png").exists()


def test_pass_phrases_at_a_terminal(tmp_path, files, run_python):
    stego, other = tmp_path / "stego.png", tmp_path / "other.png"

    def at_a_terminal(answers, *arguments):
        done = run_python("-c", AT_A_TERMINAL, answers, *arguments, "--key-prompt")
        assert not done.stderr and not any(answer in done.stdout for answer in answers.split(","))
        return done.returncode, done.stdout

    decomposed, composed = "a\u0308pfel", "\u00e4pfel"  # as one system types it, and another
    code, said = at_a_terminal(f"{decomposed},{decomposed}", "hide", *files, "-o", stego)
    assert code == 0 and "Once more: " in said and "No key" not in said
    assert ResidueChannel(key=composed.encode()).read(pixels(stego)).size == (40, 40)
    code, said = at_a_terminal(composed, "inspect", stego)
    assert code == 0 and "with a key" in said and "Once more" not in said
    code, said = at_a_terminal("first,second", "hide", *files, "-o", other)
    assert code == 2 and "steglib: The two pass phrases differ: nothing was hidden." in said
    assert not other.exists()


def test_nobody_answers_the_prompt(tmp_path, files):
    done = subprocess.run(
        [sys.executable, "-m", "steglib", "hide", *files, "-o", tmp_path / "s.png", "--key-prompt"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,  # without a terminal
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.endswith("steglib: Nobody answers the prompt: use --key-file.\n")
    assert names(tmp_path) == ["cover.png", "secret.png"]


# Inspect


def test_inspect(tmp_path, files, keys, steglib, run_steglib):
    plain, sealed = tmp_path / "plain.png", tmp_path / "sealed.png"
    steglib("hide", *files, "-o", plain, "--base", 3)
    steglib("hide", *files, "-o", sealed, "--key-file", keys[0], "--protect", "low")
    code, said, error = run_steglib("inspect", files[0], tmp_path / "missing.png", plain, sealed)
    assert code == 2 and error.count("\n") == 1 and "missing.png was not found" in error
    cover, found, closed = said.split("PNG, 64×48 pixels")[1:]
    assert "The image hides nothing, needs a key" in cover
    bytes_ = len(ResidueChannel().read(pixels(plain)).data)
    facts = f"40×40 pixels, {bytes_} bytes, base 3, without a key, protection none"
    assert f"It hides a picture (learned): {facts}" in found
    assert "sealed: it needs its key" in closed
    for base in (3, 5):
        psnr = expected_psnr(base, pixels(files[0]))
        room = ResidueChannel(base).capacity((48, 64, 3))
        (row,) = (line for line in cover.splitlines() if line.split()[:1] == [str(base)])
        assert row.split()[1] == f"{room:,}" and f"{psnr:.1f} dB" in row
    code, said, _ = steglib("inspect", sealed, "--key-file", keys[0])
    assert code == 0 and "with a key, protection low" in said and "40×40" in said
    code, said, _ = steglib("inspect", sealed, "--key-file", keys[1])
    assert code == 0 and "The key is wrong" in said


# Interrupts


@pytest.fixture
def slow_command(tmp_path, pairs):
    """Starts to hide in a large cover, and waits until it is at it."""
    cover, secret = tmp_path / "cover.png", tmp_path / "secret.png"
    tiles = np.tile(pairs[0][0], (24, 32, 1))  # 3 megapixels
    Image.fromarray(tiles).save(cover, compress_level=1)
    picture = Image.fromarray(tiles[:512, :512])
    picture.putalpha(99)
    picture.save(secret)
    started = []

    def start(*covers, output):
        process = subprocess.Popen(
            [sys.executable, "-m", "steglib", "hide", *covers, secret, "-o", output],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # `make test &`
        )
        started.append(process)
        assert "flattened" in process.stdout.readline()
        return process

    yield cover, start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_part(folder, process):
    while not list(folder.glob(".*.part")):
        assert process.poll() is None
        time.sleep(0.001)


def test_interrupt_leaves_nothing(tmp_path, slow_command):
    cover, start = slow_command
    process = start(cover, output=tmp_path / "stego.png")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == "steglib: interrupted\n"
    assert process.returncode == 130 and names(tmp_path) == ["cover.png", "secret.png"]


@pytest.mark.parametrize("wait", [0.1, 0.4, 0.8, 1.2, 1.6])
def test_interrupt_of_a_command_that_begins(tmp_path, slow_command, wait):
    cover, _ = slow_command
    covers = [cover, *(shutil.copy(cover, tmp_path / f"cover{i}.png") for i in range(1, 8))]
    process = subprocess.Popen(
        [sys.executable, "-m", "steglib", "hide", *covers, tmp_path / "secret.png", "-o",
         tmp_path / "stegos"], stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=10)[1] in ("", "steglib: interrupted\n")
    assert process.returncode in (130, -signal.SIGINT)


def test_processes_end_with_the_first(tmp_path, slow_command):
    """Else they would live on, and keep its output open."""
    cover, start = slow_command
    other = shutil.copy(cover, tmp_path / "other.png")
    process = start(cover, other, output=tmp_path / "stegos")
    time.sleep(1)
    process.kill()
    process.communicate(timeout=10)  # ends when all have closed it


@pytest.mark.parametrize("kill", [os.killpg, os.kill])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_of_several(tmp_path, slow_command, kill, number, code):
    """A terminal or `timeout` tells all processes, `kill` one: none goes on with its work."""
    cover, start = slow_command
    covers = [cover, *(shutil.copy(cover, tmp_path / f"cover{i}.png") for i in (1, 2, 3))]
    process = start(*covers, output=tmp_path / "stegos")
    wait_for_part(tmp_path / "stegos", process)
    kill(process.pid, number)
    error = process.communicate(timeout=10)[1]
    assert error == "steglib: interrupted\n" * (code == 130) and process.returncode == code
    done = names(tmp_path / "stegos")
    assert len(done) <= 2  # at most what two processes were writing
    for name in done:
        assert pixels(tmp_path / "stegos" / name).shape == (1536, 2048, 3)


def test_interrupt_and_kill_while_writing(tmp_path, slow_command):
    cover, start = slow_command
    stego = tmp_path / "stego.png"
    process = start(cover, output=stego)
    wait_for_part(tmp_path, process)
    process.kill()
    process.communicate()
    assert not stego.exists()
    (part,) = tmp_path.glob(".*.part")
    part.unlink()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = start(cover, output=stego)
        wait_for_part(tmp_path, process)
        process.send_signal(number)
        error = process.communicate()[1]
        assert error == "steglib: interrupted\n" * (code == 130) and process.returncode == code
    assert names(tmp_path) == ["cover.png", "secret.png"]


# Help and messages


def test_output_that_nobody_reads_on(files):
    command = '"$0" -m steglib inspect "$1" "$2" | true; exit ${PIPESTATUS[0]}'
    done = subprocess.run(["bash", "-c", command, sys.executable, *files], capture_output=True)
    assert done.returncode in (0, 141) and not done.stderr


def test_without_stderr(tmp_path, files):
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-m", "steglib", "hide", *files, "-o",
         tmp_path / "stego.png"], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "cover PSNR" in done.stdout


def test_a_console_that_cannot_print_a_name(tmp_path, files, run_python):
    cover, stego = tmp_path / "\u00e4\u732b.png", tmp_path / "stego.png"
    shutil.copy(files[0], cover)
    arguments = ["-m", "steglib", "hide", cover, tmp_path / "\u732b.png", "-o", stego]
    done = run_python(*arguments, PYTHONIOENCODING="ascii")
    assert done.returncode == 2 and "\\u732b.png was not found" in done.stderr
    done = run_python("-m", "steglib", "inspect", cover, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "\\xe4\\u732b.png: PNG, 64\\xd748 pixels" in done.stdout


@pytest.mark.parametrize("command", ["hide", "reveal", "inspect"])
def test_help_has_examples_and_exit_codes(run_python, command):
    done = run_python("-X", "importtime", "-m", "steglib", command, "--help")
    assert done.returncode == 0 and f"\n  steglib {command} " in done.stdout
    assert all(words in done.stdout for words in ("exit codes: 0 done", "3 nothing to reveal"))
    assert "steglib.tool.commands" in done.stderr
    assert not {"keras", "tensorflow", "pandas"} & imported(done.stderr)


def imported(importtime):
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in importtime.splitlines()}


def test_hide_and_inspect_do_without_keras(tmp_path, files, run_python):
    stego = tmp_path / "stego.png"
    for command in (["hide", *files, "-o", stego], ["inspect", stego]):
        done = run_python("-X", "importtime", "-m", "steglib", *command)
        assert done.returncode == 0 and "numpy" in imported(done.stderr)
        assert not {"keras", "tensorflow", "pandas"} & imported(done.stderr)


def test_wrong_usage_is_exit_code_2(run_steglib):
    for arguments in (["hide", "cover.png"], ["hide", "a", "b"], ["reveal"], ["inspect"], []):
        code, _, error = run_steglib(*arguments)
        assert code == 2 and "usage: steglib" in error and "Traceback" not in error
