"""What to compare with: a hider of low bits, and picture files as codecs."""

import bisect
import functools
import io

import numpy as np
from PIL import Image

from steglib.channels.frame import Kind, PayloadError
from steglib.codec.rate import is_large, sample_squares
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


# For each format, what `Image.save` gets: lists of options from the coarsest to the finest, chosen
# to leave the least error, which is why JPEG also gets flat quantisation tables.
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
    "jxl": [[{"quality": q / 4} for q in range(401)], [{"lossless": True}]],
}
_DRAFT = {"avif": {"speed": 6}}  # about as long in a sixth of the time, but 0.5 dB worse
_TITLES = {
    "jpeg": "JPEG",
    "webp": "WebP",
    "avif": "AVIF",
    "jpeg2000": "JPEG 2000",
    "jxl": "JPEG XL",
}


class PictureFile:
    """A codec: photos as files of a picture format.

    Of the files that are short enough, it takes the one with the least error that a search over
    Pillow's settings finds.

    Args:
        format: "jpeg", "webp", "avif", "jpeg2000" or "jxl". The last one, JPEG XL, needs the
            package pillow-jxl-plugin; it aims at what people see, not at the mean square error.

    Raises:
        ValueError: another format, or its package is missing.
    """

    min_side = 4  # JPEG 2000 with three resolutions needs it
    least_bits = 0.1  # for a pixel; with fewer, a picture scaled down and up again looks better

    def __init__(self, format: str):
        if format not in _OPTIONS:
            raise ValueError(f"format must be one of {', '.join(_OPTIONS)}, not {format!r}.")
        if format == "jxl":
            _add_jpeg_xl()
        self.kind, self.name = Kind[format.upper()], _TITLES[format]
        self._options, self._draft = _OPTIONS[format], _DRAFT.get(format, {})

    def encode(self, pictures, size: int, enough: float | None = None) -> list[bytes]:
        """Each picture as a file of at most `size` bytes.

        Args:
            pictures: uint8 [n, h, w, 3].
            enough: PSNR in dB from which on a file need not be better, but shorter; None for as
                good as it can be.

        Raises:
            ValueError: a picture takes more even at the lowest quality.
        """
        return [code for code, _ in self.encode_measured(pictures, size, enough)]

    def encode_measured(self, pictures, size: int, enough: float | None = None) -> list:
        """As `encode`: each code, and the mean square error of the picture in it."""
        return [self._encode_one(picture, size, enough) for picture in pictures]

    def decode(self, codes: list[bytes], height: int, width: int) -> np.ndarray:
        """The pictures, uint8 [n, height, width, 3].

        Raises:
            PayloadError: other bytes than `encode` gives for pictures of this size.
        """
        return np.stack([self._decode_one(code, (width, height)) for code in codes])

    def fits(self, picture, size: int) -> bool:
        """Whether a picture uint8 [h, w, 3] has a file of at most `size` bytes."""
        return any(len(self._save(picture, options[0])) <= size for options in self._options)

    def _encode_one(self, picture, size, enough):
        """Of the files that fit, one that errs least; of good enough ones, the shortest."""
        search = self._search_large if is_large(*picture.shape[:2]) else self._search
        files = [file for options in self._options for file in search(picture, options, size)]
        # A finer setting can take fewer bytes and still err more: look at all that were tried.
        fitting = [file for file in files if len(file) <= size]
        if not fitting:
            raise ValueError(
                f"{self.name}: a picture of {picture.shape[1]}×{picture.shape[0]} pixels does not "
                f"fit {size} bytes: it takes {min(map(len, files))} at the lowest quality."
            )
        errors = [self._error(picture, file) for file in fitting]
        best = min(zip(errors, fitting, strict=True))
        return best[::-1] if enough is None else self._shorten(picture, best, enough)

    def _shorten(self, picture, best, enough):
        """A file that is good enough, if the best one is better."""
        allowed, good = 255**2 / 10 ** (enough / 10), [best]
        if best[0] > allowed:
            return best[::-1]
        for options in self._options:

            def excess(option):
                file = self._save(picture, option)
                error = self._error(picture, file)
                if error <= allowed:
                    good.append((error, file))
                return allowed - error

            bisect.bisect_left(options, 0, key=excess)
        return min(good, key=lambda found: len(found[1]))[::-1]

    def _error(self, picture, file):
        return metrics.mse(picture[None], self._decode_one(file, picture.shape[1::-1])[None])[0]

    def _search(self, picture, options, size):
        """Files with some of the options, among them about the finest one that fits."""
        files = []

        def length(option):
            files.append(self._save(picture, option))
            return len(files[-1])

        bisect.bisect(options, size, key=length)
        return files

    def _search_large(self, picture, options, size):
        """As `_search`, with few files of the whole picture: most are of a sample.

        How much longer the whole is than the sample, a draft tells, and then each file.
        """
        (sample,) = sample_squares(picture)
        drafts = [option | self._draft for option in options]
        length = functools.cache(lambda index: len(self._save(sample, drafts[index])))
        share, low, high, files = sample.size / picture.size, 0, len(options), {}

        def finest():
            fitting = bisect.bisect(range(len(options)), size * share, key=length)
            return min(max(low, fitting - 1), high - 1)

        if self._draft:
            share = length(finest()) / len(self._save(picture, drafts[finest()]))
        while high and (index := finest()) not in files:
            file = files[index] = self._save(picture, options[index])
            share = length(index) / len(file)
            low, high = (index, high) if len(file) <= size else (low, index)
        return files.values()

    def _save(self, picture, options):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, self.kind.name, **options)
        return file.getvalue()

    def _decode_one(self, code, size):
        try:
            with Image.open(io.BytesIO(code), formats=[self.kind.name]) as picture:
                if picture.size == size:  # else it may be huge
                    return np.asarray(picture.convert("RGB"))
        except Exception as error:  # of any kind, as Pillow's decoders have it
            raise PayloadError(f"The image hides a damaged {self.name} file.") from error
        raise PayloadError(f"The image hides no {self.name} file of the secret's size.")


def _add_jpeg_xl():
    """Teaches Pillow the format."""
    try:
        import pillow_jxl  # noqa: F401
    except ImportError as error:
        raise ValueError("JPEG XL needs a package: pip install pillow-jxl-plugin") from error
