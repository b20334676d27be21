import lzma
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steglib.channels import files
from steglib.channels.files import HiddenFile, pack, safe_name, shorten, unpack
from steglib.channels.frame import PayloadError

# The first letter keeps them apart from what Windows reserves, as COM0.
PLAIN_NAMES = st.text(st.characters(categories=["L", "N"]), max_size=60).map("a{}".format)


@given(PLAIN_NAMES, st.binary(max_size=2000) | st.builds(bytes, st.integers(0, 50_000)))
def test_every_byte_comes_back(name, content):
    file = HiddenFile(name, content)
    assert unpack(pack(file)) == file


@given(st.text(max_size=3000))
def test_a_text_has_no_name(text):
    found = unpack(pack(HiddenFile("", text.encode(errors="surrogatepass"))))
    assert found.is_text and found.content.decode(errors="surrogatepass") == text
    assert str(found) == f"a text, {len(found.content):,} bytes"


def test_compressed_where_that_helps():
    text = b"Far out in the uncharted backwaters of the unfashionable end. " * 500
    noise = np.random.default_rng(0).bytes(5000)
    assert len(pack(HiddenFile("a.txt", text))) < 200
    assert len(pack(HiddenFile("a.bin", noise))) == len(noise) + len("a.bin") + 2
    short = pack(HiddenFile("", b"noon"))
    assert len(short) == 6


@pytest.mark.parametrize("size", [0, 1, 255])
def test_names_of_any_length(size):
    file = HiddenFile("n" * size, b"content")
    assert unpack(pack(file)) == file


def test_names_that_are_too_long():
    with pytest.raises(ValueError, match="at most 255 bytes, not 256"):
        pack(HiddenFile("é" * 128, b""))


def test_files_that_are_too_large(monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 1000)
    assert unpack(pack(HiddenFile("a", bytes(1000)))).content == bytes(1000)
    with pytest.raises(ValueError, match="1,000 bytes at most, not 1,001"):
        pack(HiddenFile("a", bytes(1001)))


@pytest.mark.parametrize("way", [1, 2])
def test_bombs_are_refused(way, monkeypatch):
    plain = b"\1a" + bytes(10**6)
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = {
        1: deflate.compress(plain) + deflate.flush(),
        2: lzma.compress(plain, lzma.FORMAT_RAW, filters=files.RAW_LZMA),
    }
    assert len(unpack(bytes([way]) + packed[way]).content) == 10**6
    monkeypatch.setattr(files, "LARGEST", 10**6 - 300)
    with pytest.raises(PayloadError):
        unpack(bytes([way]) + packed[way])


@given(st.binary(max_size=40))
def test_other_bytes_are_refused_or_are_a_file(data):
    try:
        found = unpack(data)
    except PayloadError:
        return
    assert found.name == "" or found.name == safe_name(found.name)


@pytest.mark.parametrize(
    "name, safe",
    [
        ("notes.pdf", "notes.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        (r"..\..\boot.ini", "boot.ini"),
        (r"C:\boot.ini", "boot.ini"),
        ("C:boot.ini", "C_boot.ini"),
        ("..", "secret"),
        (".", "secret"),
        ("a/", "secret"),
        (".bashrc", ".bashrc"),
        ("line\nbreak\0\x1b[31m.txt", "line_break__[31m.txt"),
        ("con.txt", "_con.txt"),
        ("NUL", "_NUL"),
        ("COM0", "_COM0"),
        ("lpt².log", "_lpt².log"),
        ("console.txt", "console.txt"),
        ("trailing. . ", "trailing"),
        ("写真.jpg", "写真.jpg"),
        ("a\u202egpj.exe", "a_gpj.exe"),
    ],
)
def test_names_lead_nowhere(name, safe):
    assert safe_name(name) == safe
    assert unpack(pack(HiddenFile(name, b"x"))).name == safe


@given(st.text(min_size=1, max_size=300))
def test_safe_names_stay_in_their_folder(tmp_path_factory, name):
    safe = safe_name(name)
    folder = tmp_path_factory.getbasetemp()
    assert (folder / shorten(safe)).parent == folder and safe not in ("", ".", "..")
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    "name, short",
    [
        ("a.txt", "a.txt"),
        ("é" * 200 + ".txt", "é" * 125 + ".txt"),
        ("a" * 300, "a" * 255),
        ("a." + "b" * 300, "a." + "b" * 253),
        (".b", ".b"),
    ],
)
def test_shorten(name, short):
    assert shorten(name) == short
