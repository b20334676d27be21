"""The samples of a picture file, with 8 bits each, whatever it stores."""

import struct

import numpy as np
from PIL import Image, ImageChops
from PIL.ExifTags import Base

from steglib.images import boxes

# libtiff gives samples in the machine's byte order, which Pillow forgets for these.
SWAPPED = {
    **dict.fromkeys(("I;16S", "I;16BS"), "I;16NS"),
    **dict.fromkeys(("I;32S", "I;32BS"), "I;32NS"),
    **dict.fromkeys(("F;32F", "F;32BF"), "F;32NF"),
}


def load(picture: Image.Image, file, notes: list[str]) -> Image.Image:
    """Decodes an opened picture: as it is stored, not turned, its colours not converted.

    Args:
        picture: as `kinds.open_picture` opened it. Pillow turns a TIFF upright all the same.
        file: that holds it, open for reading.
        notes: gets a line for what was lost.

    Returns:
        Of mode 1, L, LA, P, PA, RGB, RGBA, CMYK, YCbCr or LAB, its transparency in the channel A
        or, for P, in `info`. A crop (clap) of AVIF is done; HEIC's is, by its library.

    Raises:
        ValueError: it is damaged. Decoders raise anything else, too.
    """
    storage, tags = str(picture.tile[:1]), dict(getattr(picture, "tag_v2", {}))
    if picture.format == "TIFF" and picture.use_load_libtiff:
        layout, *others = picture.tile[0].args
        args = (SWAPPED.get(layout, layout), *others)
        picture.tile = [picture.tile[0]._replace(args=args)]
    picture.load()
    bits = _bits(picture, file, storage, tags)
    if bits > 8:
        notes.append(f"{bits} bits a channel were reduced to 8")
    if picture.format == "TIFF":
        picture = _mend_tiff(picture, tags)
    elif picture.format == "AVIF":
        picture = _crop(picture, file)
    transparency = picture.info.get("transparency")
    if picture.format == "PNG" and transparency is not None and picture.mode != "P":
        mask = _transparent(picture, file, storage, transparency)
        picture = _to_8_bits(picture, storage, tags, notes)
        picture = picture.convert("RGB" if picture.mode == "RGB" else "L")
        picture.putalpha(mask)
        picture.info.pop("transparency", None)
        return picture
    picture = _to_8_bits(picture, storage, tags, notes)
    return picture.convert(picture.mode.upper()) if picture.mode in ("La", "RGBa") else picture


def _bits(picture, file, storage, tags):
    """Of a sample, as far as that is more than 8 and is told."""
    if picture.format == "HEIF":
        return picture.info["bit_depth"]
    if picture.format in ("AVIF", "JPEG2000"):
        file.seek(0)
        data = file.read()
        if picture.format == "AVIF":
            depths = dict(boxes.item_properties(data)).get(b"pixi", bytes(5))
            return max(depths[5:], default=8)
        header = dict(boxes.inside(data)).get(b"jp2h", b"")
        depth = dict(boxes.inside(header)).get(b"ihdr", bytes(11))[10]
        return (depth & 127) + 1 if depth != 255 else 8
    if picture.format == "TIFF" and picture.mode not in ("I", "F"):
        return tags.get(Base.BitsPerSample, (8,))[0]
    return 16 if picture.format == "PNG" and ";16" in storage else 8


def _to_8_bits(picture, storage, tags, notes):
    if picture.mode in ("I", "F"):  # what is black and what white, no convention says
        values = np.asarray(picture)
        if picture.mode == "I" and "I;32N" in storage:
            values = values.view(np.uint32)
        values = values.astype(np.float32)
        known = values[np.isfinite(values)]
        if not known.size:
            raise ValueError("it has no values")
        low, high = known.min(), known.max()
        notes.append(f"its values {low:g}…{high:g} were scaled to 0…255")
        levels = np.nan_to_num((values - low) / (high - low)).clip(0, 1) * 255
        grey = Image.fromarray(levels.round().astype(np.uint8))
    elif picture.mode.startswith("I;16"):  # to the high 8 bits, as Pillow does with colours
        shift = 4 if "I;12" in storage else 8
        grey = Image.fromarray((np.asarray(picture) >> shift).astype(np.uint8))
    else:
        return picture
    return ImageChops.invert(grey) if tags.get(Base.PhotometricInterpretation) == 0 else grey


def _mend_tiff(picture, tags):
    """What Pillow passes over: colour maps of 8 bits, signed samples; and turns it back."""
    if picture.mode == "P" and max(tags.get(Base.ColorMap, (256,))) < 256:
        picture.putpalette(bytes(np.reshape(tags[Base.ColorMap], (3, -1)).T.astype(np.uint8)))
    planes = tags.get(Base.PlanarConfiguration) == 2
    if picture.mode == "LAB" and planes:  # a and b are signed
        light, *others = picture.split()
        picture = Image.merge("LAB", [light, *(band.point(lambda v: v ^ 128) for band in others)])
    if picture.mode == "L" and tags.get(Base.SampleFormat, (1,))[0] == 2:
        picture = picture.point(lambda v: v ^ 128)
    return picture


def _crop(picture, file):
    """To an AVIF's clean aperture: what a person cut off must not be published."""
    file.seek(0)
    properties = dict(boxes.item_properties(file.read()))
    whole = struct.unpack_from(">II", properties.get(b"ispe", bytes(12)), 4)
    if b"clap" not in properties or picture.size != whole:  # some decoders do it
        return picture
    cropped = picture.crop(boxes.clean_aperture(properties[b"clap"], *whole))
    cropped.format, cropped.info = picture.format, picture.info
    return cropped


def _transparent(picture, file, storage, value):
    """The opaque pixels of a PNG of which one colour is transparent, as a mask."""
    value = np.array(value)
    samples = np.asarray(picture)
    if picture.mode == "L":  # of 2 or 4 bits: Pillow has spread them
        value = value * {"L;2": 85, "L;4": 17}.get(_layout(storage), 1)
    if picture.mode == "1":
        value = value > 0
    if "RGB;16" in storage:
        value, low = value >> 8, value & 255
        file.seek(0)
        with Image.open(file, formats=["PNG"]) as again:  # its low bytes, which Pillow drops
            again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]
            others = np.asarray(again) == low
    else:
        others = True
    same = (samples == value) & others
    return Image.fromarray(
        np.where(same.all(2) if same.ndim == 3 else same, 0, 255).astype(np.uint8)
    )


def _layout(storage):
    return next((name for name in ("L;2", "L;4") if name in storage), "")
