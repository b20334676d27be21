"""Every way in which a file describes its colours, and what a person sees of it."""

import numpy as np
import odd_files as odd
import pytest
from malformed_files import srgb_profile
from PIL import Image
from PIL.ExifTags import IFD, Base

from steglib.images import photos
from steglib.images.colours import ADOBE, SRGB, rgb_profile

SEEN = odd.picture()
LIGHT = odd.to_light(SEEN)
IN_P3 = odd.from_light(np.clip(LIGHT @ odd.TO_P3.T, 0, 1))
IN_2020 = np.clip(LIGHT @ odd.TO_2020.T, 0, 1)
IN_ADOBE = odd.whole(np.clip(LIGHT @ odd.TO_ADOBE.T, 0, 1) ** (1 / 2.2))
SWAPPED = SEEN[..., [1, 0, 2]].copy()
SRGB_XYZ = np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
TIFF_CHROMATICITIES = [(318, 5, [0.3127, 0.3290]), (319, 5, [0.3, 0.6, 0.64, 0.33, 0.15, 0.06])]


def cicp(primaries, transfer):
    return b"cICP", bytes([primaries, transfer, 0, 1])


def tagged_png(image, **ifd):
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif).update({getattr(Base, name): value for name, value in ifd.items()})
    return odd.saved(image, "PNG", exif=exif)


# Name: the file, what must be said of it, and how many grey levels it may be off.
CONVERTED = {
    "png-gama-linear": (lambda: odd.png(odd.whole(LIGHT, 16), odd.gama(1)), "gamma", 1),
    "png-chrm": (lambda: odd.png(SWAPPED, odd.chrm(odd.SWAPPED_CHRM)), "chromaticities", 1),
    "png-cicp-p3": (lambda: odd.png(odd.whole(IN_P3), cicp(12, 13)), "Display P3", 1),
    "png-cicp-linear": (lambda: odd.png(odd.whole(LIGHT, 16), cicp(1, 8)), "linear light", 1),
    "png-cicp-before-iccp": (
        lambda: odd.png(odd.whole(IN_P3), cicp(12, 13), (b"sRGB", b"\0"), odd.gama(1)),
        "Display P3",
        1,
    ),
    "avif-p3": (lambda: odd.avif(odd.whole(IN_P3), 12, 13), "Display P3", 2),
    "heic-p3": (lambda: odd.heic(odd.whole(IN_P3), 12, 13), "Display P3", 2),
    "jpeg-r03": (lambda: odd.adobe_jpeg(IN_ADOBE), "Adobe RGB", 2),
    "tiff-chromaticities": (lambda: odd.tiff(SWAPPED, tags=TIFF_CHROMATICITIES), "chroma", 1),
    "bmp-ends": (lambda: odd.bmp(SWAPPED, ends=SRGB_XYZ[[1, 0, 2]]), "end points", 1),
    "bmp-linear": (lambda: odd.bmp(odd.whole(LIGHT), ends=SRGB_XYZ, gamma=1), "end points", 1),
    "bmp-icc": (lambda: odd.bmp(odd.in_wide(SEEN), odd.wide_profile()), "wide", 1),
    "jp2-icc": (lambda: odd.jp2(odd.in_wide(SEEN), odd.wide_profile()), "wide", 1),
    **{
        f"{kind}-icc": (
            lambda kind=kind: odd.saved(
                odd.in_wide(SEEN), kind, quality=98, icc_profile=odd.wide_profile()
            ),
            "wide",
            3,
        )
        for kind in ("AVIF", "HEIF", "WEBP", "JPEG", "TIFF")
    },
    **{
        f"{kind}-{name}": (
            lambda make=make, curve=curve, code=code: make(odd.whole(curve(IN_2020)), 9, code),
            f"BT.2020 {name} (HDR)",
            6,
        )
        for kind, make in (("avif", odd.avif), ("heic", odd.heic))
        for name, curve, code in (("PQ", odd.pq, 16), ("HLG", odd.hlg, 18))
    },
}


@pytest.fixture(autouse=True)
def _heic(request):
    if "heic" in request.node.name or "HEIF" in request.node.name:
        pytest.importorskip("pillow_heif")


@pytest.mark.parametrize("name", CONVERTED)
def test_described_colours_become_srgb(name):
    make, said, most = CONVERTED[name]
    photo = photos.read_photo(make())
    assert np.abs(photo.image - SEEN.astype(float)).mean() < most
    assert any("colours were converted from" in note and said in note for note in photo.notes)


