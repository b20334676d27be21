"""Sound picture files that Pillow does not write: as phones, cameras and other tools make them."""

import io
import struct
import zlib

import numpy as np
from malformed_files import chunk
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base

SRGB_CHRM = 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000
SWAPPED_CHRM = 31270, 32900, 30000, 60000, 64000, 33000, 15000, 6000  # red and green
TO_P3 = np.array([[0.8225, 0.1774, 0], [0.0332, 0.9669, 0], [0.0171, 0.0724, 0.9108]])
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_ADOBE = np.array([[0.7152, 0.2848, 0], [0, 1, 0], [0, 0.0412, 0.9588]])


def picture(height=48, width=64):
    """Smooth, uint8 [h, w, 3], not too saturated."""
    y, x = np.mgrid[0:height, 0:width]
    planes = 40 + x * 160 / width, 205 - y * 130 / height, 60 + (x + y) * 120 / (width + height)
    return np.stack(planes, 2).round().astype(np.uint8)


def to_light(image):
    """sRGB's samples, uint8, as light in 0…1."""
    v = image / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def from_light(light):
    """sRGB's curve: light in 0…1 as samples in 0…1."""
    grid = np.linspace(0, 1, 4096)
    return np.interp(light, to_light(grid * 255), grid)


def pq(light):
    """Light, of which 1 is 203 cd/m², as samples in 0…1 (SMPTE ST 2084)."""
    p = (np.maximum(light, 0) * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * p) / (1 + 18.6875 * p)) ** 78.84375


def hlg(light):
    """Light, of which 1 is 203 cd/m² of 1000, as samples in 0…1 (ITU-R BT.2100)."""
    e = (np.maximum(light, 0) * 0.203) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * e - 0.28466892, 1e-9)) + 0.55991073
    return np.where(e <= 1 / 12, np.sqrt(3 * e), high)


def whole(samples, bits=8):
    """Samples in 0…1 as unsigned integers."""
    return np.rint(samples * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def tiff(
    samples,
    photometric=2,
    planar=1,
    bits=None,
    order="<",
    big=False,
    compress=False,
    tags=(),
):
    """A TIFF file's bytes, of one strip for each plane.

    Args:
        samples: [h, w, n] of any type, or [h, w].
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 LAB.
        planar: 1 or 2.
        bits: of a sample, if not those of the type.
        order: "<" or ">".
        big: BigTIFF.
        compress: by zlib.
        tags: others, as (number, type, values): type 2 bytes, 3 shorts, 4 longs, 5 rationals.
    """
    samples = samples.reshape(*samples.shape[:2], -1)
    height, width, n = samples.shape
    samples = samples.astype(samples.dtype.newbyteorder(order))
    formats = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    planes = [samples[..., i] for i in range(n)] if planar == 2 else [samples]
    tags = {number: (kind, values) for number, kind, values in tags}
    data = [plane.tobytes() for plane in planes]
    if tags.get(266) == (3, [2]):
        data = [bytes(int(f"{byte:08b}"[::-1], 2) for byte in plane) for plane in data]
    if compress:
        data = [zlib.compress(plane) for plane in data]
    start = 16 if big else 8
    offsets = [start + sum(map(len, data[:i])) for i in range(len(data))]
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits or 8 * samples.dtype.itemsize] * n),
        259: (3, [8 if compress else 1]),
        262: (3, [photometric]),
        273: (4, offsets),
        277: (3, [n]),
        278: (4, [height]),
        279: (4, [len(plane) for plane in data]),
        284: (3, [planar]),
        339: (3, [formats] * n),
        **tags,
    }
    body = b"".join(data) + bytes(-sum(map(len, data)) % 8)
    directory, long = b"", "Q" if big else "I"
    for number, (kind, values) in sorted(tags.items()):
        if kind in (2, 7):
            value, count = values, len(values)
        elif kind == 5:
            flat = [v for value in values for v in (round(value * 10**6), 10**6)]
            value, count = struct.pack(f"{order}{len(flat)}I", *flat), len(values)
        else:
            value = struct.pack(f"{order}{len(values)}{'HI'[kind - 3]}", *values)
            count = len(values)
        if len(value) > struct.calcsize(long):
            where = struct.pack(order + long, start + len(body))
            body, value = body + value + bytes(-len(value) % 8), where
        directory += struct.pack(f"{order}HH{long}", number, kind, count)
        directory += value.ljust(struct.calcsize(long), b"\0")
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, 16 + len(body)) if big else b""
    head += b"" if big else struct.pack(f"{order}I", 8 + len(body))
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return head + body + count + directory + bytes(8)


