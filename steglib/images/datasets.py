"""Folders of pictures → uint8 arrays, cached."""

import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from steglib import paths
from steglib.images import arrays, photos

EXTENSIONS = {
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".avif", ".heic", ".heif", ".hif", ".jp2"),
}
NAMED = 5  # at most, of the files that do not decode
SPLITS = ("train", "val", "test")
ANNOTATIONS = "val_annotations.txt"


@dataclass(frozen=True)
class ImageSet:
    """Pictures of one size with their labels.

    Attributes:
        images: uint8 [n, h, w, 3], RGB, possibly memory-mapped.
        labels: int32 [n], an index into `classes`, −1 where the class is unknown.
        classes: the identifier of each class (for Tiny ImageNet, its WordNet id).
        names: the file of each image, relative to the dataset's folder.
        words: a readable name for each identifier, as far as the dataset has one.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]
    words: dict[str, str]

    def __len__(self) -> int:
        return len(self.images)

    def class_name(self, i: int) -> str:
        """A readable class for image `i`."""
        if self.labels[i] < 0:
            return "unknown"
        identifier = self.classes[self.labels[i]]
        return self.words.get(identifier, identifier).split(",")[0]


def find_tiny_imagenet() -> Path:
    """The folder of Tiny ImageNet, the first of `paths.dataset_candidates` that holds it.

    Raises:
        FileNotFoundError: it lies in none of them; the message lists them all.
    """
    candidates = paths.dataset_candidates()
    for folder in candidates:
        if (folder / "train").is_dir() and (folder / "wnids.txt").is_file():
            return folder
    searched = "\n".join(f"  {folder}" for folder in candidates)
    raise FileNotFoundError(
        f"Tiny ImageNet was not found. Searched:\n{searched}\n"
        "Get it from Kaggle (https://www.kaggle.com/datasets/nikhilshingadiya/tinyimagenet200, or "
        "`kaggle datasets download nikhilshingadiya/tinyimagenet200 --unzip -p data`), or set "
        f"STEGLIB_DATA to the folder that holds {paths.DATASET}."
    )


def load_images(
    source: str | Path = "sample",
    split: str = "train",
    *,
    limit: int | None = None,
    size: int = 64,
    on_error: str = "stop",
    progress: bool = True,
) -> ImageSet:
    """Loads one split of a dataset, from its files the first time and from a cache afterwards.

    Args:
        source: "tiny-imagenet", "sample" (the bundled photographs) or any folder: one in
            Tiny ImageNet's layout (or that holds `tiny-imagenet-200`), one with train/val/test
            inside, one with a folder for each class, or one with pictures only. Where a folder
            has no splits of its own, every tenth picture (in an order drawn once) is "val" and
            the others are "train".
        split: "train", "val" or "test".
        limit: at most this many images, spread evenly over the split; None for all.
        size: side in pixels. Pictures of another size are scaled (Lanczos, which filters
            before it shrinks) and cropped to a centred square.
        on_error: "stop", or "skip" to leave out files that do not decode, and to print how many
            these are and the names of the first.
        progress: whether to show a progress bar while decoding.

    Returns:
        An `ImageSet` whose images are memory-mapped, read-only.

    Raises:
        FileNotFoundError: the dataset or the split is missing or holds no picture.
        ValueError: a file is missing, truncated or no picture (the message names it), or an
            argument has no such value.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, not {split!r}.")
    check_on_error(on_error)
    root = _find_root(source)
    files = _list_split(root, split)
    if limit is not None and limit < len(files):
        files = [files[i] for i in np.linspace(0, len(files) - 1, limit).round().astype(int)]
    if not files:
        raise FileNotFoundError(f"No pictures for the split {split!r} in {root}.")
    names, identifiers = zip(*files, strict=True)
    images, kept = _decode_cached(root, names, size, on_error, progress)
    if len(kept) < len(files):
        lost = [names[i] for i in sorted(set(range(len(files))) - set(kept))]
        more = f", and {len(lost) - NAMED} more" * (len(lost) > NAMED)
        print(
            f"Skipped {len(lost)} of {len(files)} files that do not decode: "
            f"{', '.join(lost[:NAMED])}{more}."
        )
    classes = _list_classes(root, identifiers)
    numbers = {identifier: i for i, identifier in enumerate(classes)}
    labels = np.array([numbers.get(identifiers[i], -1) for i in kept], np.int32)
    return ImageSet(images, labels, classes, tuple(names[i] for i in kept), _list_words(root))


def check_on_error(value: str) -> None:
    """Raises ValueError unless `load_images` knows the value."""
    if value not in ("skip", "stop"):
        raise ValueError(f"on_error must be 'skip' or 'stop', not {value!r}.")


