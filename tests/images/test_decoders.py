"""A folder of all kinds of pictures: hidden, revealed, and compared with other decoders."""

import collections
import csv
import os

import corpus
import numpy as np
import pytest
from PIL import Image

from steglib.__main__ import main
from steglib.images.photos import PhotoError, read_photo

LEAST = 200  # files
# How a file tells what these decoders do not follow, and where they do otherwise.
IGNORED = {
    "pyvips": {"gAMA", "cHRM", "CICP", "chromaticities", "end points", "CMYK", "compression"},
    "cv2": {
        *("gAMA", "cHRM", "CICP", "chromaticities", "end points", "CMYK", "ICC", "clap", "irot"),
        *("tRNS of greys", "alpha of TIFF"),
    },
}
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files():
    found = list(corpus.files())
    names = [file.name for file in found]
    assert len(names) == len(set(names)) >= LEAST
    return found


def ours(data):
    try:
        return read_photo(data).image
    except PhotoError:
        return None


def by_vips(data):
    import pyvips

    try:
        image = pyvips.Image.new_from_buffer(data, "", fail_on="truncated").autorot()
        deep = image.format == "ushort"
        if image.hasalpha():
            white = 65535 if deep else 255
            image = image.flatten(background=white, max_alpha=white)
        if "icc-profile-data" in image.get_fields():
            image = image.icc_transform("srgb", embedded=True, intent="perceptual")
        image = image.colourspace("srgb").cast("uchar")
        return image.numpy()[..., :3] if image.bands >= 3 else None
    except pyvips.Error:
        return None


def by_opencv(data):
    """Its colours, upright; or, where there is transparency, its samples, flattened here."""
    import cv2

    try:
        raw = np.frombuffer(data, np.uint8)
        image, stored = cv2.imdecode(raw, cv2.IMREAD_COLOR), cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if image is None:
        return None
    if stored.ndim == 3 and stored.shape[2] == 4:
        stored = stored / (65535 if stored.dtype == np.uint16 else 255)
        flat = 1 - (1 - stored[..., :3]) * stored[..., 3:]
        image = np.rint(flat * 255)
    return image[..., ::-1]


def distance(image, other):
    if image.shape != other.shape:
        return np.inf
    return np.abs(image - other.astype(float)).mean()


def test_all_are_read_as_a_person_sees_them_or_refused(files):
    wrong = {}
    for file in files:
        image = ours(file.data)
        if (image is None) != (file.seen is None):
            wrong[file.name] = "refused" if image is None else "read"
        elif image is not None and (off := distance(image, file.seen)) > file.most:
            wrong[file.name] = off
    assert not wrong


@pytest.mark.parametrize("name, decoder", [("pyvips", by_vips), ("cv2", by_opencv)])
def test_other_decoders_agree(files, tmp_path, name, decoder):
    """Where they know how a file tells its colours; the table says where and why they do not."""
    pytest.importorskip(name)
    rows = []
    for file in files:
        image, other = ours(file.data), decoder(file.data)
        if image is None or other is None:
            verdict = {(True, True): "both refuse", (True, False): "only the other reads"}.get(
                (image is None, other is None), "only steglib reads"
            )
            off = ""
        else:
            off = round(float(distance(image, other)), 2)
            verdict = "agree" if off <= 2 * file.most else "differ"
        rows.append([file.name, verdict, off, file.told])
    with open(tmp_path / f"{name}.csv", "w", newline="") as table:
        csv.writer(table).writerows([["file", "verdict", "off", "told by"], *rows])
    print(f"\n{name}:", dict(collections.Counter(verdict for _, verdict, *_ in rows)))
    differing = [row for row in rows if row[1] == "differ"]
    print(*differing, sep="\n")
    assert {told for *_, told in differing} <= IGNORED[name]
    refused = {name for name, verdict, *_ in rows if verdict == "only the other reads"}
    assert refused <= {file.name for file in files if file.seen is None}
    assert sum(row[1] == "agree" for row in rows) > len(rows) / 2.2


def test_all_are_hidden_and_revealed(files, tmp_path, capsys):
    secret = np.asarray(Image.fromarray(corpus.SEEN).resize((24, 24)))
    Image.fromarray(secret).save(tmp_path / "secret.png")
    wrong = {}
    for file in files:
        cover, stego, back = (tmp_path / name for name in (file.name, "stego.png", "back.png"))
        cover.write_bytes(file.data)
        code = main(["hide", str(cover), str(tmp_path / "secret.png"), "-o", str(stego)])
        said = capsys.readouterr()
        if file.seen is None:
            if code != 2 or said.err.count("\n") != 1 or stego.exists():
                wrong[file.name] = code, said.err
            continue
        if code or main(["reveal", str(stego), "-o", str(back)]):
            wrong[file.name] = code, said.err
            continue
        with Image.open(back) as picture:
            if np.abs(np.asarray(picture) - secret.astype(float)).mean() > 3:
                wrong[file.name] = "revealed otherwise"
        with Image.open(stego) as picture:
            off = distance(np.asarray(picture), file.seen)
            if off > file.most + 1:
                wrong[file.name] = off
        stego.unlink()
        back.unlink()
    assert not wrong