def png(samples, *chunks, depth=None, colour=None):
    """A PNG file's bytes.

    Args:
        samples: uint8 or uint16 [h, w] or [h, w, n].
        chunks: name and content of those between header and samples.
        depth: of a sample, if not that of the type: 1, 2 or 4 bits.
        colour: PNG's colour type, if not that of n.
    """
    height, width = samples.shape[:2]
    samples = samples.reshape(height, width, -1)
    depth = depth or 8 * samples.dtype.itemsize
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]] if colour is None else colour
    if depth < 8:
        bits = np.unpackbits(samples[..., 0, None], axis=2)[..., -depth:]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    else:
        rows = samples.astype(">u2" if depth == 16 else "u1")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def gama(value):
    return b"gAMA", struct.pack(">I", round(value * 100000))


def chrm(values):
    return b"cHRM", struct.pack(">8I", *values)


def saved(image, kind, **options):
    """The bytes of a file that Pillow writes."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def avif(image, primaries=1, transfer=13, **options):
    """An AVIF file's bytes with colours as ITU-T H.273 numbers them."""
    data = bytearray(saved(image, "AVIF", **{"quality": 100, "subsampling": "4:4:4"} | options))
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


def heic(image, primaries=1, transfer=13, bits=8, **options):
    """A HEIC file's bytes, as `avif`; of uint16, with 10 bits."""
    import pillow_heif

    if bits == 8:
        pillow_heif.register_heif_opener()
        data = saved(image, "HEIF", **{"quality": 95, "chroma": 444} | options)
    else:
        file, mode = io.BytesIO(), "RGB;16" if image.ndim == 3 else "L;16"
        whole = pillow_heif.from_bytes(mode, image.shape[1::-1], image.astype("<u2").tobytes())
        whole.save(file, quality=95, chroma=444, **options)
        data = file.getvalue()
    data, at = bytearray(data), -1
    while (at := data.find(b"colrnclx", at + 1)) >= 0:
        data[at + 8 : at + 12] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


def _boxes(data, start, end):
    while start < end:
        size, name = struct.unpack_from(">I4s", data, start)
        yield name, start, size
        start += size


def _find(data, path):
    """Where the boxes on the way to the last of `path` begin."""
    way, start, end = [], 0, len(data)
    for name in path:
        at, size = next((a, s) for n, a, s in _boxes(data, start, end) if n == name)
        way.append(at)
        start, end = at + (12 if name in (b"meta", b"iinf", b"iref") else 8), at + size
    return way


def cropped(data, width, height, whole, left=0, top=0):
    """An AVIF or HEIC file, its first picture with a clean aperture.

    Args:
        data: the file's bytes.
        width, height, left, top: of what is seen.
        whole: width and height of the picture.
    """
    dx, dy = 2 * left + width - whole[0], 2 * top + height - whole[1]  # twice the centres' offset
    clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, dx, 2, dy, 2)
    data = bytearray(data)
    meta, iprp, ipco = _find(data, [b"meta", b"iprp", b"ipco"])
    end = ipco + struct.unpack_from(">I", data, ipco)[0]
    number = sum(1 for _ in _boxes(data, ipco + 8, end)) + 1
    ipma = _find(data, [b"meta", b"iprp", b"ipma"])[-1]
    n = data[ipma + 18]  # of the first item, whose identifier has 16 bits
    data[ipma + 18] = n + 1
    data[ipma + 19 + n : ipma + 19 + n] = bytes([0x80 | number])
    data[end:end] = clap
    for at, more in [(ipco, 40), (ipma + 40, 1), (iprp, 41), (meta, 41)]:
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + more)
    iloc = _find(data, [b"meta", b"iloc"])[-1]
    _shift(data, iloc, 41)
    return bytes(data)


