"""Damaged files through the command line; this file is also the process that does it."""

import collections
import contextlib
import faulthandler
import io
import json
import os
import shutil
import struct
import sys
import time
import zlib
from pathlib import Path

import corpus
import numpy as np
import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from PIL import Image

from steglib import __main__ as cli
from steglib import load_model
from steglib.channels import seal as sealing
from steglib.channels.frame import HEADER, Kind
from steglib.channels.residues import ResidueChannel
from steglib.codec.rate import STEPS
from steglib.codec.transform import TURNS, tiles
from steglib.images import photos as picture_files

FEW, MANY = (150, 14, 10), (9500, 300, 200)  # photos, stego images, forged ones
LONGEST = 60  # seconds, on a slow machine
KEY = b"pass phrase"
HUGE = [2**31 - 1, 2**32 - 1, 65535, 30_000, 12_000]


@pytest.mark.slow
@pytest.mark.parametrize("numbers, least", [(FEW, 2), (MANY, 10)], ids=["few", "many"])
def test_damaged_files_end_in_a_picture_or_one_error(tmp_path, run_python, numbers, least):
    path = os.pathsep.join([str(Path(corpus.__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = run_python(__file__, tmp_path, *numbers, CUDA_VISIBLE_DEVICES="", PYTHONPATH=path)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["slowest"][-1][0] < LONGEST
    counts = found["counts"]
    print(counts, found["slowest"][-1])
    assert sum(counts.values()) == sum(numbers)
    for command in ("hide 0", "hide 2", "inspect 0", "inspect 2", "reveal 0", "reveal 3"):
        assert counts[command] >= least, counts  # it is no one-sided test


def main(folder, *numbers):
    sealing.Scrypt = lambda n, **others: Scrypt(n=n >> 13, **others)  # else 0.4 s each
    picture_files.MAX_PIXELS = 2**22  # what damage makes a sound, huge picture takes minutes
    rng, counts = np.random.default_rng(0), collections.Counter()
    wrong, times = [], []
    work, log = folder / "work", open(folder / "log", "ab")  # noqa: SIM115
    (folder / "key").write_bytes(KEY)
    good, secret = folder / "good.png", folder / "secret.png"
    Image.fromarray(draw(rng, 24, 32)).save(good)
    shutil.copy(good, secret)
    assert not run(["hide", good, secret, "-o", folder / "stego.png"])
    assert not run(["reveal", folder / "stego.png", "-o", folder / "revealed.png"])
    screen = os.dup(2)
    for number, (kind, suffix, data) in enumerate(damaged(rng, *numbers)):
        work.mkdir()
        file, output = work / f"damaged{suffix}", work / "output.png"
        file.write_bytes(data)
        arguments = command(kind, rng, file, folder)
        wants_output = arguments[0] != "inspect"
        arguments += ["-o", output] * wants_output
        faulthandler.dump_traceback_later(LONGEST, exit=True, file=sys.__stdout__)
        start = time.monotonic()
        printed = io.StringIO()
        log.truncate(0)
        os.dup2(log.fileno(), 2)  # also what C libraries write
        try:
            with contextlib.redirect_stdout(printed):
                code = run(arguments)
        except BaseException as error:
            code = repr(error)
        times.append((time.monotonic() - start, number, arguments[0], suffix))
        faulthandler.cancel_dump_traceback_later()
        sys.stderr.flush()
        os.dup2(screen, 2)
        said = Path(log.name).read_text()
        counts[f"{arguments[0]} {code}"] += 1
        if not is_well(code, said, printed.getvalue(), file, output, wants_output):
            kept = file.rename(folder / f"{number}{suffix}")
            wrong.append([str(kept), arguments[0], str(code), said, printed.getvalue()[-300:]])
        for path in work.iterdir():
            path.unlink()
        work.rmdir()
    print(json.dumps({"slowest": sorted(times)[-8:], "counts": counts, "wrong": wrong[:20]}))


def run(arguments):
    return cli.main(list(map(str, arguments)))


def command(kind, rng, file, folder):
    if kind == "photo":
        good = folder / "good.png"
        return [["hide", file, good], ["hide", good, file], ["inspect", file]][rng.integers(3)]
    key = ["--key-file", folder / "key"] * (kind == "sealed")
    return [["reveal", file, *key], ["inspect", file, *key]][int(rng.random() < 0.3)]


def is_well(code, said, printed, file, output, wants_output):
    left = set(file.parent.iterdir()) - {file}
    if code in (2, 3):
        one = said.startswith("steglib: ") and said.count("\n") == 1 and said.endswith("\n")
        return one and str(file.parent.parent) in said and not left
    if code != 0 or said:
        return False
    if not wants_output:
        return not left and printed.startswith(f"{file}: ")
    with Image.open(output) as picture:
        picture.load()
    claimed = f"{output}: {picture.width}×{picture.height} pixels"
    return left == {output} and picture.mode == "RGB" and claimed in printed


def damaged(rng, n_photos, n_stegos, n_forged):
    """Kind ("photo", "plain" or "sealed"), suffix and bytes of each file."""
    files = list(photos(rng))
    for i in range(n_photos):
        suffix, data = files[i % len(files)]
        others = [other for name, other in files if name == suffix or i % 2]
        yield "photo", suffix, damage(rng, data, others[rng.integers(len(others))])
    files = list(stegos(rng))
    for i in range(n_stegos):
        kind, stego = files[i % len(files)]
        if i % 3:  # damaged samples in a sound file, or the other way round
            yield kind, ".png", encoded(".png", Image.fromarray(disturb(rng, stego)))
        else:
            other = encoded(".png", Image.fromarray(files[rng.integers(len(files))][1]))
            yield kind, ".png", damage(rng, encoded(".png", Image.fromarray(stego)), other)
    for i in range(n_forged):
        kind, stego = forge(rng, i)
        yield kind, ".png", encoded(".png", Image.fromarray(stego))


def draw(rng, height, width):
    """Not noise, so that all codecs have something to do."""
    small = Image.fromarray(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def encoded(suffix, picture, **options):
    file = io.BytesIO()
    names = {".jpg": "JPEG", ".tif": "TIFF", ".jp2": "JPEG2000"}
    picture.save(file, names.get(suffix, suffix[1:].upper()), **options)
    return file.getvalue()


def photos(rng):
    """Suffix and bytes of a valid file of each kind."""
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, "Maker"
    for height, width in ((16, 24), (48, 64)):
        rgb = Image.fromarray(draw(rng, height, width))
        alpha = rgb.copy()
        alpha.putalpha(rgb.getchannel("R"))
        deep = Image.fromarray(np.asarray(rgb.convert("L")) * np.uint16(257))
        frames = {"save_all": True, "append_images": [rgb.rotate(180)]}
        for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp", ".avif", ".gif", ".jp2"):
            yield suffix, encoded(suffix, rgb)
        for suffix in (".png", ".webp", ".tif", ".jp2", ".avif"):
            yield suffix, encoded(suffix, alpha)
        for mode in ("1", "L", "P", "LA"):
            yield ".png", encoded(".png", rgb.convert(mode))
        for suffix in (".png", ".tif", ".jp2"):
            yield suffix, encoded(suffix, deep)
        for suffix in (".jpg", ".png", ".webp", ".tif"):
            yield suffix, encoded(suffix, rgb, exif=exif.tobytes())
        for suffix in (".png", ".gif", ".webp", ".tif"):
            yield suffix, encoded(suffix, rgb, **frames)
        yield ".jpg", encoded(".jpg", rgb, progressive=True)
        yield ".jpg", encoded(".jpg", rgb.convert("CMYK"))
        yield ".webp", encoded(".webp", rgb, lossless=True)
        yield ".bmp", encoded(".bmp", rgb.convert("P"))
        for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
            yield ".tif", encoded(".tif", rgb, compression=compression)
    for file in corpus.files():  # HEIC and AVIF with all their boxes, TIFF of all layouts, …
        if file.seen is not None:
            yield Path(file.name).suffix, file.data


def damage(rng, data, other):
    """One of many accidents; `other` is another file."""
    data, n = bytearray(data), len(data)
    ways = [flip_bits, flip_bytes, flip_header, truncate, insert, delete, splice, enlarge, enlarge]
    ways += [flip_inside] * 2
    return bytes(ways[rng.integers(len(ways))](rng, data, n, other))


def flip_bits(rng, data, n, _):
    for place in rng.integers(0, n, rng.integers(1, 9)):
        data[place] ^= 1 << rng.integers(8)
    return data


def flip_bytes(rng, data, n, _):
    for place in rng.integers(0, n, rng.integers(1, 33)):
        data[place] = rng.integers(256)
    return data


def flip_header(rng, data, n, _):
    for place in rng.integers(0, min(n, 64), rng.integers(1, 4)):
        data[place] = rng.choice([0, 1, 127, 128, 255])
    return data


def flip_inside(rng, data, n, other):
    """What else is checked remains right: a PNG's chunk, or a box that says what a picture is."""
    if data.startswith(b"\x89PNG"):
        chunks, at = [], 8
        while at + 12 <= n:
            size = int.from_bytes(data[at : at + 4], "big")
            chunks += [(at, size)] * (size > 0 and data[at + 4 : at + 8] != b"IDAT")
            at += 12 + size
        at, size = chunks[rng.integers(len(chunks))]
        data[at + 8 + rng.integers(size)] = rng.choice([0, 1, 2, 9, 127, 128, 255])
        struct.pack_into(">I", data, at + 8 + size, zlib.crc32(data[at + 4 : at + 8 + size]))
        return data
    names = [b"ipma", b"ipco", b"colr", b"clap", b"pixi", b"ispe", b"iloc", b"pitm", b"hvcC"]
    places = [at for name in (*names, b"jp2h", b"ihdr") if (at := data.find(name)) > 0]
    if not places:
        return flip_bytes(rng, data, min(n, 600), other)
    at = places[rng.integers(len(places))]
    for place in at - 4 + rng.integers(0, 40, rng.integers(1, 5)):
        data[min(place, n - 1)] = rng.choice([0, 1, 2, 9, 127, 128, 255])
    return data


def truncate(rng, data, n, _):
    return data[: rng.integers(0, n)]


def insert(rng, data, n, _):
    place = rng.integers(0, n)
    return data[:place] + rng.bytes(rng.integers(1, 40)) + data[place:]


def delete(rng, data, n, _):
    place = rng.integers(0, n)
    return data[:place] + data[place + rng.integers(1, 40) :]


def splice(rng, data, n, other):
    return data[: rng.integers(1, n)] + other[rng.integers(0, len(other)) :]


def enlarge(rng, data, n, _):
    """A huge size where the format says it, and whatever else must be right."""
    width, height = rng.choice(HUGE, 2).tolist()
    if data.startswith(b"\x89PNG"):
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif data.startswith(b"BM"):
        data[18:26] = struct.pack("<II", width, height)
    elif data.startswith(b"GIF"):
        data[6:10] = struct.pack("<HH", width & 65535, height & 65535)
    elif data.startswith((b"II*\0", b"MM\0*")):
        return enlarge_tiff(rng, data, width)
    elif data.startswith(b"\xff\xd8"):
        place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        data[place + 5 : place + 9] = struct.pack(">HH", height & 65535, width & 65535)
    elif data.startswith(b"RIFF"):
        if (place := data.find(b"VP8X")) > 0:
            data[place + 12 : place + 18] = b"\xff\xff\0" * 2
        else:
            data[24:30] = rng.bytes(2) + b"\xff\x3f\xff\x3f"
    else:  # boxes: AVIF, JPEG 2000
        place = data.find(b"ispe") + 8 if b"ispe" in data else data.find(b"ihdr") + 4
        data[place : place + 8] = struct.pack(">II", width, height)
        if (place := data.find(b"\xff\x4f\xff\x51")) > 0:
            data[place + 8 : place + 16] = struct.pack(">II", width, height)
    return data


def enlarge_tiff(rng, data, value):
    """Any of its first directory's tags, sizes, counts and offsets among them, becomes huge."""
    order = "<>"[data.startswith(b"MM")]
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, start)[0]
    for entry in rng.integers(0, count, rng.integers(1, 4)).tolist():
        struct.pack_into(f"{order}H", data, start + 4 + 12 * entry, 4)  # a long
        place = 4 if rng.random() < 0.3 else 8
        struct.pack_into(f"{order}I", data, start + 2 + 12 * entry + place, value)
    return data


def stegos(rng):
    """Kind and pixels of valid ones."""
    for key, kind in ((None, "plain"), (KEY, "sealed")):
        for level in range(4):
            for code in ({"base": 2}, {"base": 16}, {"rate": 0.8}, {"rate": 2.32}, {"rate": 4.0}):
                hider = load_model("residue", key=key, level=level, **code)
                cover = draw(rng, 40, 48)
                yield kind, hider.hide(cover, draw(rng, 16, 16))


def disturb(rng, stego):
    """Changes some samples, in places or everywhere, or crops."""
    stego = stego.copy()
    way = rng.integers(4)
    if way == 0:
        return stego[rng.integers(0, 3) :, rng.integers(0, 3) :]
    if way == 1:
        top, left = rng.integers(0, 30, 2)
        stego[top : top + 8, left : left + 8] = 255
        return stego
    where = rng.integers(0, 128 if way == 2 else stego.size, 2 ** rng.integers(0, 9))
    stego.reshape(-1)[where] ^= 1
    return stego


def forge(rng, i):
    """Kind and pixels of a stego image in which all checksums are right, and nothing else."""
    base, level = int(rng.integers(2, 17)), int(rng.integers(0, 4)) * (i % 2)
    code = {"rate": float(rng.uniform(0.5, 4))} if rng.random() < 0.5 else {"base": base}
    key, kind = ((KEY, "sealed"), (None, "plain"))[int(rng.random() < 0.7)]
    sizes = [(65535, 2000), (11_000, 11_000), (1, 65535), (65535, 1), (4000, 3000), (8, 8), (16, 9)]
    size = sizes[rng.integers(len(sizes))]
    cover = draw(rng, 40, 48)
    words = 4 * int(rng.integers(0, 100))
    if i % 4 == 0:  # sound, but for its step and its colours
        good = ResidueChannel().read(load_model("residue", **code).hide(cover, draw(rng, 16, 16)))
        data, size = good.data[3:], good.size
        cover = draw(rng, 64, 64)
    else:
        data = [rng.bytes(words), bytes(words), b"\xff" * words][rng.integers(3)]
    channel = ResidueChannel(key=key, level=level, **code)
    room, count = channel.capacity(cover.shape), len(tiles(*size))
    head = int(rng.integers(0, STEPS)).to_bytes(2, "big") + bytes([rng.integers(0, TURNS)])
    before = (3).to_bytes(4, "big") * (count - 1) + head * count  # only the last tile has words
    before = before if len(before) <= room else head
    data = before + data[: max(0, room - len(before)) // 4 * 4]
    if i % 10 == 1:
        data = data[: -int(rng.integers(1, 4))]
    stego = channel.write(
        cover, data, Kind(rng.integers(0, 6)) if i % 8 == 0 else Kind.LEARNED, size
    )
    if i % 5 == 2:  # codes that no version writes, or another does
        head = bytearray(
            HEADER.pack(b"sg", rng.choice([0x20, 0x24]), (base - 1) << 4 | 1, len(data), *size)
        )
        head[2 + rng.integers(2)] = rng.integers(256)
        stego = ResidueChannel(base).write(cover, data, size=size)
        head += zlib.crc32(data, zlib.crc32(head)).to_bytes(4, "big")
        bits = np.unpackbits(np.frombuffer(head, np.uint8), bitorder="little")
        samples = stego.reshape(-1)[: len(bits)]
        samples[:] = samples & 254 | bits
        kind = "plain"
    return kind, stego


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
