"""Finds out, from photographs, how bits best come through JPEG: makes a `coefficients.Design`."""

import functools
import itertools
import json
import math
from pathlib import Path

import numpy as np
from tqdm import tqdm

from steglib.channels import coefficients
from steglib.channels.coefficients import GRID, LARGEST, Design, Writer
from steglib.channels.jpeg import design_path, promised
from steglib.images import jpeg
from steglib.images.damage import damaged
from steglib.images.datasets import list_pictures
from steglib.images.jpeg import BLOCK
from steglib.images.photos import read_photo

PROMISES = {50: (0.0175, False), 75: (0.025, True), 85: (0.085, True)}  # price, whether also twice
PHOTOS, SIDE = 8, 384  # how many photographs to learn from at least, and pixels a side of each
FACTORS = (0.75, 0.8, 0.85, 0.9, 0.95, 1, 1.02, 1.05, 1.08, 1.12, 1.15, 1.2, 1.25, 1.3, 1.4)
ROUNDING = 0.36  # grey levels: deviation of a coefficient by rounding, before or after a JPEG file
BETWEEN = 0.46  # and between two, where luma and colours are rounded by both
CAUTION = 7.0  # bits of cost for a certainly wrong bit
LEVELS = ((1.1, 7.0), (1.6, 9.0), (2.6, 12.5), (4.5, 16.0))  # noise and caution of each level
CORRECTIONS, FEW = 2, 3  # of the weights, by what is lost in files of so few photographs
WORTHWHILE = 0.03  # bits that a coefficient must carry
TRIALS = 25  # of weights, until all qualities lose alike; the first few choose steps, too
SAMPLES = 5000  # blocks to choose coefficients and steps by
NEGLIGIBLE = 1e-4  # least share of errors that a table may claim


