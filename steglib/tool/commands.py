"""`python -m steglib`: hide, reveal, inspect; evaluate, benchmark, train, train-codec, ship."""

import argparse
import contextlib
import functools
import getpass
import os
import signal
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from steglib import progress
from steglib import workers as processes
from steglib.channels import parity as correction
from steglib.channels import residues as payload
from steglib.channels import seal as sealing
from steglib.codec import codec
from steglib.evaluation import metrics
from steglib.images import arrays, photos
from steglib.models.coded import ResidueHider
from steglib.research import commands as cli_research
from steglib.zoo import load_card, load_model

HIDE = """Hide one picture in another, or in each of several.

The stego file is a PNG (or, by its name, a lossless WebP or TIFF). It must stay as it is:
JPEG, resizing and messengers that recompress destroy the secret.

  steglib hide cover.jpg secret.jpg -o stego.png
  steglib hide cover.jpg secret.jpg -o stego.png --base 3 --key-prompt
  steglib hide holiday/*.jpg secret.jpg -o stegos/ --key-file key.txt --protect low
"""
REVEAL = """Reveal what stego pictures hide.

  steglib reveal stego.png -o secret.png
  steglib reveal stegos/*.png -o secrets/ --key-file key.txt
"""
INSPECT = """Tell what picture files are: what they hide, and what they could.

  steglib inspect cover.jpg stego.png
  steglib inspect stego.png --key-prompt
"""
EXIT_CODES = """
exit codes: 0 done · 2 a file or an option cannot be used · 3 nothing to reveal: not a stego
picture, a wrong key, or changed since · 130, 143 interrupted. Files appear complete or not at all.
"""

PROCESSES = 4  # at most: a picture of 100 megapixels needs 1.7 GB
ERRORS = OSError, ValueError, FloatingPointError, MemoryError


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code (`EXIT_CODES`)."""
    parser = argparse.ArgumentParser(prog="steglib", description=sys.modules["steglib"].__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_hide(commands)
    _add_reveal(commands)
    _add_inspect(commands)
    cli_research.add_commands(commands)
    options = parser.parse_args(arguments)
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):  # a name that it cannot print must not stop the work
            output.reconfigure(errors="backslashreplace")
    _on(signal.SIGTERM, lambda *_: sys.exit(143))  # cleaning up
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        _on(signal.SIGINT, signal.default_int_handler)
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # `| head` has read enough; Python would still want to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ERRORS as error:
        return _report(error)
    except KeyboardInterrupt:
        print("steglib: interrupted", file=sys.stderr)
        return 130


def _on(number, handler):
    """Handles a signal: only the main thread may say how."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, handler)


