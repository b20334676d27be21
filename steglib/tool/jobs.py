"""What the commands do with each file, hide, reveal or describe it; and with several at a time."""

import contextlib
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from steglib import progress, workers, zoo
from steglib.channels import detection, quiet
from steglib.channels import parity as correction
from steglib.channels.frame import PayloadError
from steglib.channels.jpeg import QUALITIES, JpegChannel
from steglib.channels.quiet import QuietChannel
from steglib.channels.residues import ResidueChannel
from steglib.evaluation import metrics
from steglib.hider import Hider
from steglib.images import arrays, photos
from steglib.images.photos import Photo, PhotoError

SAMPLED = 2**18  # samples, by which a cover's PSNR is foretold
PROCESSES = 4  # at most: a picture of 100 megapixels needs 1.7 GB


@dataclass(frozen=True)
class Settings:
    """What is asked for, for every file.

    Attributes:
        model: what `zoo.load_spec` takes.
        rate, base, quality, key, level: its options; None where they are not given.
        secret: the picture to hide.
        size: of the secret: "keep", "cover", or None to scale it down if need be.
        keep_metadata: whether the stego file gets the cover's EXIF.
        force: whether files are overwritten.
        longest: pixels of the cover's longer side, to which it is scaled down first; None for any.
        jpeg: whether the stego file is a JPEG.
    """

    model: str
    rate: float | None = None
    base: int | None = None
    quality: int | None = None
    key: bytes | None = field(default=None, repr=False)
    level: int | None = None
    secret: Path | None = None
    size: str | None = None
    keep_metadata: bool = False
    force: bool = False
    longest: int | None = None
    jpeg: bool = False

    def hider(self) -> Hider:
        """The hider; each process loads it once. Raises ValueError as `zoo.load_spec`."""
        names = "rate", "base", "quality", "key", "level"
        options = {name: getattr(self, name) for name in names}
        return _load_once(self.model, **options, file="jpeg" if self.jpeg else None)


@functools.cache
def _load_once(spec, **options):
    with progress.without_chatter():
        return zoo.load_spec(spec, **options)


@functools.lru_cache(1)
def read_once(path: Path) -> Photo:
    """As `read`; the last one is kept."""
    return read(path)


def read(path: Path, samples: bool = False) -> Photo:
    """As `photos.read_photo`, without a word from libraries."""
    with progress.without_chatter():
        return photos.read_photo(path, samples=samples)


def _read_samples(path):
    with progress.without_chatter():
        return photos.read_samples(path)


def hide(cover: Path, output: Path, settings: Settings) -> list[str]:
    """Hides the secret in one cover. Returns lines to say about it."""
    hider, photo, secret = settings.hider(), read(cover), read_once(settings.secret).image
    image, known = _scale(photo.image, settings.longest, hider)
    fitted = _fit(secret, image, hider, settings.size)
    stego, remarks = hider.hide_remarked(image, fitted, **known)
    exif = photo.exif if settings.keep_metadata else b""
    photos.write_photo(stego, output, overwrite=settings.force, exif=exif, jpeg=settings.jpeg)
    lines = [f"{cover}: {note}" for note in photo.notes]
    lines += [f"{output}: {remark}" for remark in remarks]
    if fitted.shape != secret.shape:
        done, remedy = "scaled", " (--size keep prevents that)"
        if hider.same_size or settings.size:
            done, remedy = "scaled and cropped", ""
        lines.append(f"{output}: the secret was {done} to {size_of(fitted)}{remedy}")
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
    secret, remarks = settings.hider().reveal_remarked(_read_samples(stego))
    photos.write_photo(secret, output, overwrite=settings.force, jpeg=True)
    return [", ".join([f"{output}: {size_of(secret)}", *remarks])]


def describe(path: Path, key: bytes | None = None) -> list[str]:
    """What a picture file is: what it hides, and what it could."""
    photo = read(path, samples=True)
    lines = [f"{path}: {photo.format}, {size_of(photo.image)}"]
    lines += [f"  {note}" for note in photo.notes]
    return lines + _describe_payload(photo.samples, key) + _describe_room(photo.image, key)


def _describe_payload(image, key):
    try:
        found = detection.read(image, key)
    except PayloadError as error:
        return [f"  {error}"]
    (height, width), layout = found.size, found.layout
    carried = f"base {layout.base}"
    if layout.memory > 1:
        carried = f"{8 * len(found.data) / image.size:.3g} bits in each sample"
    if layout.quality:
        carried = f"comes through JPEG of quality {layout.quality} and more"
    facts = [f"{width}×{height} pixels", f"{len(found.data)} bytes", carried]
    facts += ["with a key" if layout.sealed else "without a key"]
    facts += [f"protection {correction.LEVELS[layout.level]}"]
    facts += ["damaged, but corrected"] * found.corrected
    return [f"  It hides a picture ({found.kind.name.lower()}): {', '.join(facts)}"]