def ship_design(folder: Path, quality: int, price: float | None = None) -> Path:
    """Makes the package's design for a quality, and its card.

    Args:
        folder: of photographs that never were JPEG files.
        quality: 50, 75 or 85.
        price: bits of cost for a squared grey level of change; None for the shipped one.

    Returns:
        The path of the design.
    """
    paths = [path for path in list_pictures(folder) if path.suffix in (".png", ".tif")]
    photos = [_middle(read_photo(path).image) for path in paths[:: max(1, len(paths) // PHOTOS)]]
    default, twice = PROMISES[quality]
    design = learn_design(photos, quality, twice, price or default)
    path = design_path(quality)
    design.save(path)
    lost = _lost(design)
    card = {
        "name": path.stem,
        "command": f"python -m steglib design {folder.name} --quality {quality} --price "
        f"{design.price:g}",
        "data": f"{len(photos)} {folder.name}, {SIDE}×{SIDE} pixels of each",
        "coefficients of 64": len(design.places),
        "bits lost of one, at most": round(float(lost.max()), 4),
        "bits lost of one, on the mean over what is promised": round(float(lost.mean()), 4),
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    return path


def _middle(photo):
    top, left = ((side - SIDE) // 2 for side in photo.shape[:2])
    return photo[max(0, top) :, max(0, left) :][:SIDE, :SIDE]


def learn_design(photos, quality: int, twice: bool, price: float) -> Design:
    """The design for a promise.

    Args:
        photos: uint8 images, of any sizes, which never were JPEG files.
        quality, twice: of `promised`.
        price: bits of cost for a squared grey level of change.
    """
    channels = promised(quality, twice)
    places, steps, weights = _choose(photos, channels, price)
    wrong = [
        _wrong(_jpeg_steps(channels, place), step, LARGEST)
        for place, step in zip(places, steps, strict=True)
    ]
    for counted in (*[photos[:FEW]] * CORRECTIONS, photos):
        risks = [np.einsum("q,qbm->bm", weights, risk).astype(np.float32) for risk in wrong]
        design = Design(
            quality=quality,
            twice=twice,
            places=places,
            steps=steps,
            risks=tuple(risks),
            errors=np.zeros((0, 0)),
            frequencies=np.zeros((0, 0)),
            saturated=np.zeros(4),
            noise=(),
            freedom=0.0,
            price=price,
            caution=tuple(caution for _, caution in LEVELS),
        )
        design = _learn_reading(design, counted, channels)
        weights = weights * _lost(design)
        weights /= weights.sum()
    return design


def _lost(design):
    """Bits lost of one, after each of the promised channels."""
    return (design.frequencies * _entropy(design.errors[:-1])).sum(axis=1)


def _jpeg_steps(channels, place):
    """The steps by which JPEG rounds that coefficient, a tuple for each channel."""
    return tuple(tuple(int(jpeg.steps(q)[0][*place]) for q in channel) for channel in channels)


def _choose(photos, channels, price):
    """Places, steps, and the weight of each channel, so that all lose alike."""
    blocks = [
        jpeg.to_cosines(jpeg.luma(photo) - 128.0).reshape(BLOCK, BLOCK, -1) for photo in photos
    ]
    blocks = np.concatenate(blocks, axis=2)
    rng = np.random.default_rng(0)
    blocks = blocks[:, :, rng.choice(blocks.shape[2], min(SAMPLES, blocks.shape[2]), replace=False)]
    weights = np.full(len(channels), 1 / len(channels))
    candidates = {}
    for place in itertools.product(range(BLOCK), range(BLOCK)):
        jpeg_steps = _jpeg_steps(channels, place)
        first = jpeg_steps[0][0]
        if price * first**2 / 12 < 1.5:
            candidates[place] = [factor * first for factor in FACTORS]
    for trial in tqdm(range(TRIALS), "choosing"):
        found = {}
        for place, steps in candidates.items():
            jpeg_steps = _jpeg_steps(channels, place)
            values = [_value(blocks[place], jpeg_steps, step, weights, price) for step in steps]
            best = max(range(len(steps)), key=lambda i: values[i][0])
            found[place] = steps[best], *values[best]
        candidates = {
            place: [step] if trial >= 2 else candidates[place]
            for place, (step, worth, _) in found.items()
            if worth > WORTHWHILE
        }
        lost = sum(_entropy(found[place][2]) for place in candidates)
        weights *= np.exp(np.clip(0.7 * (lost / lost.mean() - 1), -1, 1))
        weights /= weights.sum()
    places = sorted(candidates, key=lambda place: -found[place][1])
    return np.array(places), np.array([found[place][0] for place in places]), weights


def _value(values, jpeg_steps, step, weights, price):
    """Bits that a coefficient carries, their cost taken off; how often each channel errs."""
    largest = np.abs(values).max() + 2 * step
    wrong = _wrong(jpeg_steps, step, largest)
    moved, costs = coefficients.best_moves(
        np.einsum("q,qbm->bm", weights, wrong), step, price, CAUTION
    )
    middle = costs.shape[1] // 2
    index = np.rint(values * (GRID / step)).astype(int) + middle
    share = np.bincount(index, minlength=costs.shape[1]) / len(index)
    least = costs.min(axis=0)
    likely = 2.0 ** (least - costs)
    worth = share @ (np.log2(likely.sum(axis=0)) - least)
    likely /= likely.sum(axis=0)
    target = np.rint(moved * (GRID / step)).astype(int) + middle
    errs = sum(likely[bit] * wrong[:, bit, target[bit]] for bit in (0, 1))
    return worth, errs @ share


@functools.cache
def _wrong(jpeg_steps, step, largest):
    """float32 [q, 2, m]: how likely a bit (0, 1) at each value of the grid is read wrongly."""
    m = math.ceil(largest * GRID / step) + 2 * GRID
    values = np.arange(-m, m + 1) * step / GRID
    reads_one = functools.cache(lambda *last: _reads_one(values, step, *last))
    found = []
    for first, *then in jpeg_steps:
        if then:
            later = reads_one(*then, BETWEEN)
            one = _expected(values, first, ROUNDING, lambda v, p=later: np.interp(v, values, p))
        else:
            one = reads_one(first, ROUNDING)
        found.append([one, 1 - one])
    return np.array(found, np.float32)


def _reads_one(values, step, jpeg_step, deviation):
    """How likely a value, after JPEG with a step, is nearest to an odd multiple of `step`."""

    def odd(value):
        inside = value / step % 2
        return sum(
            _normal((i + 0.5 - inside) * step / ROUNDING)
            - _normal((i - 0.5 - inside) * step / ROUNDING)
            for i in (-1, 1, 3)
        )

    return _expected(values, jpeg_step, deviation, odd)


def _expected(values, jpeg_step, deviation, function):
    """The mean of a function of what JPEG makes of values that were rounded to pixels before."""
    nearest, total = np.rint(values / jpeg_step), 0
    for offset in range(-2, 3):
        whole = nearest + offset
        upper, lower = ((whole + end) * jpeg_step - values for end in (0.5, -0.5))
        share = _normal(upper / deviation) - _normal(lower / deviation)
        total = total + share * function(whole * jpeg_step)
    return total


_DEVIATIONS = np.linspace(-7, 7, 14001)
_PROBABILITIES = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _DEVIATIONS])


def _normal(x):
    """The standard normal distribution's probability of at most x."""
    return np.interp(x, _DEVIATIONS, _PROBABILITIES)


def _entropy(p):
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p)


def _learn_reading(design, photos, channels):
    """The design with the tables of its reader, counted in real JPEG files."""
    rng, writer = np.random.default_rng(1), Writer(design, CAUTION)
    k = len(design.steps)
    counts = np.zeros((len(channels), k * coefficients.CELLS * GRID))
    errors, classes, wishes = np.zeros_like(counts), np.zeros((4, 2)), []
    for photo in tqdm(photos, "counting"):
        image = coefficients.soften(photo, 3, 24)
        values, costs = writer.moves(coefficients.carried(image, design.places))
        wish = np.log(2) * (costs[1] - costs[0])
        bits = rng.random(wish.shape) > 1 / (1 + np.exp(-np.clip(wish, -50, 50)))
        stego = coefficients.render(image, design.places, np.where(bits, values[1], values[0]))
        wishes.append(wish.ravel())
        for i, channel in enumerate(channels):
            arrived = damaged(stego, "+".join(f"jpeg:{q}" for q in channel))
            found, cell = coefficients.cells(
                coefficients.carried(arrived, design.places), design.steps
            )
            wrong, kind = (
                found != bits,
                np.broadcast_to(coefficients.saturation(arrived), bits.shape),
            )
            clear = kind == 0
            counts[i] += np.bincount(cell[clear], minlength=counts.shape[1])
            errors[i] += np.bincount(cell[clear & wrong], minlength=counts.shape[1])
            classes[:, 0] += np.bincount(kind[wrong], minlength=4)
            classes[:, 1] += np.bincount(kind.ravel(), minlength=4)
    all_errors = (errors.sum(axis=0) + 0.02) / (counts.sum(axis=0) + 0.4)
    each = (errors + 3 * all_errors) / (counts + 3)
    tables = np.clip(np.concatenate([each, all_errors[None]]), NEGLIGIBLE, 1 - NEGLIGIBLE)
    share = classes[:, 0] / np.maximum(classes[:, 1], 1)
    frequencies = (counts + 0.3) / (counts + 0.3).sum(axis=1, keepdims=True)
    lost = (frequencies * _entropy(tables[:-1])).sum(axis=1)
    freedom = _entropy(1 / (1 + np.exp(-np.clip(np.concatenate(wishes), -50, 50)))).mean()
    known = vars(design) | {
        "errors": tables.astype(np.float32),
        "frequencies": frequencies.astype(np.float32),
        "saturated": np.clip((share - share[0]) / (0.5 - share[0]), 0, 1).astype(np.float32),
        "noise": tuple(float(lost.max() * factor) for factor, _ in LEVELS),
        "freedom": float(freedom),
    }
    return Design(**known)