UNTOUCHED = {
    "png-gama-and-chrm-of-srgb": lambda: odd.png(SEEN, odd.gama(0.45455), odd.chrm(odd.SRGB_CHRM)),
    "png-srgb-before-gama": lambda: odd.png(SEEN, (b"sRGB", b"\0"), odd.gama(1)),
    "png-cicp-of-srgb-before-gama": lambda: odd.png(SEEN, cicp(1, 13), odd.gama(1)),
    "png-cicp-before-iccp": lambda: odd.png(SEEN, cicp(1, 13)),
    "png-cicp-unspecified": lambda: odd.png(SEEN, cicp(2, 2)),
    "png-profile-of-srgb": lambda: odd.saved(SEEN, "PNG", icc_profile=srgb_profile()),
    "png-exif-does-not-count": lambda: tagged_png(SEEN, ColorSpace=2),
    "tiff-chromaticities-of-srgb": lambda: odd.tiff(
        SEEN, tags=[(318, 5, SRGB[:2]), (319, 5, SRGB[2:])]
    ),
    "bmp-ends-of-srgb": lambda: odd.bmp(SEEN, ends=SRGB_XYZ),
    "bmp-srgb": lambda: odd.bmp(SEEN),
    "jp2-number-of-srgb": lambda: odd.jp2(SEEN),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_srgb_by_any_name_is_untouched(name):
    photo = photos.read_photo(UNTOUCHED[name]())
    assert np.array_equal(photo.image, SEEN) and photo.notes == ()


@pytest.mark.parametrize("make", [odd.avif, odd.heic], ids=["avif", "heic"])
@pytest.mark.parametrize("numbers", [(1, 13), (1, 1), (2, 2), (1, 6)])
def test_video_numbers_of_srgb_are_untouched(make, numbers):
    photo = photos.read_photo(make(SEEN, *numbers))
    assert np.abs(photo.image - SEEN.astype(float)).mean() < 2 and photo.notes == ()


@pytest.mark.parametrize(
    "data, said",
    [
        (odd.png(SEEN, cicp(99, 13)), "(CICP 99/13) were taken for sRGB"),
        (odd.png(SEEN, cicp(1, 77)), "(CICP 1/77) were taken for sRGB"),
        (odd.png(SEEN, (b"cICP", b"\1")), "damaged colour description was ignored"),
        (odd.png(SEEN, odd.gama(0)), "damaged colour description was ignored"),
        (odd.png(SEEN, odd.chrm([0] * 8)), "damaged colour description was ignored"),
        (odd.png(SEEN, odd.chrm([33333] * 8)), "damaged colour description was ignored"),
        (odd.jp2(SEEN, number=21), "(number 21 of JPEG 2000) were taken for sRGB"),
        (odd.bmp(SEEN, profile=b"none"), "damaged colour profile was ignored"),
    ],
)
def test_what_cannot_be_followed_is_said(data, said):
    photo = photos.read_photo(data)
    assert np.array_equal(photo.image, SEEN) and said in photo.notes[0]


def test_hdr_keeps_its_order_up_to_its_brightest():
    """1000 cd/m² is near white, a white of 203 is not clipped, and greys stay grey."""
    nits = np.array([0, 50, 203, 500, 1000, 4000])
    samples = np.repeat(odd.whole(odd.pq(nits / 203), 16)[None, :, None], 3, 2)
    image = photos.read_photo(odd.png(samples, cicp(9, 16))).image[0].astype(int)
    assert (np.ptp(image, axis=1) <= 1).all()
    assert (np.diff(image[:, 1])[:4] > 0).all() and image[0, 1] == 0
    assert 215 < image[2, 1] < 245 and image[4, 1] > 250


def test_exif_that_is_kept_does_not_describe_converted_colours():
    exif = Image.Exif()
    exif.load(photos.read_photo(odd.adobe_jpeg(IN_ADOBE)).exif)
    camera = exif.get_ifd(IFD.Exif)
    assert Base.ColorSpace not in camera and IFD.Interop not in camera


def test_profiles_that_are_made_say_what_they_should():
    """Red, green and blue of Adobe RGB by its own specification, in sRGB's linear light."""
    patches = np.array([[[0, 255, 0], [255, 255, 255], [128, 128, 128]]], np.uint8)
    profile = rgb_profile("test", ADOBE, np.linspace(0, 1, 4096) ** 2.2)
    seen = photos.read_photo(odd.saved(patches, "PNG", icc_profile=profile)).image[0].astype(int)
    assert np.abs(seen - [[0, 255, 0], [255] * 3, [128] * 3]).max() <= 1
    with pytest.raises(ValueError, match="no three colours"):
        rgb_profile("test", (*SRGB[:4], *SRGB[2:4], *SRGB[6:]), np.linspace(0, 1, 16))
