"""Files and texts as secrets: they come back byte for byte, where the person wants them."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from shell import assert_refused, names, pixels

from steglib import load_model
from steglib.channels.files import HiddenFile
from steglib.channels.frame import Kind
from steglib.channels.residues import ResidueChannel

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 4
LONG = "n" * 251 + ".pdf"


@pytest.fixture
def cover(tmp_path, pairs):
    path = tmp_path / "cover.png"
    Image.fromarray(pairs[0][0]).save(path)
    return path


def write(path, content):
    path.write_bytes(content)
    return path


def write_stego(path, cover, name, content):
    """As another program might, with any name."""
    data = bytes([0, len(name)]) + name + content
    stego = ResidueChannel().write(pixels(cover), data, Kind.FILE, (1, 1))
    Image.fromarray(stego).save(path)
    return path


@pytest.mark.parametrize("options", ["", "--protect low", "--base 3", "--survive 75"])
@pytest.mark.parametrize(
    "name, content",
    [
        ("notes.pdf", PDF),
        ("empty.txt", b""),
        ("写真 1.bin", b"\0\xff" * 30),
        (LONG, b"a name of 255 bytes"),
    ],
)
def test_a_file_comes_back(tmp_path, pairs, steglib, name, content, options):
    cover, out = tmp_path / "cover.png", tmp_path / "out"
    Image.fromarray(np.tile(pairs[0][0], (4, 4, 1))).save(cover)
    secret, stego = write(tmp_path / name, content), tmp_path / "stego.png"
    code, said, error = steglib("hide", cover, secret, "-o", stego, *options.split())
    assert (code, error) == (0, "")
    assert f"it hides {name}, {len(content):,} bytes" in said and "cover PSNR" in said
    code, said, error = steglib("reveal", stego, "-o", out)
    assert (code, error) == (0, "") and f"{name}, {len(content):,} bytes" in said
    assert names(out) == [name] and (out / name).read_bytes() == content
    assert f"It hides {name}, {len(content):,} bytes" in steglib("inspect", stego)[1]


def test_with_a_key(tmp_path, cover, keys, steglib):
    secret, stego = write(tmp_path / "notes.pdf", PDF), tmp_path / "stego.png"
    assert steglib("hide", cover, secret, "-o", stego, "--key-file", keys[0])[0] == 0
    for options, code in (([], 3), (["--key-file", keys[1]], 3), (["--key-file", keys[0]], 0)):
        assert steglib("reveal", stego, "-o", tmp_path / "out", *options)[0] == code
    assert (tmp_path / "out/notes.pdf").read_bytes() == PDF


def test_a_text(tmp_path, cover, steglib, run_python):
    text, stego = "正午に会おう。\n– Zoë", tmp_path / "stego.png"
    code, said, _ = steglib("hide", cover, "--text", text, "-o", stego)
    assert code == 0 and f"it hides a text, {len(text.encode())} bytes" in said
    assert steglib("reveal", stego, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out/stego.txt").read_text("utf-8") == text
    assert steglib("reveal", stego, "-o", tmp_path / "note.md")[0] == 0
    assert (tmp_path / "note.md").read_text("utf-8") == text
    done = run_python("-m", "steglib", "reveal", stego, "-o", "-")
    assert done.stdout == text and "a text" in done.stderr


def test_a_text_in_each_of_several(tmp_path, cover, steglib):
    other = tmp_path / "other.png"
    Image.open(cover).rotate(180).save(other)
    assert steglib("hide", cover, other, "--text", "noon", "-o", tmp_path / "stegos")[0] == 0
    assert steglib("reveal", tmp_path / "stegos", "-o", tmp_path / "out")[0] == 0
    assert names(tmp_path / "out") == ["cover.txt", "other.txt"]


def test_several_that_hide_files_of_one_name(tmp_path, cover, steglib):
    secret, stegos = write(tmp_path / "notes.pdf", PDF), tmp_path / "stegos"
    stegos.mkdir()
    for name in "a.png", "b.png":
        assert steglib("hide", cover, secret, "-o", stegos / name)[0] == 0
    assert steglib("hide", cover, cover.parent / "notes.pdf", "-o", stegos / "c.png")[0] == 0
    code, _, error = steglib("reveal", stegos, "-o", tmp_path / "out")
    assert (code, error) == (0, "")
    assert names(tmp_path / "out") == [f"{name}-notes.pdf" for name in "abc"]


def test_a_picture_as_the_file_that_it_is(tmp_path, files, steglib):
    cover, stego = tmp_path / "large.png", tmp_path / "stego.png"
    Image.open(files[0]).resize((200, 200)).save(cover)
    assert steglib("hide", cover, files[1], "--exact", "-o", stego)[0] == 0
    assert steglib("reveal", stego, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out/secret.png").read_bytes() == files[1].read_bytes()


def test_a_damaged_picture_is_no_file_to_hide_unseen(tmp_path, files, steglib):
    half = write(tmp_path / "half.png", files[1].read_bytes()[:600])
    for content in half.read_bytes(), b"\x89PNG", b"no picture at all":
        result = steglib("hide", files[0], write(half, content), "-o", tmp_path / "s.png")
        assert_refused(result, 2, "half.png", "--exact")
    assert steglib("hide", files[0], half, "--exact", "-o", tmp_path / "s.png")[0] == 0


@pytest.mark.parametrize(
    "name, written",
    [
        (b"../../evil.txt", "evil.txt"),
        (b"/tmp/evil.txt", "evil.txt"),
        (rb"..\..\evil.txt", "evil.txt"),
        (b"..", "secret"),
        (b"not\xffutf8", "not_utf8"),
        (b"new\nline\x1b[2J", "new_line_[2J"),
    ],
)
def test_a_name_never_leads_out_of_the_folder(tmp_path, cover, steglib, name, written):
    stego = write_stego(tmp_path / "stego.png", cover, name, b"content")
    before = names(tmp_path)
    code, said, _ = steglib("reveal", stego, "-o", tmp_path / "out")
    assert code == 0 and "\x1b" not in said
    assert names(tmp_path / "out") == [written] and names(tmp_path) == sorted([*before, "out"])
    assert "\x1b" not in steglib("inspect", stego)[1]


def test_a_file_that_exists_is_kept(tmp_path, cover, steglib):
    secret, stego = write(tmp_path / "notes.pdf", PDF), tmp_path / "stego.png"
    assert steglib("hide", cover, secret, "-o", stego)[0] == 0
    secret.write_bytes(b"mine")
    result = steglib("reveal", stego, "-o", tmp_path)
    assert_refused(result, 2, "notes.pdf exists already", "--force")
    assert secret.read_bytes() == b"mine"
    assert_refused(
        steglib("reveal", stego, "-o", tmp_path, "--force"), 2, "stego.png is to be read"
    )
    (tmp_path / "out").mkdir()
    secret.rename(tmp_path / "out/notes.pdf")
    assert steglib("reveal", stego, "-o", tmp_path / "out", "--force")[0] == 0
    assert (tmp_path / "out/notes.pdf").read_bytes() == PDF


def test_what_the_person_names(tmp_path, cover, steglib):
    """A PDF that is called a picture would surprise."""
    secret, stego = write(tmp_path / "notes.pdf", PDF), tmp_path / "stego.png"
    assert steglib("hide", cover, secret, "-o", stego)[0] == 0
    result = steglib("reveal", stego, "-o", tmp_path / "secret.png")
    assert_refused(result, 2, "It hides no picture, but notes.pdf, 1,033 bytes", "or a folder")
    assert not (tmp_path / "secret.png").exists()
    for name in "mine.pdf", "mine.bin":
        assert steglib("reveal", stego, "-o", tmp_path / name)[0] == 0
        assert (tmp_path / name).read_bytes() == PDF


def test_a_revealed_picture_needs_the_name_of_one(tmp_path, files, steglib):
    stego = tmp_path / "stego.png"
    assert steglib("hide", *files, "-o", stego)[0] == 0
    result = steglib("reveal", stego, "-o", tmp_path / "secret.pdf")
    assert_refused(result, 2, "secret.pdf", "use .png")


def test_more_than_the_room(tmp_path, cover, steglib):
    noise = np.random.default_rng(0).bytes(5000)
    secret = write(tmp_path / "noise.bin", noise)
    result = steglib("hide", cover, secret, "-o", tmp_path / "s.png")
    assert_refused(result, 2, "noise.bin, 5,000 bytes", "5,011", "room for 3,", "a larger one")
    assert not (tmp_path / "s.png").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["cover.png", "notes.pdf", "--model", "classic"], ["classic hides pictures only"]),
        (["cover.png", "notes.pdf", "--size", "cover"], ["--size"]),
        (["cover.png"], ["a cover and a secret", "--text"]),
        (["cover.png", "missing.pdf"], ["missing.pdf", "not found"]),
        (["cover.png", "."], ["is a folder"]),
        (["cover.png", ".", "--exact"], ["Is a directory"]),
        (["notes.pdf", "cover.png"], ["notes.pdf is a PDF document"]),
        (["-", "-"], ["Standard input"]),
    ],
)
def test_what_cannot_be(tmp_path, cover, monkeypatch, steglib, arguments, words):
    write(tmp_path / "notes.pdf", PDF)
    monkeypatch.chdir(tmp_path)
    assert_refused(steglib("hide", *arguments, "-o", "s.png"), 2, *words)


def test_in_python(pairs):
    hider, cover = load_model("residue", key="pass phrase"), pairs[0][0]
    stego, remarks = hider.hide_file(cover, HiddenFile("a.txt", b"abc"))
    assert hider.reveal_any(stego) == (HiddenFile("a.txt", b"abc"), []) and remarks
    with pytest.raises(ValueError, match="hides a file, not a picture"):
        hider.reveal(stego)
    picture = hider.hide(cover, cover)
    assert np.array_equal(hider.reveal_any(picture)[0], hider.reveal(picture))


def pipe(data, *arguments):
    command = [sys.executable, "-m", "steglib", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True)


def test_through_pipes(tmp_path, files, steglib):
    cover, secret = (path.read_bytes() for path in files)
    stego = tmp_path / "stego.png"
    assert steglib("hide", *files, "-o", stego)[0] == 0
    assert steglib("reveal", stego, "-o", tmp_path / "revealed.png")[0] == 0
    for data, arguments in ((cover, ["-", files[1]]), (secret, [files[0], "-"])):
        done = pipe(data, "hide", *arguments, "-o", "-")
        assert done.returncode == 0 and b"cover PSNR" in done.stderr
        (tmp_path / "piped.png").write_bytes(done.stdout)
        assert np.array_equal(pixels(tmp_path / "piped.png"), pixels(stego))
        done = pipe(done.stdout, "reveal", "-", "-o", "-")
        assert done.returncode == 0
        (tmp_path / "piped.png").write_bytes(done.stdout)
        assert np.array_equal(pixels(tmp_path / "piped.png"), pixels(tmp_path / "revealed.png"))
    assert b"It hides a picture" in pipe(stego.read_bytes(), "inspect", "-").stdout


def test_any_bytes_through_pipes(tmp_path, files):
    done = pipe(PDF, "hide", files[0], "-", "-o", "-")
    done = pipe(done.stdout, "reveal", "-", "-o", "-")
    assert done.stdout == PDF and b"-: secret, 1,033 bytes" in done.stderr
    done = pipe(b"", "hide", files[0], "-", "-o", tmp_path / "s.png")
    assert done.returncode == 0 and b"it hides secret, 0 bytes" in done.stdout
    done = pipe(b"", "hide", "-", files[1], "-o", tmp_path / "t.png")
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"empty" in done.stderr
