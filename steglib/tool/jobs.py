"""What the commands do with each file, hide, reveal or describe it; and with several at a time."""

import contextlib
import dataclasses
import functools
import os
import re
import secrets
import shutil
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from steglib import progress, workers, zoo
from steglib.channels import detection, files, quiet
from steglib.channels import parity as correction
from steglib.channels.files import HiddenFile
from steglib.channels.frame import Kind, PayloadError
from steglib.channels.jpeg import QUALITIES, JpegChannel
from steglib.channels.quiet import QuietChannel
from steglib.channels.residues import ResidueChannel
from steglib.evaluation import metrics
from steglib.hider import Hider
from steglib.images import arrays, photos
from steglib.images.kinds import KindError
from steglib.images.photos import Photo, PhotoError
from steglib.tool.places import STANDARD, Source

SAMPLED = 2**18  # samples, by which a cover's PSNR is foretold
PROCESSES = 4  # at most: a picture of 100 megapixels needs 1.7 GB


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
            return _quietly(photos.read_photo, data if standard else path)
        except PhotoError as error:
            if not isinstance(error.__cause__, UnidentifiedImageError | KindError):
                raise
    return HiddenFile("secret" if standard else path.name, data if standard else path.read_bytes())


def _read(path, read, **options):
    """What `read` makes of a file, or of standard input."""
    return _quietly(read, sys.stdin.buffer if path == STANDARD else path, **options)


def _quietly(work, *arguments, **options):
    """Without a word from libraries."""
    with progress.without_chatter():
        return work(*arguments, **options)


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
    photo = _read(cover, photos.read_photo)
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
    secret, remarks = settings.hider().reveal_any(_read(stego, photos.read_samples))
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


def describe(path: Path, key: bytes | None = None) -> list[str]:
    """What a picture file is: what it hides, and what it could."""
    photo = _read(path, photos.read_photo, samples=True)
    lines = [f"{path}: {photo.format}, {size_of(photo.image)}"]
    lines += [f"  {note}" for note in photo.notes]
    return lines + _describe_payload(photo.samples, key) + _describe_room(photo.image, key)


def _describe_payload(image, key):
    try:
        found = detection.read(image, key)
    except PayloadError as error:
        return [f"  {error}"]
    layout = found.layout
    carried = f"base {layout.base}"
    if layout.memory > 1:
        carried = f"{8 * len(found.data) / image.size:.3g} bits in each sample"
    if layout.quality:
        carried = f"comes through JPEG of quality {layout.quality} and more"
    facts = [f"{len(found.data)} bytes", carried]
    facts += ["with a key" if layout.sealed else "without a key"]
    facts += [f"protection {correction.LEVELS[layout.level]}"]
    facts += ["damaged, but corrected"] * found.corrected
    if found.kind == Kind.FILE:
        return [f"  It hides {files.unpack(found.data)}: {', '.join(facts)}"]
    height, width = found.size
    what = f"a picture ({found.kind.name.lower()}): {width}×{height} pixels"
    return [f"  It hides {what}, {', '.join(facts)}"]


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


@contextlib.contextmanager
def started(
    work, sources: list[Source], outputs: list[Path], settings: Settings, cluster: str | None = None
):
    """Does `work(path, output, settings)` for every source, several at a time.

    Gives a function for each, which waits for its work: it returns the lines or raises what
    went wrong, with a message that names the file. One that fails does not stop the others. If
    there is only one, and no `cluster` (see `workers.running`), what goes wrong is raised at once.

    Raises:
        BrokenExecutor: as `workers.running`.
    """
    if cluster:
        with _on_cluster(work, sources, outputs, settings, cluster) as results:
            yield results
        return
    jobs = [
        (work, source.path, output, settings)
        for source, output in zip(sources, outputs, strict=True)
    ]
    if len(jobs) == 1:
        lines = _attempt(*jobs[0])
        yield [lambda: lines]
        return
    with workers.running(_attempt, jobs, PROCESSES, workers.be_modest) as futures:
        yield [future.result for future in futures]


@contextlib.contextmanager
def _on_cluster(work, sources, outputs, settings, cluster):
    """A worker writes a draft, which this process moves to its place when the work is done: how
    often that was begun, and which workers died at it, does not matter."""
    with _drafts(outputs) as drafts:
        sent = settings.elsewhere(command=drafts[0].parent.name)
        files = list(zip((source.path for source in sources), drafts, outputs, strict=True))
        jobs = [(work, path.absolute(), draft / output.name, sent) for path, draft, output in files]
        shared = cluster, drafts[0]
        with workers.running(_attempt, jobs, PROCESSES, workers.be_modest, *shared) as futures:
            finish = [functools.partial(_publish, *file, settings.force) for file in files]
            yield [future.result for future in map(workers.then, futures, finish)]


@contextlib.contextmanager
def _drafts(outputs):
    """An empty folder for each output, in one beside it, which is there only meanwhile."""
    name = f".{secrets.token_hex(8)}.part"
    drafts = [output.absolute().parent / name / str(i) for i, output in enumerate(outputs)]
    try:
        for draft in drafts:
            draft.mkdir(parents=True)
        yield drafts
    finally:
        for folder in {draft.parent for draft in drafts}:
            with contextlib.suppress(OSError):  # by another name, nobody writes into it any more
                shutil.rmtree(folder.rename(folder.with_suffix(".gone")), ignore_errors=True)


def _publish(path, draft, output, force, future):
    """Moves what was written to its place, and says of it there what was said of the draft."""

    def here(text):
        text = text.replace(f"{draft}{os.sep}", str(output).removesuffix(output.name))
        return text.replace(str(path.absolute()), str(path))

    try:
        lines = future.result()
    except BrokenExecutor as error:
        raise BrokenExecutor(f"{path}: {error}") from error
    except ValueError as error:
        raise type(error)(here(str(error))) from error
    for file in draft.iterdir():
        if not photos.is_part(file):  # of a worker that died
            photos.move(file, output.with_name(file.name), overwrite=force)
    return list(map(here, lines))


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
