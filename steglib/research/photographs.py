"""Scores on full-size photographs: those of a folder, or which scikit-image brings along."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import skimage
from tqdm import tqdm

from steglib import zoo
from steglib.evaluation import metrics
from steglib.evaluation.scores import ROUNDING_PSNR, evaluate
from steglib.images import arrays
from steglib.images.datasets import list_pictures
from steglib.images.photos import read_photo

PHOTOGRAPHS = (
    *("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field", "retina"),
    "immunohistochemistry",
)
PIECE = 300  # pixels a side: what the smallest photograph has
COLLAGE = (2000, 3000)  # height and width of two more: 6 megapixels


def photographs() -> dict[str, np.ndarray]:
    """The colour photographs inside scikit-image, uint8 [h, w, 3], by name."""
    return {name: getattr(skimage.data, name)() for name in PHOTOGRAPHS}


def collage(size, seed: int = 0) -> np.ndarray:
    """A picture of any height and width: pieces of the photographs, as sharp as they are.

    Args:
        size: height and width.
        seed: of the pieces.

    Returns:
        uint8 [h, w, 3].
    """
    random, sources = np.random.default_rng(seed), list(photographs().values())
    picture = np.empty((*size, 3), np.uint8)
    for top, left in itertools.product(range(0, size[0], PIECE), range(0, size[1], PIECE)):
        place = picture[top : top + PIECE, left : left + PIECE]
        source = sources[random.integers(len(sources))]
        y, x = random.integers(0, np.array(source.shape[:2]) - PIECE, endpoint=True)
        piece = source[y : y + PIECE, x : x + PIECE][:, :: random.choice([1, -1])]
        place[:] = piece[: place.shape[0], : place.shape[1]]
    return picture


def photograph_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Covers and secrets of one size, uint8 [h, w, 3] each, by what is hidden in what.

    Each photograph, and each of two collages, hides the next larger one, scaled and cropped; the
    largest hides the one before it.
    """
    pictures = photographs() | {f"collage {seed}": collage(COLLAGE, seed) for seed in (1, 2)}
    names = sorted(pictures, key=lambda name: pictures[name].size)
    pairs = {}
    for cover, secret in zip(names, [*names[1:], names[-2]], strict=True):
        fitted = arrays.fit_to(pictures[secret], *pictures[cover].shape[:2])
        pairs[f"{secret} in {cover}"] = pictures[cover], fitted
    return pairs


def in_folder(folder: str | Path) -> dict[str, np.ndarray]:
    """A folder's photographs by name, uint8 [h, w, 3]."""
    paths = (path for path in list_pictures(folder) if path.suffix == ".png")
    return {path.stem: read_photo(path).image for path in paths}


def score_photographs(hiders) -> pd.DataFrame:
    """PSNRs and SSIMs of `photograph_pairs`, after a PNG file, and their means.

    Returns:
        A row for each pair and one for the mean; columns by hider and score.
    """
    scores = []
    for name, pair in tqdm(photograph_pairs().items(), desc="Photographs"):
        found = evaluate(hiders, *(image[None] for image in pair), progress=False)
        scores.append(found.filter(regex="model|psnr|ssim").assign(photographs=name))
    table = pd.concat(scores).pivot_table(index="photographs", columns="model", sort=False)
    table = table.clip(upper=ROUNDING_PSNR).swaplevel(axis=1).sort_index(axis=1)
    return pd.concat([table, table.mean().to_frame("mean").T])


def full_size(pictures, rates) -> pd.DataFrame:
    """PSNR in dB of each photograph, hidden in itself upside down, and the means.

    Args:
        pictures: uint8 [h, w, 3] each, by name.
        rates: bits in each sample.

    Returns:
        A column for each photograph; rows for each rate and each model that takes rates and bases.
    """
    names = [name for name, entry in zoo.MODELS.items() if {"rate", "base"} <= {*entry.options}]
    hiders = [zoo.load_model(name, rate=rate) for rate in rates for name in names]
    table = pd.DataFrame(
        {
            photograph: {hider.name: _psnr_in_itself(hider, image) for hider in hiders}
            for photograph, image in tqdm(pictures.items(), desc="Photographs")
        }
    )
    return table.assign(mean=table.mean(axis=1))


def _psnr_in_itself(hider, image):
    revealed = hider.reveal(hider.hide(image[::-1, ::-1], image))
    return metrics.psnr(image[None], revealed[None])[0]
