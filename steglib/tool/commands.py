"""The commands for people with photos: hide, reveal, inspect."""

import argparse
import functools
import getpass
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from steglib import zoo
from steglib.channels import parity as correction
from steglib.channels import seal as sealing
from steglib.channels.frame import PayloadError
from steglib.channels.jpeg import QUALITIES
from steglib.images import photos
from steglib.tool import jobs

HIDE = """Hide one picture in another, or in each of several.

The stego file is a PNG (or, by its name, a lossless WebP or TIFF). It must stay as it is: JPEG,
resizing and messengers that recompress destroy the secret. With --survive it comes through JPEG
(not through resizing), carries less, and may be a JPEG itself.

  steglib hide cover.jpg secret.jpg -o stego.png
  steglib hide cover.jpg secret.jpg -o stego.png --rate 1.45 --key-prompt
  steglib hide cover.jpg secret.jpg -o stego.jpg --survive 75 --longest 1600
  steglib hide cover.png secret.jpg -o stego.png --quiet --key-prompt
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

ERRORS = OSError, ValueError, FloatingPointError, MemoryError, BrokenProcessPool


def add_commands(commands) -> None:
    """Adds them to the subparsers of `argparse`."""
    for add in (_add_hide, _add_reveal, _add_inspect):
        add(commands)


def run(options: argparse.Namespace) -> int:
    """Does what a parsed command line asks for; returns the exit code (`EXIT_CODES`)."""
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):  # a name that it cannot print must not stop the work
            output.reconfigure(errors="backslashreplace")
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # `| head` has read enough; Python would still want to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ERRORS as error:
        return _report(error)
    except ModuleNotFoundError as error:
        return _report(f'This needs {error.name}: pip install "steglib[course]"')
    except KeyboardInterrupt:
        print("steglib: interrupted", file=sys.stderr)
        return 130


def _report(error) -> int:
    """One line for the person; the exit code."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.filename:
        reason = f"{error.filename}: {error.strerror}"
    print(f"steglib: {reason}", file=sys.stderr)
    return 3 if isinstance(error, PayloadError) else 2


def _print_each(results) -> int:
    """Prints the lines that each of these functions returns, or its error; the exit code."""
    code = 0
    for result in results:
        try:
            lines = result()
        except ERRORS as error:
            code = max(code, _report(error))
        else:
            print(*lines, sep="\n", flush=True)
    return code


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
    models = [f"{name}: {entry.about}" for name, entry in zoo.MODELS.items() if entry.photos]
    parser.add_argument(
        "--model",
        help=f"{'; '.join(models)}; or a file that a training wrote (default: residue, or "
        "jpeg-proof with --survive, quiet with --quiet)",
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--survive",
        type=int,
        choices=QUALITIES,
        metavar="QUALITY",
        help="come through JPEG of this quality and all above it: 50, 75 or 85. What that promises "
        "is tried before the file is written",
    )
    kinds.add_argument(
        "--quiet",
        action="store_true",
        help="few bytes, where texture hides them from detectors; needs a key, and a cover that "
        "never was a JPEG file of this size",
    )
    parser.add_argument(
        "--longest",
        type=int,
        metavar="PIXELS",
        help="scale the cover down until no side is longer, as a messenger would",
    )
    payload = parser.add_mutually_exclusive_group()
    payload.add_argument(
        "--rate",
        type=_rate,
        default="auto",
        help="for a model whose samples say bytes: bits in each, up to 4, all to be used; or auto, "
        "the default: as few as bring the secret back with about 50 dB, 2.32 at most",
    )
    payload.add_argument(
        "--base",
        type=int,
        help="instead, plain digits, one in each sample, of this base, 2…16, as in notebook 07",
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
    _add_output(
        parser, "the secret, a PNG (or, by its name, another) file, or a folder for several"
    )
    parser.add_argument(
        "--model",
        default="residue",
        help="the one that hid the secret; the default finds out about all that hide digits",
    )
    _add_key(parser)
    parser.set_defaults(run=_reveal)


def _add_inspect(commands):
    parser = _add(commands, "inspect", INSPECT)
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    _add_key(parser)
    parser.set_defaults(run=_inspect)


def _rate(text):
    try:
        return None if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"neither a number nor auto: {text!r}") from None


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


def _hide(options):
    for path in options.covers:
        if jobs.identity(path) and jobs.identity(path) == jobs.identity(options.secret):
            raise ValueError(f"{path} is the secret: as a cover, everybody would see it.")
    outputs = _outputs(options, options.covers, options.secret, jpeg=bool(options.survive))
    secret = jobs.read_once(options.secret)
    settings = jobs.Settings(
        model=options.model or _usual_model(options),
        rate=options.rate,
        base=options.base,
        quality=options.survive,
        key=_key(options, twice=True),
        level=correction.LEVELS.index(options.protect) or None,
        secret=options.secret,
        size=options.size,
        keep_metadata=options.keep_metadata,
        force=options.force,
        longest=options.longest,
        jpeg=any(photos.is_jpeg(output) for output in outputs),
    )
    hider = settings.hider()
    if hider.same_size and options.size == "keep":
        raise ValueError(f"{settings.model} hides secrets of the cover's size: omit --size keep.")
    if min(secret.image.shape[:2]) < hider.min_side:
        raise ValueError(
            f"{options.secret} has a side of less than {hider.min_side} pixels: enlarge it."
        )
    for note in secret.notes:
        print(f"{options.secret}: {note}")
    with jobs.started(jobs.hide, options.covers, outputs, settings) as results:
        code = _print_each(results)
    if settings.key is None and any(output.exists() for output in outputs):
        print("No key was given: anyone who has steglib can reveal the secret.")
    return code


def _usual_model(options):
    if options.quiet:
        return "quiet"
    return "jpeg-proof" if options.survive else "residue"


def _reveal(options):
    outputs = _outputs(options, options.stegos, jpeg=True)  # nothing is hidden in what is revealed
    settings = jobs.Settings(model=options.model, key=_key(options), force=options.force)
    detects = settings.hider().detects
    with jobs.started(jobs.reveal, options.stegos, outputs, settings) as results:
        code = _print_each(results)
    if not detects:
        print(f"{options.model} reveals something from every picture: look whether it is a secret.")
    return code


def _outputs(options, paths, *also, jpeg=False):
    also = [path for path in (*also, options.key_file) if path]
    return jobs.outputs(paths, options.output, options.force, also, jpeg)


def _inspect(options):
    key = _key(options)
    return _print_each(functools.partial(jobs.describe, path, key) for path in options.files)
