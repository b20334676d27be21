"""What becomes of files that are hidden in, hidden, revealed and inspected."""

import re
import time

import numpy as np
import pytest
from malformed_files import png, srgb_profile
from PIL import Image
from PIL.ExifTags import Base
from shell import KEY, assert_refused, change, hidden, names, pixels

from steglib import load_model, zoo
from steglib.channels.residues import ResidueChannel
from steglib.evaluation import metrics
from steglib.images.arrays import fit_to
from steglib.images.photos import read_photo

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
        changed = f"{100 * np.mean(image != wanted):.3g}% of samples changed"
        line = f"{stego}: {width}×{height} pixels, cover PSNR {psnr:.1f} dB, {changed}\n"
        assert line in said
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


# Sizes and models


def test_secrets_far_larger_than_their_room_are_scaled(tmp_path, pictures, files, steglib):
    large, stego = tmp_path / "large.png", tmp_path / "stego.png"
    Image.fromarray(pictures[1]).resize((300, 150), Image.Resampling.BICUBIC).save(large)
    hide = ["hide", files[0], large, "-o", stego, "--force"]
    code, said, _ = steglib(*hide)
    height, width = hidden(stego).size
    assert code == 0 and f"{stego}: the secret was scaled to {width}×{height} pixels" in said
    assert "(--size keep prevents that)" in said
    bits = 8 * ResidueChannel().capacity((48, 64, 3))
    assert width == pytest.approx(2 * height, abs=1) and height * width == pytest.approx(bits, 0.02)
    code, said, _ = steglib(*hide, "--size", "keep")
    assert code == 0 and "scaled" not in said and hidden(stego).size == (150, 300)
    code, said, _ = steglib(*hide, "--size", "cover")
    assert code == 0 and hidden(stego).size == (48, 64)
    assert "scaled and cropped to 64×48 pixels\n" in said
    hider = load_model("residue")
    assert np.array_equal(
        pixels(stego), hider.hide(pictures[0], fit_to(read_photo(large).image, 48, 64))
    )
    code, said, _ = steglib("hide", *files, "-o", stego, "--force")
    assert code == 0 and "scaled" not in said and hidden(stego).size == (40, 40)


def test_secrets_that_need_more_bits_than_photographs_are_scaled_further(tmp_path, steglib):
    """Black and white noise at the room's one bit a pixel is no JPEG file at all."""
    cover, secret, rng = tmp_path / "cover.png", tmp_path / "secret.png", np.random.default_rng(0)
    save = {cover: rng.integers(99, 150, (64, 64, 3)), secret: rng.integers(0, 2, (110, 110, 3))}
    for path, image in save.items():
        Image.fromarray((image * (255 if path == secret else 1)).astype(np.uint8)).save(path)
    stego, back = tmp_path / "stego.png", tmp_path / "back.png"
    hide = ["hide", cover, secret, "--model", "jpeg", "--base", 2]
    code, said, _ = steglib(*hide, "-o", stego)
    assert code == 0 and "the secret was scaled to" in said
    result = steglib(*hide, "-o", back, "--size", "keep")
    assert_refused(result, 2, "does not fit")
    assert steglib("reveal", stego, "-o", back)[0] == 0
    assert pixels(back).shape == (*hidden(stego).size, 3)


def test_secrets_with_longer_sides_than_the_format_tells(tmp_path, files, steglib):
    long, stego = tmp_path / "long.png", tmp_path / "stego.png"
    Image.new("RGB", (70_000, 8), "red").save(long)
    result = steglib("hide", files[0], long, "-o", stego, "--size", "keep")
    assert_refused(result, 2, "1…65535", "70000×8")
    assert steglib("hide", files[0], long, "-o", stego)[0] == 0
    assert hidden(stego).size[1] < 2**16


def test_secrets_that_do_not_fit_at_all(tmp_path, files, steglib):
    """Which is known at once."""
    large, start = tmp_path / "large.png", time.monotonic()
    Image.new("RGB", (4000, 3000)).save(large)
    result = steglib("hide", files[0], large, "-o", tmp_path / "stego.png", "--size", "keep")
    assert_refused(result, 2, files[0], "does not fit")
    assert time.monotonic() - start < 60
    assert not (tmp_path / "stego.png").exists()


