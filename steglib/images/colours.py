"""Colours, in whatever way a file describes them → sRGB."""

import functools
import io
import struct

import numpy as np
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base

from steglib.images import boxes

WHITE = 203  # cd/m² of a white that is no light: ITU-R BT.2408
KNEE = 0.5  # of the white: brighter light is compressed, as HDR has no end
ADAPTATION = np.array(  # Bradford's, from XYZ to cones (ICC.1:2022, annex E)
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
D50 = np.array([0.9642, 1, 0.8249])
D65 = 0.3127, 0.3290
SRGB = *D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06
ADOBE = *D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06
GRID = np.linspace(0, 1, 4096)


def _srgb(v):
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _smpte_240(v):
    return np.where(v < 0.0913, v / 4, ((v + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq(v):
    """SMPTE ST 2084, as ITU-R BT.2100 has it."""
    root = v ** (32 / 2523)
    light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return _roll_off(light ** (8192 / 1305) * 10_000 / WHITE)


def _hlg(v):
    """ITU-R BT.2100 on a display of 1000 cd/m²; its gamma of 1.2 for each colour alone."""
    scene = np.where(v <= 0.5, v**2 / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return _roll_off(scene**1.2 * 1000 / WHITE)


def _roll_off(light):
    """Ends at 1, whatever the light: above the knee ever flatter."""
    above = np.maximum(light - KNEE, 0) / (1 - KNEE)
    return np.minimum(light, KNEE) + (1 - KNEE) * (1 - np.exp(-above))


# Code points of ITU-T H.273 (CICP). Each: a name, and the x and y of white, red, green and blue.
PRIMARIES = {
    1: ("BT.709", SRGB),
    4: ("BT.470 M", (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: ("BT.601 (625 lines)", (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06)),
    6: ("BT.601", (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    7: ("SMPTE 240M", (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    8: ("film", (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: ("BT.2020", (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    10: ("XYZ", (1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0)),
    11: ("DCI P3", (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("Display P3", (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    22: ("EBU 3213", (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077)),
}
# BT.709 and its like are shown as sRGB, as browsers do. Each: a name, and light from samples.
TRANSFERS = {
    **dict.fromkeys((1, 2, 6, 11, 12, 13, 14, 15), ("", _srgb)),
    4: (" with gamma 2.2", lambda v: v**2.2),
    5: (" with gamma 2.8", lambda v: v**2.8),
    7: (" with SMPTE 240M's curve", _smpte_240),
    8: (" in linear light", lambda v: v),
    16: (" PQ (HDR)", _pq),
    17: (" with DCI's curve", lambda v: np.minimum(52.37 / 48 * v**2.6, 1)),
    18: (" HLG (HDR)", _hlg),
}


def rgb_profile(name: str, chromaticities, light) -> bytes:
    """An ICC profile (version 2.4) of RGB colours.

    Args:
        name: what a note calls it, ASCII.
        chromaticities: x and y of white, red, green and blue.
        light: float64 [n] or [3, n] in 0…1, of evenly spaced samples from 0 to the greatest.

    Raises:
        ValueError: the chromaticities are of no colours.
    """
    x, y = np.array(chromaticities, float).reshape(4, 2).T
    if not (np.isfinite([x, y]).all() and y[0] > 0):
        raise ValueError("no white")
    xyz = np.stack([x, y, 1 - x - y])
    white = xyz[:, 0] / y[0]
    try:
        colours = xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], white)
    except np.linalg.LinAlgError as error:
        raise ValueError("no three colours") from error
    cones = np.diag(ADAPTATION @ D50 / (ADAPTATION @ white))
    colours = np.linalg.inv(ADAPTATION) @ cones @ ADAPTATION @ colours
    if not np.isfinite(colours).all() or np.abs(colours).max() > 8:
        raise ValueError("no three colours")
    curves = np.broadcast_to(np.clip(light, 0, 1), (3, np.shape(light)[-1]))
    text = name.encode("ascii", "replace")
    tags = {
        b"desc": b"desc" + struct.pack(">4xI", len(text) + 1) + text + bytes(79),
        b"wtpt": _xyz(D50),
        **{bytes([c]) + b"XYZ": _xyz(colours[:, i]) for i, c in enumerate(b"rgb")},
        **{bytes([c]) + b"TRC": _curve(curves[i]) for i, c in enumerate(b"rgb")},
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    head = struct.pack(">I4xI12s12x4s28x", size, 0x02400000, b"mntrRGB XYZ ", b"acsp")
    return head + _xyz(D50)[8:] + bytes(48) + table + body


def _xyz(values):
    return b"XYZ " + struct.pack(">4x3i", *np.rint(np.multiply(values, 65536)).astype(int).tolist())


def _curve(light):
    return (
        b"curv" + struct.pack(">4xI", len(light)) + np.rint(light * 65535).astype(">u2").tobytes()
    )


def described(picture: Image.Image, file, notes: list[str]) -> bytes | None:
    """The ICC profile of a picture's colours, its own or made of what else the file says of them.

    Args:
        picture: as it was opened, and loaded.
        file: that holds it, open for reading.
        notes: gets a line for a description that cannot be followed.

    Returns:
        None for sRGB, also where the file says nothing.
    """
    describe = {
        "PNG": _png,
        "AVIF": _avif,
        "HEIF": _heif,
        "BMP": _bmp,
        "JPEG2000": _jpeg_2000,
        **dict.fromkeys(("JPEG", "MPO", "TIFF"), _exif),
    }.get(picture.format)
    own = picture.info.get("icc_profile")
    if describe is None or (own and picture.format != "PNG"):
        return own
    try:
        return describe(picture, file, notes)
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, struct.error):
        notes.append("its damaged colour description was ignored")
        return None


def _gamma(exponent):
    """2.2 is how all say sRGB's curve where they can say a power only."""
    return _srgb(GRID) if abs(exponent - 2.2) < 0.05 else GRID**exponent


def _cicp(primaries, transfer, notes):
    if primaries == 2:  # unspecified
        primaries = 1
    if primaries not in PRIMARIES or transfer not in TRANSFERS:
        notes.append(f"its colours (CICP {primaries}/{transfer}) were taken for sRGB")
        return None
    (name, chromaticities), (how, curve) = PRIMARIES[primaries], TRANSFERS[transfer]
    if chromaticities == SRGB and curve is _srgb:
        return None
    return rgb_profile(name + how, chromaticities, curve(GRID))


def _png(picture, file, notes):
    """The order in which they count is that of PNG's third edition, 4.3."""
    info = picture.info
    if (cicp := _png_chunk(file, b"cICP")) is not None:
        return _cicp(cicp[0], cicp[1], notes)
    if "icc_profile" in info:
        return info["icc_profile"]
    if "srgb" in info or not {"gamma", "chromaticity"} & set(info):
        return None
    light = _gamma(1 / info.get("gamma", 1 / 2.2))
    return rgb_profile("its gamma and chromaticities", info.get("chromaticity", SRGB), light)


def _png_chunk(file, wanted):
    """The content of a chunk before the samples; None if there is none."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name == wanted:
            return file.read(size)
        if name == b"IDAT":
            return None
        file.seek(size + 4, io.SEEK_CUR)
    return None


def _avif(picture, file, notes):
    file.seek(0)
    for name, content in boxes.item_properties(file.read()):
        if name == b"colr" and content[:4] == b"nclx":
            return _cicp(*struct.unpack_from(">HH", content, 4), notes)
    return None


def _heif(picture, file, notes):
    nclx = picture.info.get("nclx_profile")
    if nclx is None:
        return None
    return _cicp(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]), notes)


def _jpeg_2000(picture, file, notes):
    """The first box `colr` counts (ISO/IEC 15444-1, I.5.3.3)."""
    file.seek(0)
    header = dict(boxes.inside(file.read())).get(b"jp2h", b"")
    colours = next((content for name, content in boxes.inside(header) if name == b"colr"), b"\0")
    if colours[0] == 2:
        return colours[3:]
    number = int.from_bytes(colours[3:7], "big") if colours[0] == 1 else 16
    if number not in (0, 12, 15, 16, 17, 18):
        notes.append(f"its colours (number {number} of JPEG 2000) were taken for sRGB")
    return None


def _exif(picture, file, notes):
    """Adobe RGB as cameras say it (DCF 2.0: R03), else chromaticities."""
    try:
        exif = picture.getexif()
        camera = exif.get_ifd(IFD.Exif)
        index = exif.get_ifd(IFD.Interop).get(1) if IFD.Interop in camera else None
    except Exception:  # it may be anything; who reads it all says so
        return None
    space = camera.get(Base.ColorSpace)
    if space == 2 or (index == "R03" and space != 1):
        return rgb_profile("Adobe RGB (EXIF)", ADOBE, GRID**2.19921875)
    white, others = exif.get(Base.WhitePoint), exif.get(Base.PrimaryChromaticities)
    if space == 1 or white is None or others is None:
        return None
    light = _gamma(float(camera.get(Base.Gamma, 2.2)))
    return rgb_profile("its chromaticities", [float(v) for v in (*white, *others)], light)


def _bmp(picture, file, notes):
    """BITMAPV4HEADER and BITMAPV5HEADER, of which the latter may hold an ICC profile."""
    file.seek(0)
    head = file.read(138)
    size = int.from_bytes(head[14:18], "little")
    kind = head[70:74][::-1] if size >= 108 else b"sRGB"
    if kind == b"MBED" and size >= 124:
        start, length = struct.unpack_from("<II", head, 126)
        file.seek(14 + start)
        return file.read(length)
    if kind == b"LINK":
        notes.append("its colour profile, in another file, was ignored")
    ends = (
        np.array(struct.unpack_from("<9i", head, 74)).reshape(3, 3) / 2**30
        if kind == bytes(4)
        else np.zeros((3, 3))
    )
    if not ends.any():
        return None
    colours = np.vstack([ends.sum(0), ends])
    gammas = np.array(struct.unpack_from("<3I", head, 110)) / 65536
    light = [_gamma(gamma or 2.2) for gamma in gammas]
    return rgb_profile("its end points", (colours / colours.sum(1, keepdims=True))[:, :2], light)


def to_srgb(picture: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Converts colours without transparency; notes get a line where they change.

    Args:
        picture: of a mode of 8 bits.
        profile: what `described` returned.
        notes: gets a line about what was done.
    """
    mode = "L" if Image.getmodebase(picture.mode) == "L" else "RGB"
    mode = "CMYK" if picture.mode == "CMYK" else mode
    if not profile or picture.mode == "LAB":  # Pillow knows what LAB means by itself
        if mode == "CMYK":
            notes.append("its CMYK colours were converted without a profile")
        return picture
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if mode == "L" and source.profile.xcolor_space == "RGB ":
            mode = "RGB"
        transform = ImageCms.buildTransform(source, _srgb_profile(), mode, "RGB")
        if not _changes_colours(transform, mode):
            return picture
        if picture.mode != mode:
            picture = picture.convert(mode)
        picture = ImageCms.applyTransform(picture, transform)
        name = " ".join(ImageCms.getProfileDescription(source).split())
        notes.append(f"its colours were converted from {name or 'its profile'} to sRGB")
    except ImageCms.PyCMSError:
        notes.append("its damaged colour profile was ignored")
    return picture


@functools.cache
def _srgb_profile():
    return ImageCms.createProfile("sRGB")


def _changes_colours(transform, mode):
    """Whether it does more than rounding to a lattice of 16³ colours."""
    lattice = np.mgrid[0:256:17, 0:256:17, 0:256:17].reshape(3, 64, 64).transpose(1, 2, 0)
    before = Image.fromarray(lattice.astype(np.uint8)).convert(mode)
    after = ImageCms.applyTransform(before, transform)
    return np.abs(np.subtract(before.convert("RGB"), after, dtype=np.int16)).max() > 2
