"""What the commands do with one file: hide something in it, or reveal what it hides."""

import dataclasses
import functools
import sys
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from steglib import progress, zoo
from steglib.channels import files
from steglib.channels.files import HiddenFile
from steglib.evaluation import metrics
from steglib.hider import Hider
from steglib.images import arrays, datasets, photos
from steglib.images.kinds import KindError
from steglib.images.photos import Photo, PhotoError
from steglib.tool import places
from steglib.tool.places import STANDARD


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is asked for, for every file.

    Attributes:
        model: what `zoo.load_spec` takes.
        rate, base, quality, key, level: its options; None where they are not given.
        secret: the file to hide, or a text.
        exact: whether a picture is hidden as the file that it is.
        size: of the secret: "keep", "cover", or None to scale it down if need be.
        keep_metadata: whether the stego file gets the cover's EXIF.
        force: whether files are overwritten.
        longest: pixels of the cover's longer side, to which it is scaled down first; None for any.
        jpeg: whether the stego file is a JPEG.
        into_folder: whether only a folder was named for what is written.
        several: whether there are several files.
        command: tells it from others that a cluster's worker has done, whose files may be old.
    """

    model: str
    rate: float | None = None
    base: int | None = None
    quality: int | None = None
    key: bytes | None = dataclasses.field(default=None, repr=False)
    level: int | None = None
    secret: Path | HiddenFile | None = None
    exact: bool = False
    size: str | None = None
    keep_metadata: bool = False
    force: bool = False
    longest: int | None = None
    jpeg: bool = False
    into_folder: bool = False
    several: bool = False
    command: str = ""

    def hider(self) -> Hider:
        """The hider; each process loads it once. Raises ValueError as `zoo.load_spec`."""
        names = "rate", "base", "quality", "key", "level"
        options = {name: getattr(self, name) for name in names}
        return _load_once(self.command, self.model, **options, file="jpeg" if self.jpeg else None)

    def read_secret(self) -> Photo | HiddenFile:
        """The secret; each process reads it once.

        Raises:
            PhotoError: it is a picture that cannot be read.
            OSError: it is another file that cannot.
        """
        if isinstance(self.secret, HiddenFile):
            return self.secret
        return _read_secret_once(self.command, self.secret, self.exact)

    def elsewhere(self, command: str) -> "Settings":
        """As a command sends them to a cluster."""
        secret = self.secret.absolute() if isinstance(self.secret, Path) else self.secret
        changes = {"model": zoo.absolute(self.model), "secret": secret, "command": command}
        return dataclasses.replace(self, **changes, force=True)


@functools.lru_cache(2)  # one for what is asked, one for what covers have room for
def _load_once(command, spec, **options):
    with progress.without_chatter():
        return zoo.load_spec(spec, **options)


@functools.lru_cache(1)
def _read_secret_once(command, path, exact):
    standard = path == STANDARD
    data = sys.stdin.buffer.read() if standard else None
    empty = not data if standard else path.is_file() and not path.stat().st_size
    if not (exact or empty):
        try:
            return places.read(data if standard else path, photos.read_photo)
        except PhotoError as error:
            if error.__cause__ is None:  # it cannot be read at all
                raise
            named = path.suffix.lower() in datasets.EXTENSIONS
            if named or not isinstance(error.__cause__, UnidentifiedImageError | KindError):
                hint = "or hide the file itself with --exact"
                raise PhotoError(f"{str(error)[:-1]}, {hint}.") from error
    return HiddenFile("secret" if standard else path.name, data if standard else path.read_bytes())


def check_secret(settings: Settings) -> list[str]:
    """What was done to the secret, if it is a picture.

    Raises:
        ValueError: the hider does not take it.
    """
    hider, secret = settings.hider(), settings.read_secret()
    if isinstance(secret, HiddenFile):
        if settings.size:
            raise ValueError("A file that is no picture has no size: omit --size.")
        return []
    if hider.same_size and settings.size == "keep":
        raise ValueError(f"{settings.model} hides secrets of the cover's size: omit --size keep.")
    if min(secret.image.shape[:2]) < hider.min_side:
        raise ValueError(
            f"{settings.secret} has a side of less than {hider.min_side} pixels: enlarge it, or "
            "hide it with --exact."
        )
    return [f"{settings.secret}: {note}" for note in secret.notes]


def hide(cover: Path, output: Path, settings: Settings) -> list[str]:
    """Hides the secret in one cover. Returns lines to say about it."""
    hider, secret = settings.hider(), settings.read_secret()
    photo = places.read(cover, photos.read_photo)
    image, known = _scale(photo.image, settings.longest, hider)
    if isinstance(secret, HiddenFile):
        stego, remarks = hider.hide_file(image, secret, **known)
        remarks.append(f"it hides {secret}")
    else:
        fitted = _fit(secret.image, image, hider, settings.size)
        stego, remarks = hider.hide_remarked(image, fitted, **known)
        if fitted.shape != secret.image.shape:
            done, remedy = "scaled", ""
            if hider.same_size or settings.size:
                done = "scaled and cropped"
            elif hider.fits(secret.image, image):
                remedy = " (--size keep prevents that)"
            remarks.append(f"the secret was {done} to {size_of(fitted)}{remedy}")
    exif = photo.exif if settings.keep_metadata else b""
    _write_photo(stego, output, settings, exif=exif, jpeg=settings.jpeg)
    lines = [f"{cover}: {note}" for note in photo.notes]
    lines += [f"{output}: {remark}" for remark in remarks]
    psnr, changed = metrics.psnr(image[None], stego[None])[0], np.mean(image != stego)
    facts = size_of(stego), f"cover PSNR {psnr:.1f} dB", f"{100 * changed:.3g}% of samples changed"
    return [*lines, f"{output}: {', '.join(facts)}"]


def _scale(image, longest, hider):
    """The cover, no longer than that, and what only its sender knows of it."""
    if longest and hider.takes_unrounded:
        unrounded = arrays.scale_unrounded(image, longest)
        if unrounded is not None:
            return np.rint(unrounded).astype(np.uint8), {"unrounded": unrounded}
    return arrays.scale_to(image, image.size, longest), {}


def _fit(secret, cover, hider, size):
    if size == "cover":
        return arrays.fit_to(secret, *cover.shape[:2])
    return secret if size == "keep" else hider.fit_secret(secret, cover)


def reveal(stego: Path, output: Path, settings: Settings) -> list[str]:
    """Reveals what one stego picture hides. Returns lines to say about it."""
    # Nobody else holds the stego image: its memory is needed when a huge one is revealed.
    secret, remarks = settings.hider().reveal_any(places.read(stego, photos.read_samples))
    if isinstance(secret, HiddenFile):
        output, what = _place(output, secret, settings), str(secret)
        if output == STANDARD:
            sys.stdout.buffer.write(secret.content)
        else:
            photos.write_file(secret.content, output, overwrite=settings.force)
    else:
        what = size_of(secret)
        _write_photo(secret, output, settings, jpeg=True)
    return [", ".join([f"{output}: {what}", *remarks])]


def _write_photo(image, output, settings, **options):
    target = sys.stdout.buffer if output == STANDARD else output
    photos.write_photo(image, target, overwrite=settings.force, **options)


def _place(output, file, settings):
    """Where a revealed file goes: under its own name, unless the person chose one."""
    if settings.into_folder:
        name = file.name or f"{output.stem}.txt"
        if settings.several and file.name:
            name = f"{output.stem}-{file.name}"
        return output.with_name(files.shorten(name))
    if photos.is_picture(output) and output.suffix.lower() != Path(file.name).suffix.lower():
        raise ValueError(f"It hides no picture, but {file}: choose a name like that, or a folder.")
    return output


def size_of(image: np.ndarray) -> str:
    """Its width and height in pixels."""
    return f"{image.shape[1]}×{image.shape[0]} pixels"