def test_bases(tmp_path, pictures, files, steglib):
    for base in (2, 16):
        stego = tmp_path / f"{base}.png"
        assert steglib("hide", *files, "-o", stego, "--base", base)[0] == 0
        assert hidden(stego).layout.base == base and hidden(stego).layout.memory == 1
        assert np.array_equal(pixels(stego), load_model("residue", base=base).hide(*pictures))
    result = steglib("hide", *files, "-o", tmp_path / "stego.png", "--base", 17)
    assert_refused(result, 2, "base must lie in 2…16")


def test_rates(tmp_path, pictures, files, steglib):
    """All of one is used; by default, or with "auto", no more than makes the secret good."""
    stego = tmp_path / "stego.png"
    for options, rate in (
        (["--rate", "0.75"], 0.75),
        (["--rate", 3], 3),
        (["--rate", "auto"], None),
    ):
        hide = steglib("hide", *files, "-o", stego, "--force", *options)
        assert hide[0] == 0
        assert np.array_equal(pixels(stego), load_model("residue", rate=rate).hide(*pictures))
    assert np.array_equal(pixels(stego), load_model("residue").hide(*pictures))
    for rate in ("0", "4.1", "-1", "nan"):
        result = steglib("hide", *files, "-o", tmp_path / "no.png", f"--rate={rate}")
        assert_refused(result, 2, "rate must lie above 0 and up to 4")
    result = steglib("hide", *files, "-o", tmp_path / "no.png", "--rate", 2, "--survive", 75)
    assert_refused(result, 2, "jpeg-proof has no rate")
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize("options", [[], ["--rate", 0.4], ["--base", 3]])
def test_what_was_hidden_is_told(tmp_path, pictures, files, steglib, options):
    """Bits in each sample, both PSNR, and the share of samples that changed."""
    stego, back = tmp_path / "stego.png", tmp_path / "back.png"
    _, said, _ = steglib("hide", *files, "-o", stego, *options)
    assert steglib("reveal", stego, "-o", back)[0] == 0
    bits = float(re.search(rf"^{stego}: (\S+) bits in each sample$", said, re.M)[1])
    assert bits == pytest.approx(8 * len(hidden(stego).data) / pixels(stego).size, rel=0.005)
    line = rf"^{stego}: the secret comes back with about (\S+) dB$"
    found = metrics.psnr(pictures[1][None], pixels(back)[None])[0]
    told = float(re.search(line, said, re.M)[1])
    assert told == pytest.approx(found, abs=0.4) or min(told, found) > 53
    psnr = metrics.psnr(pictures[0][None], pixels(stego)[None])[0]
    share = 100 * np.mean(pictures[0] != pixels(stego))
    assert f"pixels, cover PSNR {psnr:.1f} dB, {share:.3g}% of samples changed" in said


def test_a_small_secret_leaves_a_large_cover_nearly_alone(tmp_path, files, steglib):
    large, stego = tmp_path / "large.png", tmp_path / "stego.png"
    Image.open(files[0]).resize((640, 480), Image.Resampling.BICUBIC).save(large)
    code, said, _ = steglib("hide", large, files[1], "-o", stego)
    changed = pixels(large) != pixels(stego)
    assert code == 0 and 0 < changed.mean() < 0.02
    assert metrics.psnr(pixels(large)[None], pixels(stego)[None])[0] > 65
    assert np.abs(pixels(large).astype(int) - pixels(stego)).max() == 1
    bits, share = (float(re.search(rf"(\S+){what}", said)[1]) for what in (" bits in", "% of"))
    assert bits < 0.1 and share == pytest.approx(100 * changed.mean(), rel=0.01)


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


