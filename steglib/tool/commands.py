"""The commands for people with photos: hide, reveal, inspect."""

import argparse
import dataclasses
import functools
import getpass
import os
import sys
import warnings
from concurrent.futures import BrokenExecutor
from pathlib import Path

from steglib import workers, zoo
from steglib.channels import parity as correction
from steglib.channels import seal as sealing
from steglib.channels.files import HiddenFile
from steglib.channels.frame import PayloadError
from steglib.channels.jpeg import QUALITIES
from steglib.images import photos
from steglib.tool import batches, inspection, jobs, places
from steglib.tool.places import STANDARD

HIDE = """Hide a picture, or any file, in a picture, or in each of several.

The stego file is a PNG (or, by its name, a lossless WebP or TIFF). It must stay as it is: JPEG,
resizing and messengers that recompress destroy the secret. With --survive it comes through JPEG
(not through resizing), carries less, and may be a JPEG itself.

A secret that is a picture comes back as good as the cover allows; with --exact, and what is no
picture, byte for byte and with its name. For several files, make a zip of them.

  steglib hide cover.jpg secret.jpg -o stego.png
  steglib hide cover.jpg notes.pdf -o stego.png
  steglib hide cover.jpg --text "Meet me at noon." -o stego.png
  steglib hide cover.jpg secret.jpg -o stego.png --rate 1.45 --key-prompt
  steglib hide cover.jpg secret.jpg -o stego.jpg --survive 75 --longest 1600
  steglib hide cover.png secret.jpg -o stego.png --quiet --key-prompt
  steglib hide holiday/ secret.jpg -o stegos/ --key-file key.txt --protect low
  curl … | steglib hide - secret.jpg -o - > stego.png
"""
REVEAL = """Reveal what stego pictures hide.

In a folder, a hidden file gets its own name; of several, after that of its stego picture.

  steglib reveal stego.png -o secret.png
  steglib reveal stego.png -o .
  steglib reveal stegos/ -o secrets/ --key-file key.txt
"""
INSPECT = """Tell what picture files are: what they hide, and what they could.

  steglib inspect cover.jpg stego.png
  steglib inspect stego.png --key-prompt
"""
EXIT_CODES = """
exit codes: 0 done · 2 a file or an option cannot be used · 3 nothing to reveal: not a stego
picture, a wrong key, or changed since · 130, 143 interrupted. Files appear complete or not at all.
A folder means all pictures in it, "*.jpg" all that match, and - standard input or output.
"""
KEYS = (
    "A key or a text travels there, by tcp:// for all in the network to read: trust it, or use "
    "tls://"
)

BACKENDS = "tensorflow", "jax", "torch", "openvino"
MANY = 20  # files, after which how many failed is said once more
ERRORS = OSError, ValueError, FloatingPointError, MemoryError, BrokenExecutor


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
        if error.name in BACKENDS:
            return _report(
                f"Keras is set to the backend {error.name}, which is not installed: install it, or "
                "set KERAS_BACKEND=tensorflow."
            )
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


def _print_each(results, say) -> int:
    """Says the lines that each of these functions returns, or its error; the exit code."""
    code, failed, count = 0, 0, 0
    for count, result in enumerate(results, 1):  # noqa: B007
        try:
            lines = result()
        except ERRORS as error:
            code, failed = max(code, _report(error)), failed + 1
        else:
            say(*lines)
    if failed and count > MANY:
        print(f"steglib: {failed} of {count} files failed", file=sys.stderr)
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
    parser.usage = "steglib hide [options] COVER [COVER …] SECRET -o STEGO"
    parser.add_argument(
        "files", metavar="COVER … SECRET", nargs="+", type=Path, help="all may see the covers"
    )
    parser.add_argument("--text", help="hide this in place of a SECRET")
    parser.add_argument(
        "--exact", action="store_true", help="hide a picture byte for byte, as the file that it is"
    )
    _add_files(parser, "the stego file, or a folder for several")
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
    parser.add_argument("files", metavar="STEGO", nargs="+", type=Path, help="what `hide` wrote")
    _add_files(parser, "the secret: a picture or what was hidden, or a folder")
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
    _add_recursive(parser)
    _add_key(parser)
    parser.set_defaults(run=_inspect)


def _rate(text):
    try:
        return None if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"neither a number nor auto: {text!r}") from None