def _shift(data, iloc, by):
    """Adds to where all items lie that are not in the box `idat`."""
    version, sizes = data[iloc + 8], struct.unpack_from(">H", data, iloc + 12)[0]
    offset, length, base, index = (sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15)
    (count,) = struct.unpack_from(">H", data, iloc + 14)
    at = iloc + 16
    for _ in range(count):
        at += 2
        method = 0
        if version:
            method = struct.unpack_from(">H", data, at)[0] & 15
            at += 2
        at += 2
        where = at if base else None
        at += base
        (extents,) = struct.unpack_from(">H", data, at)
        at += 2
        for _ in range(extents):
            at += index if version else 0
            if method == 0 and not (where and struct.unpack_from(">I", data, where)[0]):
                struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + by)
            at += offset + length
        if where and method == 0 and (old := struct.unpack_from(">I", data, where)[0]):
            struct.pack_into(">I", data, where, old + by)


def adobe_jpeg(image, **options):
    """A JPEG of Adobe RGB as cameras mark it: EXIF's R03, no profile."""
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.ColorSpace] = 65535
    exif.get_ifd(IFD.Exif)[IFD.Interop] = {1: "R03"}
    return saved(image, "JPEG", **{"quality": 98, "subsampling": 0, "exif": exif} | options)


def bmp(image, profile=b"", ends=None, gamma=2.2):
    """A BMP of version 5, with an ICC profile, or with calibrated end points, XYZ [3, 3]."""
    height, width, _ = image.shape
    rows = np.pad(image[::-1, :, ::-1].reshape(height, -1), ((0, 0), (0, -width * 3 % 4)))
    kind = b"DEBM" if profile else bytes(4) if ends is not None else b"BGRs"
    points = np.zeros((3, 3)) if ends is None else np.array(ends)
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, rows.size, 0, 0, 0, 0)
    head += bytes(16) + kind + struct.pack("<9i", *np.rint(points.ravel() * 2**30).astype(int))
    head += struct.pack("<3I", *[round(gamma * 65536)] * 3)
    head += struct.pack("<IIII", 4, 124 + rows.size, len(profile), 0)
    size = 14 + 124 + rows.size + len(profile)
    return struct.pack("<2sIII", b"BM", size, 0, 138) + head + rows.tobytes() + profile


def jp2(image, profile=b"", number=16):
    """A lossless JPEG 2000 file with an ICC profile, or a number, of its colours."""
    data = saved(image, "JPEG2000")
    at = data.index(b"colr") - 4
    old = int.from_bytes(data[at : at + 4], "big")
    what = b"\2\0\0" + profile if profile else b"\1\0\0" + struct.pack(">I", number)
    new = struct.pack(">I", 8 + len(what)) + b"colr" + what
    head = data.index(b"jp2h") - 4
    size = int.from_bytes(data[head : head + 4], "big") + len(new) - old
    return data[:head] + struct.pack(">I", size) + data[head + 4 : at] + new + data[at + old :]


def wide_profile():
    """An ICC profile (version 2) of Display P3's primaries with gamma 2.2."""

    def xyz(*values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(79),
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.5151, 0.2412, -0.0011),
        b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
        b"bXYZ": xyz(0.1571, 0.0666, 0.7841),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI12s12x4s28x", start + len(body), 0x02400000, b"mntrRGB XYZ ", b"acsp")
    return head + xyz(0.9642, 1, 0.8249)[8:] + bytes(48) + table + body


def in_wide(image):
    """sRGB's samples as those of `wide_profile`, uint8."""
    return whole(np.clip(to_light(image) @ TO_P3.T, 0, 1) ** (1 / 2.2))


def profile_of_lab():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