def test_what_cannot_be_revealed_is_exit_code_3(tmp_path, files, keys, steglib, run_steglib):
    sealed, plain, back = (tmp_path / name for name in ("sealed.png", "plain.png", "back.png"))
    code, said, _ = steglib("hide", *files, "-o", sealed, "--key-file", keys[0])
    assert code == 0 and "No key" not in said and hidden(sealed, KEY).layout.sealed
    assert steglib("hide", *files, "-o", plain)[0] == 0
    result = run_steglib("reveal", sealed, "-o", back, "--key-file", keys[1])
    assert_refused(result, 3, sealed, "key is wrong")
    one, jpeg = pixels(sealed).copy(), tmp_path / "stego.jpg"
    one[40, 50, 1] ^= 1
    Image.open(plain).save(jpeg, quality=95)
    right = ["--key-file", keys[0]]
    for stego, options, word in (
        (change(tmp_path / "one.png", one), right, "was changed"),
        (change(tmp_path / "part.png", pixels(sealed)[:9]), right, "cropped or damaged"),
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


# Inspect


def test_inspect(tmp_path, files, keys, steglib, run_steglib):
    plain, sealed = tmp_path / "plain.png", tmp_path / "sealed.png"
    steglib("hide", *files, "-o", plain, "--base", 3)
    steglib("hide", *files, "-o", sealed, "--key-file", keys[0], "--protect", "low")
    code, said, error = run_steglib("inspect", files[0], tmp_path / "missing.png", plain, sealed)
    assert code == 2 and error.count("\n") == 1 and "missing.png was not found" in error
    cover, found, closed = said.split("PNG, 64×48 pixels")[1:]
    assert "The image hides nothing, needs a key" in cover
    bytes_ = len(hidden(plain).data)
    facts = f"40×40 pixels, {bytes_} bytes, base 3, without a key, protection none"
    assert f"It hides a picture (learned): {facts}" in found
    assert "sealed: it needs its key" in closed
    code, said, _ = steglib("inspect", sealed, "--key-file", keys[0])
    assert code == 0 and "with a key, protection low" in said and "40×40" in said
    code, said, _ = steglib("inspect", sealed, "--key-file", keys[1])
    assert code == 0 and "The key is wrong" in said


def test_inspect_tells_how_much_of_a_trellis_is_used(tmp_path, files, keys, steglib):
    stego = tmp_path / "stego.png"
    for options, key in ((["--rate", 1.45], []), ([], ["--key-file", keys[0]])):
        assert steglib("hide", *files, "-o", stego, "--force", *options, *key)[0] == 0
        data = hidden(stego, KEY if key else None).data
        facts = f"40×40 pixels, {len(data)} bytes, {8 * len(data) / (48 * 64 * 3):.3g} bits in each"
        said = steglib("inspect", stego, *key)[1]
        kind = "with a key" if key else "without a key"
        assert f"(learned): {facts} sample, {kind}, protection none" in said


def test_inspect_lists_rates_for_a_cover(tmp_path, files, keys, steglib, monkeypatch):
    """What its card scores: how much would fit, and about how much it would change."""
    names = [f"residue, {rate} bits a sample" for rate in ("1", "1.45", "2.32", "3")]
    scores = {name: {"secret_psnr": 30.0 + i} for i, name in enumerate([*names, "residue, base 3"])}
    monkeypatch.setattr(zoo, "load_card", lambda name: {"scores": scores})
    for key in ([], ["--key-file", keys[0]]):
        code, said, _ = steglib("inspect", files[0], *key)
        rows = [line.split() for line in said.splitlines() if re.match(r" +[\d.]+ +[\d,]+ ", line)]
        assert code == 0 and [row[0] for row in rows] == ["1", "1.45", "2.32", "3"]
        for row, floor, told in zip(rows, (53, 50.3, 45, 41), (30, 31, 32, 33), strict=True):
            channel = ResidueChannel(key=KEY if key else None, rate=float(row[0]))
            room = channel.capacity((48, 64, 3))
            assert row[1] == f"{room:,}" and float(row[2]) == pytest.approx(
                8 * room / 48 / 64, 0.01
            )
            assert floor < float(row[3]) < floor + 3 and row[5:] == [f"{told:.1f}", "dB"]


def test_inspect_foretells_what_a_cover_loses(tmp_path, files, steglib, monkeypatch):
    """Also one of which only some rows are tried."""
    large, rate = tmp_path / "large.png", 1.45
    Image.open(files[0]).resize((640, 480), Image.Resampling.BICUBIC).save(large)
    scores = {"residue, 1.45 bits a sample": {"secret_psnr": 30.0}}
    monkeypatch.setattr(zoo, "load_card", lambda name: {"scores": scores})
    said = steglib("inspect", large)[1]
    (row,) = (line.split() for line in said.splitlines() if line.split()[:1] == ["1.45"])
    channel, cover = ResidueChannel(rate=rate), pixels(large)
    stego = channel.write(cover, np.random.default_rng(1).bytes(channel.capacity(cover.shape)))
    assert float(row[3]) == pytest.approx(metrics.psnr(cover[None], stego[None])[0], abs=0.2)