def _describe_room(image, key):
    """As a cover of the residue model, a line for each rate that its card scores."""
    if min(image.shape[:2]) < Settings("residue").hider().min_side:
        return ["  It is too small to be a cover."]
    table = [
        f"  As a cover, {'with' if key else 'without'} a key, for a secret of the same size:",
        "    rate       bytes   bits a pixel   cover PSNR   secret PSNR*",
    ]
    for name, scores in zoo.load_card("residue")["scores"].items():
        if found := re.fullmatch(r"residue, (\S+) bits? a sample", name):
            room = ResidueChannel(key=key, rate=float(found[1])).capacity(image.shape)
            table.append(
                f"    {found[1]:>4} {room:11,} {8 * room * 3 / image.size:14.2f} "
                f"{_cover_psnr(image, float(found[1])):9.1f} dB {scores['secret_psnr']:10.1f} dB"
            )
    note = "    * mean of photographs of 64×64; tiny ones are worse, large ones differ by some dB."
    return [*table, note, *_describe_survival(image, key), *_describe_quiet(image)]


def _cover_psnr(image, rate):
    """With random bytes, in a sample of its rows."""
    rows = image[:: max(1, image.size // SAMPLED)]
    channel = ResidueChannel(rate=rate)
    data = np.random.default_rng(0).bytes(channel.capacity(rows.shape))
    return metrics.psnr(rows[None], channel.write(rows, data)[None])[0]


def _describe_survival(image, key):
    """What it carries through JPEG, a line for each promise."""
    rooms = {q: JpegChannel(q, key).capacity(image.shape) for q in QUALITIES}
    if not any(rooms.values()):
        return ["  It is too small to carry anything through JPEG."]
    lines = [f"    quality {q} and more: {room:9,} bytes" for q, room in rooms.items()]
    return ["  Through JPEG (--survive), with the least protection:", *lines]


def _describe_quiet(image):
    """How much it hides quietly, or why nothing."""
    if (reason := quiet.objection(image)) is not None:
        return [f"  Quietly (--quiet): nothing. {reason}"]
    channel = QuietChannel(b"any")
    lines = channel.about(image, bytes(channel.capacity(image.shape)))
    return ["  Quietly (--quiet), at most:", *(f"    {line}" for line in lines)]


def size_of(image: np.ndarray) -> str:
    """Its width and height in pixels."""
    return f"{image.shape[1]}×{image.shape[0]} pixels"


def outputs(paths: list[Path], target: Path, force: bool, also=(), jpeg=False) -> list[Path]:
    """Where each path's output goes: to the file `target`, or into the folder of that name.

    Raises:
        ValueError: one cannot be written, exists (unless `force`), or is one of the files that
            are read, `paths` and `also`.
    """
    several = len(paths) > 1
    folder = target.is_dir() or several or not target.suffix
    if several and (target.suffix or target.is_file()) and not target.is_dir():
        raise ValueError(
            f"{target} must be a folder, as there are {len(paths)} files: create it first, or "
            "choose a name without a dot."
        )
    found = [target / f"{path.stem}.png" if folder else target for path in paths]
    names = [str(output).casefold() for output in found]  # on some disks, A.png is a.png
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} would be written more than once: rename some files.")
    if folder and not target.parent.is_dir():
        raise ValueError(f"There is no folder {target.parent}: create it first.")
    if folder:
        target.mkdir(exist_ok=True)
    inputs = {identity(path) for path in [*paths, *also]} - {None}
    for output in found:
        photos.check_output(output, force, jpeg)
        if identity(output) in inputs:
            raise ValueError(f"{output} is to be read: write to another file or folder.")
    return found


def identity(path: Path) -> tuple[int, int] | None:
    """The same for every name of a file; None where there is none."""
    return (path.stat().st_dev, path.stat().st_ino) if path.exists() else None


@contextlib.contextmanager
def started(work, paths: list[Path], outputs: list[Path], settings: Settings):
    """Does `work(path, output, settings)` for every path, several at a time.

    Gives a function for each path, which waits for its work: it returns the lines or raises what
    went wrong, with a message that names the file. One that fails does not stop the others. If
    there is only one, what goes wrong is raised at once.
    """
    jobs = [(work, path, output, settings) for path, output in zip(paths, outputs, strict=True)]
    if len(jobs) == 1:
        lines = _attempt(*jobs[0])
        yield [lambda: lines]
        return
    with workers.running(_attempt, jobs, PROCESSES, _be_modest) as futures:
        yield [future.result for future in futures]


def _be_modest():
    """For one of several processes: one thread, no progress bars."""
    workers.THREADS, progress.BARS = 1, False


def _attempt(work, path, output, settings):
    """The work's result; its errors name the file."""
    try:
        return work(path, output, settings)
    except PhotoError:
        raise  # they do already
    except PayloadError as error:
        raise PayloadError(f"{path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except MemoryError as error:
        raise ValueError(f"{path} needs more memory than there is: scale it down.") from error
