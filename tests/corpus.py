"""Pictures of all kinds, and what a person sees of each.

`python tests/corpus.py FOLDER` writes them all.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import odd_files as odd
from PIL import Image
from PIL.ExifTags import Base

SEEN = odd.picture()
GREY = SEEN[..., 0]
LIGHT = odd.to_light(SEEN)
IN_P3 = odd.whole(odd.from_light(np.clip(LIGHT @ odd.TO_P3.T, 0, 1)))
IN_2020 = np.clip(LIGHT @ odd.TO_2020.T, 0, 1)
SWAPPED = SEEN[..., [1, 0, 2]].copy()
OPACITY = np.clip(np.arange(64) * 8 - 100, 0, 255).astype(np.uint8)[None, :, None].repeat(48, 0)
FLAT = np.rint(255 - (255.0 - SEEN) * (OPACITY / 255)).astype(np.uint8)
LOSSY = 4  # grey levels, in the mean
UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}


@dataclass(frozen=True)
class File:
    """One picture file.

    Attributes:
        name: with a suffix; the part before the first "-" is the format.
        data: its bytes.
        seen: uint8 [h, w, 3], what a person should see; None if it must be refused.
        most: grey levels, in the mean, by which a decoder may be off.
        told: how it tells its colours, if other decoders may not know that.
    """

    name: str
    data: bytes
    seen: np.ndarray | None = None
    most: float = 1
    told: str = ""


def grey(samples):
    return np.repeat(np.asarray(samples)[..., None], 3, 2).astype(np.uint8)


def with_alpha(image):
    return np.concatenate([image, OPACITY], 2)


def deep(image):
    return image.astype(np.uint16) * 257


def oriented(orientation):
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return exif


def files() -> Iterator[File]:
    """All of them: sound ones, damaged ones, and some of kinds that cannot be read."""
    sound = []
    for make in (_png, _jpeg, _webp, _tiff, _bmp, _gif, _avif, _heic, _jp2):
        for file in make():
            sound.append(file)
            yield file
    yield from _unknown()
    first = {}
    for file in sound:
        first.setdefault(file.name.partition("-")[0], file)
    for kind, file in first.items():
        n, suffix = len(file.data), Path(file.name).suffix
        for what, data in (
            ("half", file.data[: n // 2]),
            ("head", file.data[:12]),
            ("shifted", file.data[7:]),
            ("tail", file.data[: n - n // 5]),
        ):
            yield File(f"{kind}-damaged-{what}{suffix}", data)


def _png():
    yield File("png-rgb.png", odd.png(SEEN), SEEN)
    yield File("png-rgb16.png", odd.png(deep(SEEN)), SEEN)
    yield File("png-rgba.png", odd.png(with_alpha(SEEN)), FLAT)
    yield File("png-rgba16.png", odd.png(deep(with_alpha(SEEN))), FLAT)
    two = with_alpha(SEEN)[..., [0, 3]]
    yield File("png-la.png", odd.png(two), grey(FLAT[..., 0]))
    yield File("png-la16.png", odd.png(deep(two)), grey(FLAT[..., 0]))
    for depth in (1, 2, 4, 8, 16):
        most = 2**depth - 1
        levels = (GREY.astype(np.int64) * (most + 1) // 256).astype("u2" if depth == 16 else "u1")
        small = depth if depth < 8 else None
        seen = grey(levels.astype(np.int64) * 255 // most)
        yield File(f"png-grey{depth}.png", odd.png(levels, depth=small), seen)
        level = int(levels[0, 0])
        hole = np.where((levels == level)[..., None], 255, seen).astype(np.uint8)
        trns = b"tRNS", level.to_bytes(2, "big")
        data = odd.png(levels, trns, depth=small)
        yield File(f"png-grey{depth}-trns.png", data, hole, 1, "tRNS of greys")
    for bits in (8, 16):
        samples = SEEN if bits == 8 else deep(SEEN)
        colour = samples[0, 0].astype(">u2")
        hole = np.where((samples == samples[0, 0]).all(2)[..., None], 255, SEEN).astype(np.uint8)
        data = odd.png(samples, (b"tRNS", colour.tobytes()))
        yield File(f"png-rgb{bits}-trns.png", data, hole)
    for bits in (1, 2, 4, 8):
        few = Image.fromarray(SEEN).quantize(2**bits)
        seen = np.asarray(few.convert("RGB"))
        yield File(f"png-palette{bits}.png", odd.saved(few, "PNG", bits=bits), seen)
        index = few.getpixel((0, 0))
        hole = np.where((np.asarray(few) == index)[..., None], 255, seen).astype(np.uint8)
        data = odd.saved(few, "PNG", bits=bits, transparency=index)
        yield File(f"png-palette{bits}-trns.png", data, hole)
    for i in range(1, 9):
        data = odd.saved(SEEN, "PNG", exif=oriented(i))
        yield File(f"png-turned{i}.png", data, UPRIGHT[i](SEEN))
    film = odd.saved(SEEN, "PNG", save_all=True, append_images=[Image.fromarray(SWAPPED)])
    yield File("png-animated.png", film, SEEN)
    wide = odd.saved(odd.in_wide(SEEN), "PNG", icc_profile=odd.wide_profile())
    yield File("png-icc.png", wide, SEEN, 1, "ICC")
    grey_wide = odd.saved(GREY, "PNG", icc_profile=b"damaged")
    yield File("png-icc-damaged.png", grey_wide, grey(GREY))
    for gamma in (1.0, 0.55, 0.45455, 0.3):
        power = SEEN if gamma == 0.45455 else odd.whole(LIGHT**gamma, 16)
        told = "" if gamma == 0.45455 else "gAMA"
        yield File(f"png-gama{gamma}.png", odd.png(power, odd.gama(gamma)), SEEN, 1, told)
    swapped = odd.png(SWAPPED, odd.gama(0.45455), odd.chrm(odd.SWAPPED_CHRM))
    yield File("png-chrm.png", swapped, SEEN, 1, "cHRM")
    sound = odd.png(SEEN, odd.gama(0.45455), odd.chrm(odd.SRGB_CHRM))
    yield File("png-chrm-srgb.png", sound, SEEN)
    yield File("png-srgb.png", odd.png(SEEN, (b"sRGB", b"\0"), odd.gama(1)), SEEN)
    for name, samples, numbers in _numbered():
        data = odd.png(samples, (b"cICP", bytes([*numbers, 0, 1])))
        most = 6 if name in ("pq", "hlg") else 1
        yield File(f"png-cicp-{name}.png", data, SEEN, most, "" if name == "srgb" else "CICP")


def _numbered():
    yield "srgb", SEEN, (1, 13)
    yield "p3", IN_P3, (12, 13)
    yield "pq", odd.whole(odd.pq(IN_2020)), (9, 16)
    yield "hlg", odd.whole(odd.hlg(IN_2020)), (9, 18)
    yield "2020", odd.whole(odd.from_light(IN_2020)), (9, 14)


def _jpeg():
    for name, options in {
        "444": {"subsampling": 0},
        "422": {"subsampling": 1},
        "420": {"subsampling": 2},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_blocks": 4},
        "optimised": {"optimize": True},
    }.items():
        yield File(f"jpeg-{name}.jpg", odd.saved(SEEN, "JPEG", quality=95, **options), SEEN, LOSSY)
    yield File("jpeg-grey.jpg", odd.saved(GREY, "JPEG", quality=95), grey(GREY), LOSSY)
    inks = Image.fromarray(SEEN).convert("CMYK")
    data = odd.saved(inks, "JPEG", quality=98)
    yield File("jpeg-cmyk.jpg", data, np.asarray(inks.convert("RGB")), LOSSY, "CMYK")
    for i in range(1, 9):
        data = odd.saved(SEEN, "JPEG", quality=97, subsampling=0, exif=oriented(i))
        yield File(f"jpeg-turned{i}.jpg", data, UPRIGHT[i](SEEN), LOSSY)
    wide = odd.saved(
        odd.in_wide(SEEN), "JPEG", quality=97, subsampling=0, icc_profile=odd.wide_profile()
    )
    yield File("jpeg-icc.jpg", wide, SEEN, LOSSY, "ICC")
    adobe = odd.whole(np.clip(LIGHT @ odd.TO_ADOBE.T, 0, 1) ** (1 / 2.2))
    yield File("jpeg-r03.jpg", odd.adobe_jpeg(adobe), SEEN, LOSSY, "EXIF")
    data = odd.saved(SEEN, "JPEG", quality=97, exif=b"Exif\0\0nothing")
    yield File("jpeg-bad-exif.jpg", data, SEEN, LOSSY)
    small = Image.fromarray(SEEN[:16, :16])
    data = odd.saved(SEEN, "MPO", quality=95, save_all=True, append_images=[small])
    yield File("jpeg-mpo.jpg", data, SEEN, LOSSY)


def _webp():
    for name, options in {"lossless": {"lossless": True}, "lossy": {"quality": 95}}.items():
        most = 1 if name == "lossless" else LOSSY
        yield File(f"webp-{name}.webp", odd.saved(SEEN, "WEBP", **options), SEEN, most)
        data = odd.saved(with_alpha(SEEN), "WEBP", exact=True, **options)
        yield File(f"webp-{name}-alpha.webp", data, FLAT, most)
        data = odd.saved(
            odd.in_wide(SEEN), "WEBP", icc_profile=odd.wide_profile(), exact=True, **options
        )
        yield File(f"webp-{name}-icc.webp", data, SEEN, most, "ICC")
    film = [Image.fromarray(SWAPPED)]
    data = odd.saved(SEEN, "WEBP", lossless=True, save_all=True, append_images=film)
    yield File("webp-animated.webp", data, SEEN)
    for i in range(1, 9):
        data = odd.saved(SEEN, "WEBP", lossless=True, exif=oriented(i))
        yield File(f"webp-turned{i}.webp", data, UPRIGHT[i](SEEN), 1)


def _tiff():
    inks = np.asarray(Image.fromarray(SEEN).convert("CMYK"))
    over = with_alpha(SEEN)
    before = np.rint(SEEN * (OPACITY / 255)).astype(np.uint8)
    kinds = {
        "rgb": (SEEN, {}, SEEN),
        "alpha": (over, {"tags": [(338, 3, [2])]}, FLAT),
        "premultiplied": (np.concatenate([before, OPACITY], 2), {"tags": [(338, 3, [1])]}, FLAT),
        "cmyk": (
            inks,
            {"photometric": 5},
            np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")),
        ),
        "grey": (GREY, {"photometric": 1}, grey(GREY)),
        "white": (255 - GREY, {"photometric": 0}, grey(GREY)),
    }
    for name, (samples, options, seen) in kinds.items():
        told = {"cmyk": "CMYK", "rgb": "", "grey": "", "white": ""}.get(name, "alpha of TIFF")
        for bits in (8, 16):
            deeper = samples if bits == 8 else deep(samples)
            for planar in (1, 2) if samples.ndim == 3 else (1,):
                for order in "<>" if bits == 16 and (name, bits) != ("white", 16) else "<":
                    for compress in (False, True):
                        data = odd.tiff(
                            deeper, planar=planar, order=order, compress=compress, **options
                        )
                        layout = f"{bits}{'-planes' * (planar == 2)}{'-be' * (order == '>')}"
                        layout += "-zip" * compress
                        yield File(f"tiff-{name}{layout}.tif", data, seen, 2, told)
    yield File("tiff-big.tif", odd.tiff(SEEN, big=True), SEEN)
    yield File("tiff-big16-planes.tif", odd.tiff(deep(SEEN), big=True, planar=2), SEEN)
    for i in range(1, 9):
        data = odd.tiff(SEEN, tags=[(274, 3, [i])], compress=i % 2 == 0)
        yield File(f"tiff-turned{i}.tif", data, UPRIGHT[i](SEEN))
    wide = [(34675, 7, odd.wide_profile())]
    yield File("tiff-icc.tif", odd.tiff(odd.in_wide(SEEN), tags=wide), SEEN, 1, "ICC")
    white = [(318, 5, [0.3127, 0.3290]), (319, 5, [0.3, 0.6, 0.64, 0.33, 0.15, 0.06])]
    yield File("tiff-chromaticities.tif", odd.tiff(SWAPPED, tags=white), SEEN, 1, "chromaticities")
    yield File("tiff-fill-order.tif", odd.tiff(SEEN, tags=[(266, 3, [2])]), SEEN)
    for compression in ("tiff_lzw", "packbits", "jpeg", "lzma", "zstd"):
        most = LOSSY if compression == "jpeg" else 1
        data = odd.saved(SEEN, "TIFF", compression=compression)
        told = "compression" if compression in ("lzma", "zstd") else ""
        yield File(f"tiff-{compression}.tif", data, SEEN, most, told)
    film = odd.saved(SEEN, "TIFF", save_all=True, append_images=[Image.fromarray(SWAPPED)])
    yield File("tiff-pages.tif", film, SEEN)
    for name, samples, options in (
        ("float-rgb", np.float32(SEEN / 255), {}),
        ("half-rgb", np.float16(SEEN / 255), {}),
        ("signed-rgb", deep(SEEN).view(np.int16), {}),
        ("lab16", deep(SEEN), {"photometric": 8}),
        ("bits12-rgb", deep(SEEN), {"bits": 12}),
        ("big-be", SEEN, {"order": ">", "big": True}),
        ("white16-be", deep(GREY), {"photometric": 0, "order": ">"}),
    ):
        yield File(f"tiff-{name}.tif", odd.tiff(samples, **options))


def _bmp():
    yield File("bmp-24.bmp", odd.saved(SEEN, "BMP"), SEEN)
    yield File("bmp-grey.bmp", odd.saved(GREY, "BMP"), grey(GREY))
    few = Image.fromarray(SEEN).quantize(200)
    yield File("bmp-palette.bmp", odd.saved(few, "BMP"), np.asarray(few.convert("RGB")))
    bits = Image.fromarray(GREY).point(lambda v: 255 * (v > 99)).convert("1")
    yield File("bmp-1.bmp", odd.saved(bits, "BMP"), np.asarray(bits.convert("RGB")))
    yield File("bmp-v5.bmp", odd.bmp(SEEN), SEEN)
    yield File("bmp-icc.bmp", odd.bmp(odd.in_wide(SEEN), odd.wide_profile()), SEEN, 1, "ICC")
    ends = np.array([[0.3576, 0.7152, 0.1192], [0.4124, 0.2126, 0.0193], [0.1805, 0.0722, 0.9505]])
    yield File("bmp-ends.bmp", odd.bmp(SWAPPED, ends=ends), SEEN, 1, "end points")


def _gif():
    few = Image.fromarray(SEEN).quantize(200)
    seen = np.asarray(few.convert("RGB"))
    yield File("gif-plain.gif", odd.saved(few, "GIF"), seen)
    index = few.getpixel((0, 0))
    hole = np.where((np.asarray(few) == index)[..., None], 255, seen).astype(np.uint8)
    yield File("gif-transparent.gif", odd.saved(few, "GIF", transparency=index), hole)
    yield File("gif-interlaced.gif", odd.saved(few, "GIF", interlace=True), seen)
    film = [Image.fromarray(SWAPPED)]
    yield File("gif-animated.gif", odd.saved(few, "GIF", save_all=True, append_images=film), seen)


def _boxes(kind, make, suffix, **alpha):
    yield File(f"{kind}-rgb{suffix}", make(SEEN), SEEN, LOSSY)
    yield File(f"{kind}-alpha{suffix}", make(with_alpha(SEEN), **alpha), FLAT, 2 * LOSSY)
    for name, samples, numbers in _numbered():
        data = make(samples, *numbers)
        told = "" if name == "srgb" else "CICP"
        yield File(f"{kind}-cicp-{name}{suffix}", data, SEEN, 2 * LOSSY, told)
    data = odd.cropped(make(SEEN), 40, 30, (64, 48), 8, 6)
    yield File(f"{kind}-crop{suffix}", data, SEEN[6:36, 8:48], LOSSY, "clap")
    kinds = {"avif": "AVIF", "heic": "HEIF"}
    for i in range(1, 9):
        data = odd.saved(SEEN, kinds[kind], quality=95, exif=oriented(i).tobytes())
        yield File(f"{kind}-turned{i}{suffix}", data, UPRIGHT[i](SEEN), LOSSY, "irot")
    data = odd.saved(odd.in_wide(SEEN), kinds[kind], quality=97, icc_profile=odd.wide_profile())
    yield File(f"{kind}-icc{suffix}", data, SEEN, LOSSY, "ICC")


def _avif():
    yield from _boxes("avif", odd.avif, ".avif")
    data = odd.avif(SEEN, subsampling="4:2:0", quality=90)
    yield File("avif-420.avif", data, SEEN, LOSSY)
    film = odd.avif(SEEN, save_all=True, append_images=[Image.fromarray(SWAPPED)])
    yield File("avif-animated.avif", film, SEEN, LOSSY)


def _heic():
    try:
        import pillow_heif
    except ModuleNotFoundError:
        return
    pillow_heif.register_heif_opener()
    yield from _boxes("heic", odd.heic, ".heic")
    yield File("heic-called-jpg.JPG", odd.heic(SEEN), SEEN, LOSSY)
    yield File("heic-grey.heic", odd.heic(GREY), grey(GREY), LOSSY)
    yield File("heic-10.heic", odd.heic(deep(SEEN), bits=16), SEEN, LOSSY)
    yield File("heic-10-grey.heic", odd.heic(deep(GREY), bits=16), grey(GREY), LOSSY)
    yield File("heic-odd-size.heic", odd.heic(SEEN[:47, :63]), SEEN[:47, :63], LOSSY)


def _jp2():
    yield File("jp2-rgb.jp2", odd.saved(SEEN, "JPEG2000"), SEEN)
    yield File("jp2-grey.jp2", odd.saved(GREY, "JPEG2000"), grey(GREY))
    yield File("jp2-grey16.jp2", odd.saved(deep(GREY), "JPEG2000"), grey(GREY))
    yield File("jp2-rgba.jp2", odd.saved(with_alpha(SEEN), "JPEG2000"), FLAT, 2)
    data = odd.saved(SEEN, "JPEG2000", irreversible=True, quality_layers=[3])
    yield File("jp2-lossy.jp2", data, SEEN, LOSSY)
    yield File("jp2-codestream.j2k", odd.saved(SEEN, "JPEG2000", no_jp2=True), SEEN)
    yield File("jp2-icc.jp2", odd.jp2(odd.in_wide(SEEN), odd.wide_profile()), SEEN, 1, "ICC")


def _unknown():
    for name, head in {
        "jxl.jxl": b"\xff\x0a",
        "jxl.jpg": b"\0\0\0\x0cJXL \r\n\x87\n",
        "raw.cr2": b"II*\0\x10\0\0\0CR\2\0",
        "raw.cr3": b"\0\0\0\x18ftypcrx ",
        "raw.raf": b"FUJIFILMCCD-RAW 0201",
        "photoshop.psd": b"8BPS\0\1",
        "mac.jpg": b"\0\5\x16\7\0\2\0\0Mac OS X",
        "page.jpg": b"<!DOCTYPE html><html>",
        "text.png": b"no picture",
        "empty.png": b"",
    }.items():
        yield File(f"unknown-{name}", head + bytes(100) * bool(head))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for file in files():
        (folder / file.name).write_bytes(file.data)