def _report(error) -> int:
    """One line for the person; the exit code."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.filename:
        reason = f"{error.filename}: {error.strerror}"
    print(f"steglib: {reason}", file=sys.stderr)
    return 3 if isinstance(error, payload.PayloadError) else 2


def _add(commands, name, text):
    return commands.add_parser(
        name,
        help=text.partition("\n")[0].rstrip("."),
        description=text,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_hide(commands):
    parser = _add(commands, "hide", HIDE)
    parser.add_argument("covers", metavar="COVER", nargs="+", type=Path, help="all may see it")
    parser.add_argument("secret", metavar="SECRET", type=Path, help="the picture to hide")
    _add_output(parser, "the stego file, or a folder for several")
    parser.add_argument(
        "--model",
        default="residue",
        help="residue (default), classic, classic-faint, or a file that a training wrote",
    )
    parser.add_argument(
        "--base",
        type=int,
        help="of the residue model, 2…16 (default 5): larger ones carry more and change more",
    )
    parser.add_argument(
        "--size",
        choices=["keep", "cover"],
        help="of the secret: its own, or scaled and cropped to the cover's; by default its own, "
        "scaled down where the cover has too little room for it",
    )
    _add_key(parser)
    parser.add_argument(
        "--protect",
        choices=correction.LEVELS,
        default="none",
        help="error correction: part of the payload goes into parity (an eighth, a quarter, half)",
    )
    parser.add_argument("--keep-metadata", action="store_true", help="copy the cover's EXIF")
    parser.set_defaults(run=_hide)


def _add_reveal(commands):
    parser = _add(commands, "reveal", REVEAL)
    parser.add_argument("stegos", metavar="STEGO", nargs="+", type=Path, help="what `hide` wrote")
    _add_output(parser, "the secret, a PNG file, or a folder for several")
    parser.add_argument("--model", default="residue", help="the one that hid the secret")
    _add_key(parser)
    parser.set_defaults(run=_reveal)


def _add_inspect(commands):
    parser = _add(commands, "inspect", INSPECT)
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    _add_key(parser)
    parser.set_defaults(run=_inspect)


def _add_output(parser, text):
    parser.add_argument("-o", "--output", type=Path, required=True, help=text)
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def _add_key(parser):
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--key-file",
        type=Path,
        help="a file whose bytes are the key, without line breaks at its end",
    )
    keys.add_argument("--key-prompt", action="store_true", help="ask for a pass phrase")


def _key(options, twice=False) -> bytes | None:
    """The password, or None."""
    if options.key_file:
        try:
            key = options.key_file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            reason = f"The key file {options.key_file} cannot be read ({error.strerror})"
            raise ValueError(f"{reason}: name one that can.") from error
    elif options.key_prompt:
        try:
            phrase = getpass.getpass("Pass phrase: ")
            again = getpass.getpass("Once more: ") if twice else phrase
        except EOFError as error:
            raise ValueError("Nobody answers the prompt: use --key-file.") from error
        if again != phrase:
            raise ValueError("The two pass phrases differ: nothing was hidden.")
        key = sealing.password(phrase)
    else:
        return None
    if not key:
        raise ValueError("The key is empty: choose one that nobody guesses.")
    return key


@functools.cache
def _load(model, **digits):
    """A hider; `digits` that are not given are left to it."""
    given = {name: value for name, value in digits.items() if value is not None}
    with _without_chatter():
        return load_model(model, **given)


@functools.lru_cache(1)
def _read_secret(path):
    return _read(path)


def _read(path):
    with _without_chatter():
        return photos.read_photo(path)


@contextlib.contextmanager
def _without_chatter():
    """Drops what TensorFlow, as it starts, and libtiff write to stderr, below Python."""
    if sys.stderr is None:
        yield
        return
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _hide(options):
    for path in options.covers:
        if _identity(path) and _identity(path) == _identity(options.secret):
            raise ValueError(f"{path} is the secret: as a cover, everybody would see it.")
    outputs = _outputs(options.covers, options, options.secret, options.key_file)
    secret = _read_secret(options.secret)
    level = correction.LEVELS.index(options.protect) or None
    digits = {"base": options.base, "key": _key(options, twice=True), "level": level}
    model = _load(options.model, **digits)
    if model.same_size and options.size == "keep":
        raise ValueError(f"{options.model} hides secrets of the cover's size: omit --size keep.")
    if min(secret.image.shape[:2]) < model.min_side:
        raise ValueError(f"{options.secret} has a side of less than 8 pixels: enlarge it.")
    for note in secret.notes:
        print(f"{options.secret}: {note}")
    settings = options.model, digits, options.secret, options.size, options.keep_metadata
    code = _each(_hide_one, options.covers, outputs, options.force, *settings)
    if digits["key"] is None and any(output.exists() for output in outputs):
        print("No key was given: anyone who has steglib can reveal the secret.")
    return code


def _hide_one(path, output, force, model, digits, secret, size, keep_metadata):
    hider, cover, secret = _load(model, **digits), _read(path), _read_secret(secret).image
    if size == "cover":
        fitted = arrays.fit_to(secret, *cover.image.shape[:2])
    else:
        fitted = secret if size == "keep" else hider.fit(secret, cover.image)
    stego = hider.hide(cover.image, fitted)
    exif = cover.exif if keep_metadata else b""
    photos.write_photo(stego, output, overwrite=force, exif=exif)
    said = [f"{path}: {note}" for note in cover.notes]
    if fitted.shape != secret.shape:
        done = "scaled and cropped" if hider.same_size or size else "scaled"
        way = "" if hider.same_size or size else " (--size keep prevents that)"
        said.append(f"{output}: the secret was {done} to {_size(fitted)}{way}")
    psnr = metrics.psnr(cover.image[None], stego[None])[0]
    return [*said, f"{output}: {_size(stego)}, cover PSNR {psnr:.1f} dB"]


def _reveal(options):
    outputs = _outputs(options.stegos, options, options.key_file)
    key = _key(options)
    hider = _load(options.model, key=key)
    code = _each(_reveal_one, options.stegos, outputs, options.force, options.model, key)
    if not isinstance(hider, ResidueHider):
        print(f"{options.model} reveals something from every picture: look whether it is a secret.")
    return code


def _reveal_one(path, output, force, model, key):
    hider, image, corrected = _load(model, key=key), _read(path).image, False
    if isinstance(hider, ResidueHider):
        found = hider.extract(image)
        corrected, image = found.corrected, None  # a huge one's memory is needed now
        with _without_chatter():
            hider.codec.restorer  # noqa: B018, it is loaded here
        (revealed,) = hider.decode([found])
    else:
        revealed = hider.reveal(image)
    photos.write_photo(revealed, output, overwrite=force)
    damage = ", damaged, but corrected" if corrected else ""
    return [f"{output}: {_size(revealed)}{damage}"]


def _size(image):
    return f"{image.shape[1]}×{image.shape[0]} pixels"


def _outputs(paths, options, *also):
    """Where each path's output goes, if all of them can; not onto one of these, or `also`."""
    target, several = options.output, len(paths) > 1
    folder = target.is_dir() or several or not target.suffix
    if several and (target.suffix or target.is_file()) and not target.is_dir():
        raise ValueError(
            f"{target} must be a folder, as there are {len(paths)} files: create it first, or "
            "choose a name without a dot."
        )
    outputs = [target / f"{path.stem}.png" if folder else target for path in paths]
    names = [str(output).casefold() for output in outputs]  # on some disks, A.png is a.png
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} would be written more than once: rename some files.")
    if folder and not target.parent.is_dir():
        raise ValueError(f"There is no folder {target.parent}: create it first.")
    if folder:
        target.mkdir(exist_ok=True)
    inputs = {_identity(path) for path in [*paths, *also] if path} - {None}
    for output in outputs:
        photos.check_output(output, options.force)
        if _identity(output) in inputs:
            raise ValueError(f"{output} is to be read: write to another file or folder.")
    return outputs