def list_pictures(folder: str | Path) -> list[Path]:
    """The picture files in a folder, at any depth, sorted.

    What systems leave among them is passed over: hidden files and folders (`._a.jpg` of a Mac),
    `__MACOSX`, and all that is no picture by its name.

    Raises:
        FileNotFoundError: there is no such folder, or no picture in it.
    """
    if not (found := [Path(folder, name) for name in _walk(folder)]):
        what = "holds no picture" if Path(folder).is_dir() else "does not exist"
        raise FileNotFoundError(f"The folder {folder} {what}.")
    return found


def _walk(folder):
    """As `list_pictures`; names relative to it, with slashes."""
    names = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        inside = os.path.relpath(parent, folder).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        shown = (name for name in files if not name.startswith("."))
        pictures = (name for name in shown if os.path.splitext(name)[1].lower() in EXTENSIONS)
        names += [prefix + name for name in pictures]
    return sorted(names)


def _find_root(source: str | Path) -> Path:
    if source == "tiny-imagenet":
        return find_tiny_imagenet()
    root = paths.sample_dir() if source == "sample" else Path(source)
    if not root.is_dir():
        raise FileNotFoundError(f"The folder {root} does not exist.")
    inside = root / paths.DATASET
    return inside if inside.is_dir() else root


def _list_split(root: Path, split: str) -> list[tuple[str, str | None]]:
    """Each file of the split, relative to `root`, and the identifier of its class."""
    if (root / split / ANNOTATIONS).is_file():
        return _list_annotated(root, split)
    if (root / "train").is_dir():
        return [(f"{split}/{name}", identifier) for name, identifier in _list_folder(root / split)]
    return _draw_split(_list_folder(root), split)


def _list_annotated(root, split):
    """Tiny ImageNet has a table of what its validation images show."""
    lines = (root / split / ANNOTATIONS).read_text().splitlines()
    rows = [line.split("\t") for line in lines if line]
    return [(f"{split}/images/{name}", identifier) for name, identifier, *_ in rows]


def _list_folder(folder):
    """Its pictures; the class is the outermost folder, unless that is `images`."""
    outermost = {name: name.partition("/")[0] if "/" in name else None for name in _walk(folder)}
    return [(name, None if top == "images" else top) for name, top in outermost.items()]


def _draw_split(files, split):
    order = np.random.default_rng(0).permutation(len(files))
    tenth = len(files) // 10
    drawn = {"val": order[:tenth], "train": order[tenth:], "test": []}[split]
    return [files[i] for i in sorted(drawn)]


def _list_classes(root: Path, identifiers) -> tuple[str, ...]:
    listed = root / "wnids.txt"
    if listed.is_file():
        return tuple(listed.read_text().split())
    return tuple(sorted(set(identifiers) - {None}))


def _list_words(root: Path) -> dict[str, str]:
    listed = root / "words.txt"
    if not listed.is_file():
        return {}
    return dict(line.split("\t", 1) for line in listed.read_text().splitlines() if "\t" in line)


def _thumbnail(path: Path, size: int) -> np.ndarray:
    return arrays.fit_to(photos.read_photo(path).image, size, size)


def _decode_cached(root, files, size, on_error, progress) -> tuple[np.ndarray, list[int]]:
    """Images [n, size, size, 3] and the positions in `files` that they come from."""
    folder = paths.cache_dir() / _cache_key(root, files, size, on_error)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Written elsewhere and renamed when complete: a cache that exists is whole.
        scratch = Path(tempfile.mkdtemp(prefix="writing-", dir=folder.parent))
        try:
            _decode_into(scratch, root, files, size, on_error, progress)
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():  # if it is there, another process was faster
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    kept = json.loads((folder / "kept.json").read_text())
    return np.load(folder / "images.npy", mmap_mode="r")[: len(kept)], kept


def _decode_into(folder: Path, root, files, size, on_error, progress) -> None:
    shape = (len(files), size, size, 3)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    kept = []

    def decode(name):
        try:
            return _thumbnail(root / name, size)
        except ValueError:
            if on_error == "stop":
                raise
            return None

    bar = tqdm(total=len(files), desc="Decoding", unit="img", disable=not progress)
    with bar, ThreadPoolExecutor() as pool:
        # In slices, so that decoded images wait in memory for a moment only.
        for start in range(0, len(files), 1024):
            batch = files[start : start + 1024]
            for i, image in enumerate(pool.map(decode, batch), start):
                if image is not None:
                    images[len(kept)] = image
                    kept.append(i)
            bar.update(len(batch))
    if not kept:
        raise ValueError(f"None of the {len(files)} files in {root} decodes.")
    images.flush()
    (folder / "kept.json").write_text(json.dumps(kept))


def _cache_key(root: Path, files: list[str], size: int, on_error: str) -> str:
    digest = hashlib.sha256(f"{root.resolve()} {size} {on_error}".encode())
    for name in files:
        try:
            stat = os.stat(f"{root}/{name}")
            digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        except FileNotFoundError:  # it is listed, but not there
            digest.update(f"{name} missing\n".encode())
    return digest.hexdigest()[:16]
