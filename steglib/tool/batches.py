"""Several files at a time: in processes of this machine, or on a cluster."""

import contextlib
import functools
import os
import secrets
import shutil
from concurrent.futures import BrokenExecutor
from pathlib import Path

from steglib import workers
from steglib.channels.frame import PayloadError
from steglib.images import photos
from steglib.images.photos import PhotoError
from steglib.tool.jobs import Settings
from steglib.tool.places import Source

PROCESSES = 4  # at most: a picture of 100 megapixels needs 1.7 GB


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
