"""A progress bar for who waits at a terminal."""

from tqdm import tqdm

BARS = True  # False for one of several processes


def bar(parts, title: str):
    """Goes through `parts`; a progress bar appears at a terminal if that takes long."""
    return tqdm(parts, title, leave=False, delay=1, disable=None if BARS else True)
