"""Which files the commands read, and where what they make of them goes."""

import glob
import sys
from pathlib import Path
from typing import NamedTuple

from steglib import progress
from steglib.images import datasets

STANDARD = Path("-")  # input or output, in place of a file


class Source(NamedTuple):
    """A file to read.

    Attributes:
        path: of the file.
        inside: its place in the folder that was named; its name, if no folder was.
    """

    path: Path
    inside: Path


def expand(names: list[Path], recursive: bool = False) -> list[Source]:
    """The files that are meant: also all pictures in a folder, and what wildcards match.

    Args:
        names: paths of files or folders, or wildcards that the shell has left; or `STANDARD`.
        recursive: whether folders in a folder count, too.

    Raises:
        ValueError: a folder holds no picture, or wildcards match no file.
    """
    sources = []
    for name in names:
        if name.is_dir():
            found = [Source(path, path.relative_to(name)) for path in datasets.list_pictures(name)]
            found = [source for source in found if recursive or source.path.parent == name]
            problem = "holds no picture itself, but in its folders (--recursive)"
        elif glob.has_magic(str(name)) and not name.exists():
            matching = sorted(Path(match) for match in glob.glob(str(name), recursive=True))
            found = [Source(path, Path(path.name)) for path in matching if path.is_file()]
            problem = "matches no file"
        else:
            found, problem = [Source(name, Path(name.name))], ""
        if not found:
            raise ValueError(f"{name} {problem}: name others.")
        sources += found
    if STANDARD in names and len(sources) > 1:
        raise ValueError("Standard input (-) is one file: name it alone.")
    return sources


def into_folder(sources: list[Source], target: Path) -> bool:
    """Whether the output `target` is a folder, if need be one that does not exist yet."""
    if target == STANDARD:
        return False
    return target.is_dir() or len(sources) > 1 or not target.suffix


def outputs(sources: list[Source], target: Path, force: bool, check, also=()) -> list[Path]:
    """Where the output of each source goes: to the file `target`, or into the folder of that name.

    Args:
        sources: what is read.
        target: a file, a folder, or `STANDARD`.
        force: whether outputs may exist.
        check: called with each output and `force`, raises ValueError for one that cannot be.
        also: other files that are read.

    Raises:
        ValueError: `check` does, or one would replace one of the files that are read.
    """
    several, folder = len(sources) > 1, into_folder(sources, target)
    if several and target == STANDARD:
        raise ValueError(f"{len(sources)} files do not fit through standard output: name a folder.")
    if several and (target.suffix or target.is_file()) and not target.is_dir():
        raise ValueError(
            f"{target} must be a folder, as there are {len(sources)} files: create it first, or "
            "choose a name without a dot."
        )
    if target == STANDARD:
        return [target]
    found = [target / source.inside.with_suffix(".png") if folder else target for source in sources]
    names = [str(output).casefold() for output in found]  # on some disks, A.png is a.png
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} would be written more than once: rename some files.")
    if folder and not target.parent.is_dir():
        raise ValueError(f"There is no folder {target.parent}: create it first.")
    inputs = {identity(path) for path in [*(source.path for source in sources), *also]} - {None}
    for output in found:
        if folder:
            output.parent.mkdir(parents=True, exist_ok=True)
        check(output, force)
        if force and identity(output) in inputs:
            raise ValueError(f"{output} is to be read: write to another file or folder.")
    return found


def same(path: Path, other: Path) -> bool:
    """Whether both are names of one file."""
    return identity(path) is not None and identity(path) == identity(other)


def identity(path: Path) -> tuple[int, int] | None:
    """The same for every name of a file; None where there is none."""
    return (path.stat().st_dev, path.stat().st_ino) if path.exists() else None


def read(source: Path | bytes, decode, **options):
    """What `decode` makes of a file, of standard input, or of bytes; libraries say nothing."""
    with progress.without_chatter():
        return decode(sys.stdin.buffer if source == STANDARD else source, **options)
