"""Reed-Solomon codes for many words at once.

A word is up to 255 bytes, data first and then parity; half as many wrong bytes as it has parity
are found and mended (Reed and Solomon, 1960, https://doi.org/10.1137/0108018). Bytes are elements
of the field with 256 elements, modulo x⁸ + x⁴ + x³ + x² + 1; a word's polynomial has the roots
1, α, α²… The same words as those of the `reedsolo` library, which mends one at a time.
"""

import functools

import numpy as np

LONGEST = 255  # bytes of a word
AT_ONCE = 2**12  # words


def _powers():
    found = np.ones(LONGEST, int)
    for i in range(1, LONGEST):
        double = 2 * found[i - 1]
        found[i] = double ^ 0x11D if double > 255 else double
    return found


EXP = np.tile(_powers(), 2).astype(np.uint8)  # α to the power of 0…509
LOG = np.zeros(256, np.int64)
LOG[EXP[:LONGEST]] = np.arange(LONGEST)
_PRODUCTS = np.zeros((256, 256), np.uint8)
_PRODUCTS[1:, 1:] = EXP[LOG[1:, None] + LOG[1:]]
_PRODUCTS = _PRODUCTS.reshape(-1)


def multiply(a, b) -> np.ndarray:
    """The products in the field of bytes uint8, any shapes that fit each other."""
    return _PRODUCTS.take(np.asarray(a, np.uint16) << 8 | b)


def encode(data, parity: int) -> np.ndarray:
    """The parity, uint8 [parity, n], of words whose data are uint8 [rows, n].

    Raises:
        ValueError: words would be longer than 255 bytes.
    """
    if len(data) + parity > LONGEST:
        raise ValueError(f"A word has at most {LONGEST} bytes, not {len(data) + parity}.")
    generator = _generator(parity)[:, None]
    found = np.zeros((parity, data.shape[1]), np.uint8)
    for row in data:
        first = row ^ found[0]
        found = np.concatenate([found[1:], np.zeros_like(found[:1])]) ^ multiply(generator, first)
    return found


def correct(words, parity: int) -> np.ndarray:
    """Words uint8 [rows, n], mended where that is possible; others stay as they are."""
    mended = words.copy()
    for start in range(0, words.shape[1], AT_ONCE):
        part = words[:, start : start + AT_ONCE]
        syndromes = _syndromes(part, parity)
        wrong = np.flatnonzero(syndromes.any(axis=0))
        if len(wrong):
            mended[:, start + wrong] ^= _errors(syndromes[:, wrong], len(words))
    return mended


@functools.cache
def _generator(parity):
    """The polynomial with the roots 1, α…, but for its first coefficient, which is 1."""
    found = np.ones(1, np.uint8)
    for power in range(parity):
        found = np.append(found, np.uint8(0)) ^ np.append(
            np.uint8(0), multiply(found, EXP[power])
        ).astype(np.uint8)
    return found[1:]


def _syndromes(words, parity):
    """The values of the words' polynomials at 1, α…, uint8 [parity, n]; all 0 if none is wrong."""
    roots, found = EXP[:parity, None], np.zeros((parity, words.shape[1]), np.uint8)
    for row in words:
        found = multiply(roots, found) ^ row
    return found


def _errors(syndromes, rows):
    """What is wrong, uint8 [rows, n]; zeros where that cannot be told."""
    locator, degrees = _locator(syndromes)
    places = np.arange(rows)  # a root α⁻ⁱ says that the byte i places before the last is wrong
    values = np.zeros((rows, syndromes.shape[1]), np.uint8)
    inverses = EXP[-places % LONGEST][:, None]
    for coefficient in locator[::-1]:
        values = multiply(inverses, values) ^ coefficient
    found = (values == 0) & ((values == 0).sum(axis=0) == degrees) & (2 * degrees <= len(syndromes))
    place, word = np.nonzero(found)
    errors = np.zeros((rows, syndromes.shape[1]), np.uint8)
    errors[rows - 1 - place, word] = _magnitudes(syndromes, locator, place, word)
    return errors


def _locator(syndromes):
    """The polynomials whose roots tell the places, uint8 [k, n], and their degrees, int [n].

    Berlekamp's and Massey's algorithm (Massey, 1969, https://doi.org/10.1109/TIT.1969.1054260).
    """
    parity, n = syndromes.shape
    current, degrees = np.zeros((parity // 2 + 2, n), np.uint8), np.zeros(n, int)
    current[0] = 1
    earlier = current.copy()  # the polynomial before the last change of degree, over its deviation
    for k in range(parity):
        used = min(k, len(current) - 1)
        terms = multiply(current[1 : used + 1], syndromes[k - used : k][::-1])
        deviation = syndromes[k] ^ np.bitwise_xor.reduce(terms, axis=0)
        earlier = np.concatenate([np.zeros_like(earlier[:1]), earlier[:-1]])
        changed = current ^ multiply(deviation, earlier)
        grows = (deviation != 0) & (2 * degrees <= k)
        inverse = EXP[-LOG[deviation] % LONGEST]
        earlier = np.where(grows, multiply(inverse, current), earlier)
        degrees = np.where(grows, k + 1 - degrees, degrees)
        current = changed
    return current, degrees


def _magnitudes(syndromes, locator, place, word):
    """By how much the bytes at these places are wrong (Forney, 1965), uint8 [m]."""
    evaluator = np.zeros((len(locator) - 1, syndromes.shape[1]), np.uint8)
    for i in range(len(evaluator)):
        terms = multiply(locator[: i + 1], syndromes[: i + 1][::-1])
        evaluator[i] = np.bitwise_xor.reduce(terms, axis=0)
    inverse = EXP[-place % LONGEST]
    above, below = np.zeros((2, len(place)), np.uint8)
    for coefficient in evaluator[::-1]:
        above = multiply(inverse, above) ^ coefficient[word]
    square = multiply(inverse, inverse)
    for i in reversed(range(1, len(locator), 2)):  # the derivative: odd powers alone remain
        below = multiply(square, below) ^ locator[i, word]
    quotient = multiply(above, EXP[-LOG[below] % LONGEST])
    return multiply(quotient, EXP[place % LONGEST])
