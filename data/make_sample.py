"""Makes `data/sample/`: 64×64 cuts of scikit-image's photographs, in Tiny ImageNet's layout.

    python data/make_sample.py

A class is a source photograph, and no photograph is in both train and val. Greyscale
photographs are saved as greyscale files, as some of Tiny ImageNet's are.
"""

import shutil
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

SAMPLE = Path(__file__).parent / "sample"
SIZE = 64
SCALES = (1, 2, 4)
TRAIN = {"astronaut": 72, "coffee": 72, "hubble_deep_field": 36, "retina": 60, "camera": 16}
VAL = {"chelsea": 48, "rocket": 40, "gravel": 8}


def cuts(name: str, count: int, rng: np.random.Generator):
    """`count` pictures cut from the photograph, at each scale in turn, none of them blank."""
    photo = Image.fromarray(getattr(skimage.data, name)())
    scaled = [photo.reduce(scale) for scale in SCALES]
    found = []
    while len(found) < count:
        picture = scaled[len(found) % len(scaled)]
        left = int(rng.integers(picture.width - SIZE + 1))
        top = int(rng.integers(picture.height - SIZE + 1))
        cut = picture.crop((left, top, left + SIZE, top + SIZE))
        if np.std(cut) > 6:
            found.append(cut)
    return found


def main() -> None:
    shutil.rmtree(SAMPLE, ignore_errors=True)
    rng = np.random.default_rng(2026)
    for name, count in TRAIN.items():
        folder = SAMPLE / "train" / name / "images"
        folder.mkdir(parents=True)
        for i, cut in enumerate(cuts(name, count, rng)):
            cut.save(folder / f"{name}_{i}.png", optimize=True)

    folder = SAMPLE / "val" / "images"
    folder.mkdir(parents=True)
    rows = [(name, cut) for name, count in VAL.items() for cut in cuts(name, count, rng)]
    for i, (_, cut) in enumerate(rows):
        cut.save(folder / f"val_{i}.png", optimize=True)
    annotations = "".join(
        f"val_{i}.png\t{name}\t0\t0\t63\t63\n" for i, (name, _) in enumerate(rows)
    )
    (SAMPLE / "val" / "val_annotations.txt").write_text(annotations)

    names = [*TRAIN, *VAL]
    (SAMPLE / "wnids.txt").write_text("".join(f"{name}\n" for name in names))
    words = "".join(f"{name}\t{name.replace('_', ' ')}\n" for name in names)
    (SAMPLE / "words.txt").write_text(words)


if __name__ == "__main__":
    main()