def _add_files(parser, text):
    parser.add_argument("-o", "--output", type=Path, required=True, help=text)
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")
    _add_recursive(parser)
    parser.add_argument("--cluster", metavar="ADDRESS", help=f"{workers.CLUSTER}. {KEYS}")


def _add_recursive(parser):
    parser.add_argument(
        "--recursive", action="store_true", help="of folders, take the folders in them, too"
    )


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
            with warnings.catch_warnings(action="error", category=getpass.GetPassWarning):
                phrase = getpass.getpass("Pass phrase: ")
                again = getpass.getpass("Once more: ") if twice else phrase
        except getpass.GetPassWarning as error:
            raise ValueError("There is no terminal for the prompt: use --key-file.") from error
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
    names, secret = _secret(options)
    covers = places.expand(names, options.recursive)
    _check_standard(options, [*names, secret])
    for path, _ in covers:
        if isinstance(secret, Path) and places.same(path, secret):
            raise ValueError(f"{path} is the secret: as a cover, everybody would see it.")
    outputs = _outputs(options, covers, functools.partial(_check_stego, options), secret)
    settings = jobs.Settings(
        model=options.model or _usual_model(options),
        rate=options.rate,
        base=options.base,
        quality=options.survive,
        level=correction.LEVELS.index(options.protect) or None,
        secret=secret,
        exact=options.exact,
        size=options.size,
        keep_metadata=options.keep_metadata,
        force=options.force,
        longest=options.longest,
        jpeg=any(photos.is_jpeg(output) for output in outputs),
    )
    settings.read_secret()  # before a key is asked for
    settings = dataclasses.replace(settings, key=_key(options, twice=True))
    say = _printer(options)
    say(*jobs.check_secret(settings))
    with batches.started(jobs.hide, covers, outputs, settings, options.cluster) as results:
        code = _print_each(results, say)
    if settings.key is None and any(path.exists() or path == STANDARD for path in outputs):
        say("No key was given: anyone who has steglib can reveal the secret.")
    return code


def _check_stego(options, output, force):
    try:
        photos.check_output(output, force, jpeg=bool(options.survive))
    except photos.PhotoError as error:
        others = options.quiet, options.model, options.base, options.rate
        if photos.is_jpeg(output) and not options.survive and not any(others):
            raise ValueError(f"{str(error)[:-1]}, or hide with --survive 75.") from error
        raise


def _secret(options):
    """The names of the covers, and the secret: a path or a text."""
    if options.text is not None:
        return options.files, HiddenFile("", options.text.encode(errors="surrogateescape"))
    if len(options.files) < 2:
        raise ValueError("Name a cover and a secret, or give --text: see steglib hide --help.")
    return options.files[:-1], options.files[-1]


def _check_standard(options, names):
    if options.cluster and STANDARD in (*names, options.output):
        raise ValueError("Standard input and output (-) do not reach a cluster: name files.")
    if names.count(STANDARD) > 1:
        raise ValueError("Standard input (-) is one file: name another for the cover or secret.")


def _printer(options):
    """Prints lines where they do not get into what is written."""
    file = sys.stderr if options.output == STANDARD else sys.stdout
    return lambda *lines: print(*lines, sep="\n", file=file, flush=True) if lines else None


def _usual_model(options):
    if options.quiet:
        return "quiet"
    return "jpeg-proof" if options.survive else "residue"


def _reveal(options):
    _check_standard(options, options.files)
    stegos = places.expand(options.files, options.recursive)
    into_folder = places.into_folder(stegos, options.output)

    def check(output, force):  # in a folder, the name is that of what is revealed
        photos.check_place(output, force or into_folder)

    outputs = _outputs(options, stegos, check)
    settings = jobs.Settings(
        model=options.model,
        key=_key(options),
        force=options.force,
        into_folder=into_folder,
        several=len(stegos) > 1,
    )
    say, detects = _printer(options), settings.hider().detects
    with batches.started(jobs.reveal, stegos, outputs, settings, options.cluster) as results:
        code = _print_each(results, say)
    if not detects:
        say(f"{options.model} reveals something from every picture: look whether it is a secret.")
    return code


def _outputs(options, sources, check, *also):
    also = [path for path in (*also, options.key_file) if isinstance(path, Path)]
    return places.outputs(sources, options.output, options.force, check, also)


def _inspect(options):
    key, say = _key(options), functools.partial(print, sep="\n", flush=True)
    sources = places.expand(options.files, options.recursive)
    return _print_each(
        (functools.partial(inspection.describe, path, key) for path, _ in sources), say
    )
