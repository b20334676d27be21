"""Scores any hider on any pairs, through a real 8-bit PNG file."""

import io
import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from steglib.evaluation import metrics
from steglib.images.damage import damaged, geometry

BATCH = 100
DIGITS = {"psnr": 1, "ssim": 4, "rmse": 2, "mae": 2}  # that tables show
ROUNDING_PSNR = 10 * math.log10(255**2 / metrics.ROUNDING)  # 58.9 dB


def through_png(images) -> np.ndarray:
    """`images` (uint8 [n, h, w, 3]) after each was written as a PNG file and read back."""
    return np.stack([_through_png(image) for image in images])


def _through_png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return np.asarray(Image.open(file))


def hide_and_reveal(hider, covers, secrets) -> tuple[np.ndarray, np.ndarray]:
    """Stego images as read back from their files, and what is revealed from these.

    Args:
        hider: has `hide` and `reveal`, see `steglib.hider.Hider`.
        covers, secrets: uint8 [n, h, w, 3].

    Returns:
        Two arrays uint8 [n, h, w, 3].
    """
    stegos = through_png(hider.hide(covers, secrets))
    return stegos, hider.reveal(stegos)


def score(covers, secrets, stegos, revealed) -> pd.DataFrame:
    """One row for each pair: PSNR, SSIM, RMSE and MAE, of the cover and of the secret."""
    columns = {}
    for kind, wanted, got in (("cover", covers, stegos), ("secret", secrets, revealed)):
        for name in ("psnr", "ssim", "rmse", "mae"):
            columns[f"{kind}_{name}"] = getattr(metrics, name)(wanted, got)
    return pd.DataFrame(columns)


def evaluate(
    hiders,
    covers,
    secrets,
    progress: bool = True,
    damage: str | Iterable[str] | None = None,
    run=itertools.starmap,
) -> pd.DataFrame:
    """Scores hiders on the same pairs.

    Args:
        hiders: any number of them.
        covers, secrets: uint8 [n, h, w, 3].
        progress: whether to show a progress bar.
        damage: what happens to each stego file before its secret is revealed, a line as
            `images.damage.damaged` takes it, with the pair's number as the seed; or several, each
            of which happens to the same files. Where it cuts or scales the picture, what is
            revealed is compared with the secret cut or scaled alike; where nothing can be
            revealed, a flat grey picture counts.
        run: gives `work(*job)` for every job, in order: `run(work, jobs)`.

    Returns:
        One row for each hider and pair: `model`, `pair` and the columns of `score`; with damage
        one for each line too, with `damage` and with `lost`, whether the hider found that nothing
        can be revealed.

    Raises:
        ValueError: two hiders have the same name, or there are no pairs.
    """
    names = [hider.name for hider in hiders]
    if len(set(names)) < len(names):
        raise ValueError(f"Hiders must have different names, not {names}.")
    if not len(covers):
        raise ValueError("There are no pairs to score.")
    lines = [damage] if isinstance(damage, str) else list(damage or ())
    jobs = [
        (hider, covers[start : start + BATCH], secrets[start : start + BATCH], lines, start)
        for hider in hiders
        for start in range(0, len(covers), BATCH)
    ]
    tables = tqdm(run(_score_batch, jobs), "Scoring", len(jobs), disable=not progress)
    return pd.concat(tables, ignore_index=True)


def _score_batch(hider, covers, secrets, lines, start):
    if lines:
        table = _score_damaged(hider, covers, secrets, lines, start)
    else:
        table = score(covers, secrets, *hide_and_reveal(hider, covers, secrets))
    table.insert(0, "model", hider.name)
    table.insert(1, "pair", start + table.index)
    return table


def _score_damaged(hider, covers, secrets, lines, seed):
    stegos, tables = through_png(hider.hide(covers, secrets)), []
    for line in lines:
        images = [damaged(stego, line, seed + i) for i, stego in enumerate(stegos)]
        found, wanted = _reveal_each(hider, images), secrets
        lost = [revealed is None for revealed in found]
        shape = next((image.shape for image in found if image is not None), secrets.shape[1:])
        found = np.stack([np.full(shape, 128, np.uint8) if r is None else r for r in found])
        if shape != secrets.shape[1:]:
            wanted = np.stack([damaged(secret, geometry(line)) for secret in secrets])
        scores = score(covers, wanted, stegos, found)
        tables.append(scores.assign(damage=line, lost=lost))
    return pd.concat(tables)


