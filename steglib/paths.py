"""Where data, runs and figures live, in a checkout and on Kaggle."""

import os
import tempfile
from pathlib import Path

DATASET = "tiny-imagenet-200"

_PACKAGE_PARENT = Path(__file__).resolve().parent.parent


def kaggle_root() -> Path | None:
    """The folder that holds Kaggle's `input` and `working`, or None elsewhere.

    `STEGLIB_KAGGLE` names another folder laid out like it, for trying things at home.
    """
    root = os.environ.get("STEGLIB_KAGGLE")
    if root:
        return Path(root)
    return Path("/kaggle") if "KAGGLE_KERNEL_RUN_TYPE" in os.environ else None


def home() -> Path:
    """The folder that everything is written under: the checkout, or Kaggle's working folder.

    `STEGLIB_HOME` names another one.
    """
    if os.environ.get("STEGLIB_HOME"):
        return Path(os.environ["STEGLIB_HOME"])
    if kaggle_root():
        return kaggle_root() / "working"
    return _PACKAGE_PARENT if (_PACKAGE_PARENT / "notebooks").is_dir() else Path.cwd()


def runs_dir() -> Path:
    return home() / "runs"


def find_run(name: str) -> Path:
    """The folder of a run; on Kaggle perhaps in the attached output of the kernel that made it.

    Where there is none, it is the one that a training would make.
    """
    if kaggle_root():
        mounts = kaggle_root() / "input"
        for pattern in (f"*/runs/{name}", f"*/*/*/runs/{name}"):  # by slug; by kind and owner
            for found in mounts.glob(pattern):
                return found
    return runs_dir() / name


def figures_dir() -> Path:
    return home() / "figures"


def cache_dir() -> Path:
    """Decoded images. On Kaggle not in the working folder, which is kept as a kernel's output."""
    if kaggle_root():
        return Path(tempfile.gettempdir()) / "steglib-cache"
    return home() / ".cache"


def sample_dir() -> Path:
    """The bundled photographs, which lie beside the package."""
    return _PACKAGE_PARENT / "data" / "sample"


def dataset_candidates() -> list[Path]:
    """Every folder where Tiny ImageNet is looked for, best first.

    These are `$STEGLIB_DATA` (the dataset itself or a folder that holds it), `data/`
    beside the package, and Kaggle's two mount layouts, `input/<slug>` and
    `input/datasets/<owner>/<slug>`.
    """
    places = []
    if os.environ.get("STEGLIB_DATA"):
        places.append(Path(os.environ["STEGLIB_DATA"]))
    places.append(_PACKAGE_PARENT / "data")
    if kaggle_root():
        mounts = kaggle_root() / "input"
        places += sorted(mounts.glob("*")) + sorted(mounts.glob("datasets/*/*"))
    inside = [place / DATASET for place in places]
    nested = [place / DATASET for place in inside]  # archives that hold the folder twice
    return [folder for group in zip(places, inside, nested, strict=True) for folder in group]