def _identity(path):
    """The same for every name of a file; None where there is none."""
    return (path.stat().st_dev, path.stat().st_ino) if path.exists() else None


def _each(work, paths, outputs, *settings) -> int:
    """Does the work for every path, several at a time; one that fails does not stop the others."""
    jobs = [(work, *both, *settings) for both in zip(paths, outputs, strict=True)]
    if len(jobs) == 1:
        print(*_try(*jobs[0]), sep="\n")
        return 0
    code = 0
    with processes.running(_try, jobs, PROCESSES, _be_modest) as running:
        for job in running:
            try:
                said = job.result()
            except (*ERRORS, BrokenProcessPool) as error:
                code = max(code, _report(error))
            else:
                print(*said, sep="\n", flush=True)
    return code


def _be_modest():
    """For one of several processes: one thread, no progress bars."""
    codec.THREADS, progress.BARS = 1, False


def _try(work, path, output, *settings):
    """The work's result; its errors name the file."""
    try:
        return work(path, output, *settings)
    except photos.PhotoError:
        raise  # they do already
    except payload.PayloadError as error:
        raise payload.PayloadError(f"{path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except MemoryError as error:
        raise ValueError(f"{path} needs more memory than there is: scale it down.") from error


def _inspect(options):
    key, code = _key(options), 0
    for path in options.files:
        try:
            said = list(_describe(path, key))
        except ERRORS as error:
            code = max(code, _report(error))
        else:
            print(*said, sep="\n")
    return code


def _describe(path, key):
    photo = _read(path)
    image = photo.image
    yield f"{path}: {photo.format}, {_size(image)}"
    yield from (f"  {note}" for note in photo.notes)
    try:
        found = payload.extract(image, key)
    except payload.PayloadError as error:
        yield f"  {error}"
    else:
        height, width = found.size
        facts = [f"{width}×{height} pixels", f"{len(found.data)} bytes", f"base {found.base}"]
        facts += ["with a key" if found.sealed else "without a key"]
        facts += [f"protection {correction.LEVELS[found.level]}"]
        facts += ["damaged, but corrected"] * found.corrected
        yield f"  It hides a picture ({found.codec.name.lower()}): {', '.join(facts)}"
    if min(image.shape[:2]) < ResidueHider.min_side:
        yield "  It is too small to be a cover."
        return
    yield f"  As a cover, {'with' if key else 'without'} a key, for a secret of the same size:"
    yield "    base       bytes   bits a pixel   cover PSNR   secret PSNR*"
    for name, scores in load_card("residue")["scores"].items():
        base = int(name.split()[-1])
        room = payload.capacity(image.shape, base, key is not None)
        psnr = payload.expected_psnr(base, image)
        yield (
            f"    {base:4} {room:11,} {8 * room * 3 / image.size:14.2f} "
            f"{psnr:9.1f} dB {scores['secret_psnr']:10.1f} dB"
        )
    yield "    * mean of photographs of 64×64; tiny ones are worse, large ones differ by some dB."
