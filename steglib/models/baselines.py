"""Simple hiders to compare with."""

import io

import numpy as np
from PIL import Image

from steglib.channels import residues as payload
from steglib.evaluation import metrics
from steglib.hider import Hider


class LSB(Hider):
    """Replaces the lowest bits of the cover with the highest bits of the secret.

    Args:
        bits: how many, 1…4. The payload is `3 * bits` bits per pixel.

    Raises:
        ValueError: another number of bits.
    """

    def __init__(self, bits: int):
        if bits not in range(1, 5):
            raise ValueError(f"bits must be 1, 2, 3 or 4, not {bits!r}.")
        self.bits = bits
        self.name = f"LSB, {bits} bit{'s' if bits > 1 else ''}"

    def _hide(self, covers, secrets):
        return (covers >> self.bits << self.bits) | (secrets >> (8 - self.bits))

    def _reveal(self, stegos):
        """The middle of the interval that the hidden bits stand for: the least mean error."""
        hidden = stegos & np.uint8(2**self.bits - 1)
        return (hidden << (8 - self.bits)) + np.uint8(2 ** (7 - self.bits))


# For each format, what `Image.save` gets: lists of options from the coarsest to the finest. They
# are those that leave the least error, which is why JPEG gets flat quantisation tables, too.
_OPTIONS = {
    "jpeg": [
        [{"optimize": True, "subsampling": s, "progressive": p} | tables for tables in steps]
        for s in (0, 2)
        for p in (False, True)
        for steps in (
            [{"quality": quality} for quality in range(101)],
            [{"qtables": [[step] * 64] * 2} for step in range(255, 0, -1)],
        )
    ],
    "webp": [
        *([{"quality": q / 10, "method": method} for q in range(1001)] for method in (4, 6)),
        [{"lossless": True, "quality": 75, "method": 4}],
    ],
    "avif": [
        [
            {"quality": q, "subsampling": "4:4:4", "speed": 4, "advanced": {"tune": "psnr"}}
            for q in range(101)
        ]
    ],
    "jpeg2000": [
        [
            # An empty comment would become the encoder's name; 0 resolutions are its default.
            {"no_jp2": True, "mct": 1, "comment": " ", "irreversible": irreversible}
            | {"num_resolutions": n, "quality_mode": "rates", "quality_layers": [rate]}
            for rate in np.geomspace(1024, 1, 2001)
        ]
        for irreversible in (True, False)
        for n in (0, 3)
    ],
}
_TITLES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "jpeg2000": "JPEG 2000"}


class Codec(Hider):
    """Hides the secret as a picture file, in residues: see `payload`.

    Of the files that fit, it takes the one with the least error that a search over Pillow's
    settings finds. Reveals what any of these formats hides, in any base.

    Args:
        format: "jpeg", "webp", "avif" or "jpeg2000".
        base: 2…16, how many values a digit has. A larger one hides more and changes more.

    Raises:
        ValueError: another format or base. From `hide`, a secret that does not fit even at the
            lowest quality; from `reveal`, a `payload.PayloadError` for an image without a picture.
    """

    min_side = 4  # JPEG 2000 with three resolutions needs it
    detects = True

    def __init__(self, format: str, base: int):
        if format not in _OPTIONS:
            raise ValueError(f"format must be one of {', '.join(_OPTIONS)}, not {format!r}.")
        payload.expected_psnr(base)  # checks it
        self.format, self.base = format, base
        self.name = f"{_TITLES[format]}, base {base}"

    def _hide(self, covers, secrets):
        return np.stack([self._hide_one(*pair) for pair in zip(covers, secrets, strict=True)])

    def _hide_one(self, cover, secret):
        codec = payload.Format[self.format.upper()]
        data = self._encode(secret, codec, payload.capacity(cover.shape, self.base))
        return payload.embed(cover, data, self.base, codec)

    def _encode(self, secret, codec, room):
        files = []
        for options in _OPTIONS[self.format]:
            low, high = 0, len(options)
            while low < high:
                middle = (low + high) // 2
                files.append(_save(secret, codec, options[middle]))
                low, high = (low, middle) if len(files[-1]) > room else (middle + 1, high)
        # A finer setting can take fewer bytes and still err more: look at all that were tried.
        fitting = [data for data in files if len(data) <= room]
        if not fitting:
            raise ValueError(
                f"{self.name}: a cover of this size carries {room} bytes, and the secret takes "
                f"{min(map(len, files))} at the lowest quality."
            )
        return min(fitting, key=lambda data: metrics.mse(secret[None], _open(data, codec)[None])[0])

    def _reveal(self, stegos):
        return np.stack([self._reveal_one(stego) for stego in stegos])

    def _reveal_one(self, stego):
        found = payload.extract(stego)
        if found.codec in (payload.RAW, payload.LEARNED) or found.size != stego.shape[:2]:
            raise payload.PayloadError(
                f"The image hides no picture file of its own size, but {found.codec.name} data of "
                f"a secret of {found.size[1]}×{found.size[0]} pixels."
            )
        return _open(found.data, found.codec)


def _save(image, codec, options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, codec.name, **options)
    return file.getvalue()


def _open(data, codec):
    return np.asarray(Image.open(io.BytesIO(data), formats=[codec.name]).convert("RGB"))
