"""Samples in every order, depth, sign and polarity; transparency; crops; and samples as stored."""

import itertools

import numpy as np
import odd_files as odd
import pytest
from PIL import Image
from PIL.ExifTags import Base

from steglib.images import photos
from steglib.images.photos import read_photo, read_samples

RGB = odd.picture(24, 32)
GREY = RGB[..., 0]
INKS = np.concatenate([255 - RGB, RGB[..., :1] // 4], 2)
FLATTENED = "its transparency was flattened onto white"
REDUCED = "16 bits a channel were reduced to 8"


def seen(grey):
    return np.repeat(grey[..., None], 3, 2)


def alpha(image, opacity=255):
    return np.concatenate([image, np.full_like(image[..., :1], opacity)], 2)


def deep(image):
    return image.astype(np.uint16) * 257


def ways(**options):
    """All combinations of byte order, BigTIFF and compression that TIFF readers know."""
    for order, big, compress in itertools.product("<>", (False, True), (False, True)):
        if not (big and order == ">"):
            yield {"order": order, "big": big, "compress": compress, **options}


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "samples, wanted, options",
    [
        (RGB, RGB, {}),
        (alpha(RGB), RGB, {"tags": [(338, 3, [2])]}),  # alpha
        (alpha(RGB), RGB, {"tags": [(338, 3, [1])]}),  # premultiplied alpha
        (alpha(RGB, 9), RGB, {"tags": [(338, 3, [0])]}),  # something else
        (INKS, np.asarray(Image.fromarray(INKS, "CMYK").convert("RGB")), {"photometric": 5}),
    ],
    ids=["rgb", "alpha", "premultiplied", "other", "cmyk"],
)
def test_tiffs_of_all_layouts(planar, bits, samples, wanted, options):
    samples = samples if bits == 8 else deep(samples)
    for way in ways(planar=planar, **options):
        photo = read_photo(odd.tiff(samples, **way))
        assert np.abs(photo.image - wanted.astype(int)).max() <= 1, way
        assert (REDUCED in photo.notes) == (bits == 16)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_greys_of_either_polarity(bits, photometric):
    grey = GREY if photometric else 255 - GREY
    samples = grey if bits == 8 else deep(grey)
    for way in ways(photometric=photometric):
        if (photometric, bits, way["order"]) == (0, 16, ">"):
            with pytest.raises(photos.PhotoError, match=r"TIFF .* \(grey, 1 samples of 16 bits\)"):
                read_photo(odd.tiff(samples, **way))
        else:
            assert np.array_equal(read_photo(odd.tiff(samples, **way)).image, seen(GREY)), way


@pytest.mark.parametrize(
    "samples",
    [
        (GREY.astype(int) - 128).astype(np.int8),
        (GREY.astype(int) * 257 - 32768).astype(np.int16),
        (GREY.astype(np.int64) * 2**24 - 2**31).astype(np.int32),
        (GREY.astype(np.int64) * 2**24).astype(np.uint32),
        (GREY / 255).astype(np.float32),
    ],
    ids=lambda samples: samples.dtype.name,
)
def test_greys_of_other_types(samples):
    """Their order is kept: the darkest is the darkest, whatever the sign and byte order."""
    for way in ways(photometric=1):
        if samples.dtype == np.uint32 and way["order"] == ">":
            continue
        image = read_photo(odd.tiff(samples, **way)).image[..., 0]
        low, high = GREY.min(), GREY.max()
        wanted = GREY if samples.dtype == np.int8 else (GREY - low) / ((high - low) / 255)
        assert np.abs(image - wanted).max() <= 1, way


def test_floats_whose_white_is_zero():
    image = read_photo(odd.tiff((GREY / 255).astype(np.float32), photometric=0)).image[..., 0]
    assert image.flat[GREY.argmin()] == 255 and image.flat[GREY.argmax()] == 0


@pytest.mark.parametrize("planar", [1, 2])
def test_lab_and_bits_the_other_way_round(planar):
    lab = np.array([[[255, 0, 0], [128, 0, 0], [140, 60, 206]]], np.uint8)  # a, b: signed
    image = read_photo(odd.tiff(lab, photometric=8, planar=planar)).image[0].astype(int)
    assert np.abs(image[:2] - [[255] * 3, [119] * 3]).max() <= 1
    assert image[2, 2] > image[2, 0] > image[2, 1]  # violet
    turned = odd.tiff(RGB, planar=planar, tags=[(266, 3, [2])])
    assert np.array_equal(read_photo(turned).image, RGB)


def test_colour_maps_of_8_bits():
    numbers = (np.arange(RGB.shape[0] * RGB.shape[1]) % 256).astype(np.uint8).reshape(24, 32)
    colours = np.random.default_rng(0).integers(0, 256, (256, 3))
    for scale in (1, 257):
        tags = [(320, 3, (colours.T.ravel() * scale).tolist())]
        image = read_photo(odd.tiff(numbers, photometric=3, tags=tags)).image
        assert np.array_equal(image, colours[numbers])


@pytest.mark.parametrize(
    "samples, options, kind",
    [
        (np.float32(RGB / 255), {}, "RGB, 3 floating-point samples of 32 bits"),
        (np.float16(RGB / 255), {}, "RGB, 3 floating-point samples of 16 bits"),
        (np.float64(GREY / 255), {"photometric": 1}, "grey, 1 floating-point samples of 64 bits"),
        (deep(RGB), {"bits": 12}, "RGB, 3 samples of 12 bits"),
        (deep(RGB), {"bits": 10, "planar": 2}, "RGB, 3 samples of 10 bits, in planes"),
        (deep(RGB), {"photometric": 8}, "CIELAB, 3 samples of 16 bits"),
        (deep(RGB).view(np.int16), {}, "RGB, 3 signed samples of 16 bits"),
        (deep(GREY), {"photometric": 32803}, "a camera's raw colours, 1 samples of 16 bits"),
        (RGB, {"order": ">", "big": True}, "big-endian BigTIFF"),
        (RGB, {"tags": [(259, 3, [34712])]}, "with an unknown compression"),
    ],
)
def test_other_tiffs_say_of_which_kind_they_are(samples, options, kind):
    with pytest.raises(photos.PhotoError, match="is a TIFF of a kind that cannot be read") as error:
        read_photo(odd.tiff(samples, **options))
    assert kind in str(error.value) and "save it as PNG" in str(error.value)


def test_planes_that_pillow_mixes_up_are_refused():
    two = np.stack([GREY, 255 - GREY], 2)
    for samples, options in (
        (two, {"photometric": 1, "tags": [(338, 3, [2])]}),
        (deep(alpha(RGB, 9)), {}),
        (alpha(RGB, 9), {"compress": True}),
        (alpha(alpha(RGB, 9)), {"tags": [(338, 3, [2, 0])]}),
    ):
        with pytest.raises(photos.PhotoError, match="planes cannot be told apart"):
            read_photo(odd.tiff(samples, planar=2, **options))


# Transparency


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_any_depth(depth):
    levels = np.arange(min(2**depth, 64)).reshape(1, -1)
    samples = levels.astype(np.uint16 if depth == 16 else np.uint8)
    photo = read_photo(odd.png(samples, (b"tRNS", b"\0\1"), depth=depth))
    shown = levels[0] * 255 // (2**depth - 1)
    shown[1] = 255
    assert np.array_equal(photo.image, seen(shown[None])) and FLATTENED in photo.notes


def test_a_transparent_colour_of_16_bits_is_that_one_alone():
    near = np.array([[[0x0A01, 0x1402, 0x1E03], [0x0A02, 0x1402, 0x1E03]]], np.uint16)
    photo = read_photo(odd.png(near, (b"tRNS", near[0, 0].astype(">u2").tobytes())))
    assert photo.image[0].tolist() == [[255] * 3, [10, 20, 30]]
    assert photo.notes == (REDUCED, FLATTENED)


@pytest.mark.parametrize(
    "kind, options", [("HEIF", {"quality": -1, "chroma": 444}), ("AVIF", {"quality": 100})]
)
def test_transparent_phone_pictures(kind, options):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    half = alpha(RGB)
    half[:, :16, 3] = 0
    photo = read_photo(odd.saved(half, kind, **options))
    assert (photo.image[:, :14] > 250).all() and FLATTENED in photo.notes
    assert np.abs(photo.image[:, 18:] - RGB[:, 18:].astype(int)).mean() < 4


# Depths and crops of phones' formats


def test_heic_of_10_bits():
    pytest.importorskip("pillow_heif")
    for samples, wanted in ((deep(RGB), RGB), (deep(GREY), seen(GREY))):
        photo = read_photo(odd.heic(samples, bits=16))
        assert np.abs(photo.image - wanted.astype(int)).mean() < 2
        assert photo.notes == ("10 bits a channel were reduced to 8",)


@pytest.mark.parametrize("make", [odd.avif, odd.heic], ids=["avif", "heic"])
def test_what_was_cropped_away_is_not_read(make):
    if make is odd.heic:
        pytest.importorskip("pillow_heif")
    image = odd.picture(64, 96)
    image[:8] = image[:, 72:] = 255, 0, 255
    data = odd.cropped(make(image), 64, 48, (96, 64), left=4, top=12)
    for read in (lambda data: read_photo(data).image, read_samples):
        part = read(data)
        assert part.shape == (48, 64, 3)
        assert np.abs(part - image[12:60, 4:68].astype(int)).mean() < 3


@pytest.mark.parametrize("box", [(96, 64, 1, 0), (96, 65, 0, 0), (0, 10, 0, 0)])
def test_a_crop_that_cannot_be_is_an_error(box):
    data = odd.cropped(odd.avif(odd.picture(64, 96)), *box[:2], (96, 64), *box[2:])
    with pytest.raises(photos.PhotoError, match="its crop is damaged"):
        read_photo(data)


# Samples as they are stored

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def turned(orientation):
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return exif


TAGGED = {
    "png": lambda: odd.saved(NOISE, "PNG"),
    "profile": lambda: odd.saved(NOISE, "PNG", icc_profile=odd.wide_profile()),
    "gama": lambda: odd.png(NOISE, odd.gama(1)),
    "chrm": lambda: odd.png(NOISE, odd.chrm(odd.SWAPPED_CHRM)),
    "cicp": lambda: odd.png(NOISE, (b"cICP", bytes([9, 16, 0, 1]))),
    "alpha": lambda: odd.png(alpha(NOISE)),
    "transparent": lambda: odd.png(alpha(NOISE, 128)),
    "16-bits": lambda: odd.png(deep(NOISE)),
    "tiff-profile": lambda: odd.tiff(NOISE, tags=[(34675, 7, odd.wide_profile())]),
    "tiff-planes-16": lambda: odd.tiff(deep(NOISE), planar=2),
    "bmp-profile": lambda: odd.bmp(NOISE, odd.wide_profile()),
    "jp2-profile": lambda: odd.jp2(NOISE, odd.wide_profile()),
    **{
        f"{kind}-turned-{i}": lambda kind=kind, i=i: odd.saved(
            NOISE, kind, exif=turned(i), **({"lossless": True} if kind == "WEBP" else {})
        )
        for kind in ("PNG", "TIFF", "WEBP")
        for i in range(1, 9)
    },
}


@pytest.mark.parametrize("name", TAGGED)
def test_samples_are_what_is_stored(name):
    data = TAGGED[name]()
    assert np.array_equal(read_samples(data), NOISE)
    photo = read_photo(data, samples=True)
    assert np.array_equal(photo.samples, NOISE)
    assert np.array_equal(photo.image, read_photo(data).image)
    assert read_photo(data).samples is None