def _reveal_each(hider, images):
    """What is revealed of each image, None for nothing; all at once if that works."""
    try:
        return list(hider.reveal(np.stack(images)))
    except ValueError:
        if len(images) == 1:
            return [None]
        return [revealed for image in images for revealed in _reveal_each(hider, [image])]


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each model, in order: means over the pairs; of RMSE, the root mean square.

    A PSNR counts up to `ROUNDING_PSNR` only. An image that comes back exactly has an infinite
    one, so a mean needs some limit, and with a high one the share of exact images would drown how
    good the others are. This one is where the scene itself is no better known: rounding it to 8
    bits, once, erred by as much.
    """
    means = _to_average(scores).groupby("model", sort=False).mean()
    return _averaged(means)


def summarise_damage(scores: pd.DataFrame) -> pd.DataFrame:
    """The mean PSNR of the secret, in dB, after each damage; counted as in `summarise`.

    Args:
        scores: of `evaluate` with damage.

    Returns:
        A row for each model and a column for each line of damage, both in order.
    """
    psnrs = scores.assign(secret_psnr=scores["secret_psnr"].clip(upper=ROUNDING_PSNR))
    return psnrs.pivot_table("secret_psnr", "model", "damage", sort=False)


def intervals(
    scores: pd.DataFrame, level: float = 0.95, repeats: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """How far the means of `summarise` can be trusted: bootstrap intervals (Efron, 1979).

    Pairs are drawn anew with replacement, as many as there are, and averaged, `repeats` times; the
    interval holds the middle share `level` of these means. All models get the same draws.

    Args:
        scores: of `evaluate`.
        level: share of the means inside.
        repeats: how often pairs are drawn.
        seed: of the draws.

    Returns:
        The rows of `summarise`; for each of its columns two, (column, "low") and (column, "high").
    """
    tables = {}
    for model, values in _to_average(scores).groupby("model", sort=False):
        values = values.drop(columns="model")
        low, high = _bootstrap(values.to_numpy(), level, repeats, seed)
        ends = _averaged(pd.DataFrame([low, high], ["low", "high"], values.columns))
        tables[model] = ends.unstack()  # noqa: PD010 (a Series; there is no pivot of it)
    return pd.DataFrame(tables).T.rename_axis("model")


def with_intervals(scores: pd.DataFrame, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """`summarise` and `intervals` as one table of text: "39.9 ± 0.2", half the interval's width."""
    means, ends = summarise(scores), intervals(scores, level, seed=seed)
    table = pd.DataFrame(index=means.index)
    for column in means:
        digits = DIGITS[column.rpartition("_")[2]]
        halves = (ends[column, "high"] - ends[column, "low"]) / 2
        pairs = zip(means[column], halves, strict=True)
        table[column] = [_plus_minus(mean, half, digits) for mean, half in pairs]
    return table


def mean_with_interval(values, digits: int = 1, level: float = 0.95, seed: int = 0) -> str:
    """The mean of independent values and its bootstrap interval, as "39.9 ± 0.2"."""
    values = np.asarray(values, np.float64)
    low, high = _bootstrap(values[:, None], level, 1000, seed)[:, 0]
    return _plus_minus(values.mean(), (high - low) / 2, digits)


def _plus_minus(mean, half, digits):
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def _bootstrap(values, level, repeats, seed):
    """Both ends [2, columns] of the interval for the means of values [n, columns]."""
    n = len(values)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), repeats)
    ends = [(1 - level) / 2, (1 + level) / 2]
    return np.quantile(counts @ values / n, ends, axis=0)


def _to_average(scores):
    """What is averaged over pairs: squares for RMSE, PSNRs up to the limit."""
    values = scores.drop(columns="pair")
    limited = [column for column in values if column.endswith("_psnr")]
    values[limited] = values[limited].clip(upper=ROUNDING_PSNR)
    rooted = [column for column in values if column.endswith("_rmse")]
    values[rooted] = values[rooted] ** 2
    return values


def _averaged(means):
    rooted = [column for column in means if column.endswith("_rmse")]
    means[rooted] = np.sqrt(means[rooted])
    return means


def peers() -> pd.DataFrame:
    """What other systems reach, measured by us on 1,000 pairs or reported by their authors."""
    return pd.read_csv(Path(__file__).parent / "peers.csv").set_index("system")


def image_traits(images) -> pd.DataFrame:
    """What about an image may predict how well it hides or is hidden.

    Args:
        images: uint8 [n, h, w, 3].

    Returns:
        One row for each image, in grey levels: `brightness` (mean), `contrast` (standard
        deviation), `texture` (mean absolute difference of neighbours); and `saturation`, the
        share of samples at 0 or 255.
    """
    levels = np.asarray(images, np.float32)
    across = np.abs(np.diff(levels, axis=2)).mean(axis=(1, 2, 3))
    down = np.abs(np.diff(levels, axis=1)).mean(axis=(1, 2, 3))
    traits = {
        "brightness": levels.mean(axis=(1, 2, 3)),
        "contrast": levels.std(axis=(1, 2, 3)),
        "texture": (across + down) / 2,
        "saturation": ((levels == 0) | (levels == 255)).mean(axis=(1, 2, 3)),
    }
    return pd.DataFrame(traits)
