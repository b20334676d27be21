"""How samples differ from their neighbours, counted: hiding changes the noise of a photograph.

After SPAM, of second order (Pevný, Bas and Fridrich, 2010,
https://doi.org/10.1109/TIFS.2010.2045842), and the rich models (Fridrich and Kodovský, 2012,
https://doi.org/10.1109/TIFS.2012.2190402). All look at G − R and G − B: the scene hardly shows in
the difference of two colours, so that the noise does.

Triples of values along lines of pixels, each cut to −3…3, are counted. Those that a mirrored or a
negative picture has in place of each other count as one: 100 in all. A feature is the root of a
share.
"""

import numpy as np

from steglib.images.arrays import check_images
from steglib.images.filters import both_ways, high_pass

RANGE = 3  # values up and down
VALUES = 2 * RANGE + 1
STRAIGHT, DIAGONAL = ((0, 1), (1, 0)), ((1, 1), (1, -1))  # ways, down and across


def colour_spam(images, weights=None) -> np.ndarray:
    """Successive differences along rows and columns, then along diagonals: 200 numbers.

    Args:
        images: uint8 [n, h, w, 3], sides of 4 pixels or more.
        weights: float [n, h, w], how much each pixel matters; a triple counts as much as the most
            that its pixels do (Denemark et al., 2014, https://doi.org/10.1109/WIFS.2014.7084302).
            None for all alike.

    Returns:
        float32 [n, 200].

    Raises:
        ValueError: another dtype or shape, or smaller images.
    """
    return _of_each(_spam, images, weights)


def colour_rich(images, weights=None) -> np.ndarray:
    """`colour_spam`, and what two high-pass filters leave, along rows and columns: 500 numbers.

    Their answers are rounded to steps: of the filter of 3×3 pixels to fine and to coarse ones, of
    one of 5×5 to coarse ones. Arguments and errors are those of `colour_spam`.

    Returns:
        float32 [n, 500].
    """
    return _of_each(_rich, images, weights)


def _of_each(function, images, weights):
    images = check_images(images, "images")
    if min(images.shape[1:3]) < 4:
        raise ValueError(f"Features need sides of 4 pixels or more, not {images.shape[1:3]}.")
    weights = [None] * len(images) if weights is None else weights
    pairs = zip(images.astype(np.int16), weights, strict=True)
    return np.stack([function(x[..., 1:2] - x[..., ::2], w) for x, w in pairs]).astype(np.float32)


def _spam(differences, weights):
    return np.concatenate(
        [_shares(differences, ways, weights, successive=True) for ways in (STRAIGHT, DIAGONAL)]
    )


def _rich(differences, weights):
    narrow = high_pass(differences)
    wide = both_ways(differences, (1, -2, 2, -2, 1)) + 2 * narrow  # a filter of the rich models
    answers = [np.rint(x / step) for x, step in ((narrow, 1), (narrow, 4), (wide, 8))]
    shares = [_shares(x.astype(np.int16), STRAIGHT, weights) for x in answers]
    return np.concatenate([_spam(differences, weights), *shares])


def _shares(pictures, ways, weights, successive=False):
    """100 features of int16 [h, w, 2]: of its values, or of their successive differences."""
    counts, length = np.zeros(VALUES**3), 4 if successive else 3
    for way in ways:
        most = None if weights is None else np.max(_lines(weights, way, length), axis=0).ravel()
        for picture in np.moveaxis(pictures, -1, 0):
            lines = _lines(picture, way, length)
            triples = np.clip(np.diff(lines, axis=0) if successive else lines, -RANGE, RANGE)
            counts += np.bincount(_code(triples).ravel(), most, VALUES**3)
    counts = np.bincount(ORBITS, counts)
    return np.sqrt(counts / max(counts.sum(), 1e-12))


def _lines(picture, way, length):
    """The first pixels of all lines of that length, the second ones, and so on."""
    down, across = way
    if across < 0:
        picture, across = picture[:, ::-1], -across
    h, w = np.array(picture.shape) - (length - 1) * np.array([down, across])
    return [picture[i * down :, i * across :][:h, :w] for i in range(length)]


def _code(triples):
    """One number for each triple, 0…VALUES³ − 1."""
    return ((triples[0] + RANGE) * VALUES + triples[1] + RANGE) * VALUES + triples[2] + RANGE


def _orbits():
    """For each code, the number of the triples that it counts as one with, int [VALUES³]."""
    triples = np.indices((VALUES,) * 3).reshape(3, -1) - RANGE
    same = triples, -triples, triples[::-1], -triples[::-1]
    return np.unique(np.min([_code(one) for one in same], axis=0), return_inverse=True)[1]


ORBITS = _orbits()
