"""What a person at a terminal sees of the work: a progress bar, and no chatter of libraries."""

import contextlib
import os
import sys

from tqdm import tqdm

BARS = True  # False for one of several processes


def bar(parts, title: str, total: int | None = None):
    """Goes through `parts`; a progress bar appears at a terminal if that takes long."""
    return tqdm(parts, title, total, leave=False, delay=1, disable=None if BARS else True)


@contextlib.contextmanager
def without_chatter():
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
