"""Bytes as digits of a base, and back.

The bytes' bits, from each byte's lowest up, are cut into integers of `m` bits, each of which
becomes `k` digits, the lowest first (`group`). The last integer ends with the last digit that it
needs.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from steglib.channels.seal import Seal

BASES = range(2, 17)
CHUNK = 2**12  # this many times 8 groups are converted at once: whole bytes, bounded memory


def check_base(base) -> int:
    """`base`, if it is one. Raises ValueError otherwise."""
    if base not in BASES:
        raise ValueError(f"base must lie in 2…16, not {base!r}.")
    return int(base)


def _whole_bits(count, base):
    """How many bits so many digits carry together."""
    return (base**count).bit_length() - 1


@functools.cache
def group(base: int) -> tuple[int, int]:
    """k and m: k digits carry m bits. Of all k that fit a uint64, the one that loses least."""
    fitting = [k for k in range(1, 65) if base**k <= 2**64]
    k = max(fitting, key=lambda k: (_whole_bits(k, base) / k, k))
    return k, _whole_bits(k, base)


def bytes_in(count: int, base: int) -> int:
    """How many bytes `count` digits carry; −1 for a negative count."""
    k, m = group(base)
    groups, rest = divmod(count, k)
    return (groups * m + _whole_bits(rest, base)) // 8 if count >= 0 else -1


def digits_for(length: int, base: int) -> int:
    """How many digits carry `length` bytes."""
    k, m = group(base)
    groups, rest = divmod(8 * length, m)
    return groups * k + next(n for n in range(k + 1) if _whole_bits(n, base) >= rest)


def chunks(count: int, base: int) -> list[slice]:
    """`count` digits, cut into parts that are converted at once."""
    step = 8 * group(base)[0] * CHUNK
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def fill(data: bytes, count: int, base: int, noise, seal: Seal | None = None) -> Iterator:
    """Digits that say `data`, of which there may be `count`.

    Args:
        noise: the `np.random.Generator` that draws those after the data; None for none of these.
        seal: masks all digits; those after the data are zeros then.

    Yields:
        A slice of the `count` places, and its digits, uint8.
    """
    data = np.frombuffer(data, np.uint8)
    size, left = group(base)[1] * CHUNK, digits_for(len(data), base)
    for i, part in enumerate(chunks(count, base)):
        said = to_digits(data[i * size : (i + 1) * size], base)[:left]
        left -= len(said)
        if seal:
            digits = seal.digits(part.stop - part.start, base)
            digits[: len(said)] = (digits[: len(said)] + said) % base
        elif noise:
            digits = noise.integers(0, base, part.stop - part.start, np.uint8)
            digits[: len(said)] = said
        else:
            part, digits = slice(part.start, part.start + len(said)), said
        yield part, digits


def said(data: bytes, base: int, seal: Seal | None = None) -> np.ndarray:
    """All digits that say `data`, and no more, uint8; masked by the seal."""
    parts = fill(data, digits_for(len(data), base), base, None, seal)
    return np.concatenate([np.zeros(0, np.uint8), *(digits for _, digits in parts)])


def collect(
    parts: Iterable[np.ndarray],
    base: int,
    length: int,
    seal: Seal | None = None,
    strict: bool = False,
) -> bytes | None:
    """`length` bytes out of digits that `fill` gave.

    Args:
        parts: the digits, uint8, cut as by `chunks`; taken one by one, as far as needed.
        strict: look at all digits, and return None if any of them is not what `fill` gives.
            Without a seal, nobody knows what that would be.
    """
    found, left, missing = [], digits_for(length, base), length
    for digits in parts:
        if not (left or strict):
            break
        if seal:
            digits = (digits + base - seal.digits(len(digits), base)) % base
        said, rest = digits[:left], digits[left:]
        found.append(to_bytes(said, base)[:missing])
        left, missing = left - len(said), missing - len(found[-1])
        if strict:
            again = to_digits(np.frombuffer(found[-1], np.uint8), base)[: len(said)]
            if rest.any() or not np.array_equal(again, said):
                return None
    return b"".join(found)


def to_digits(data: np.ndarray, base: int) -> np.ndarray:
    """Those of bytes uint8 [n], in whole groups, uint8."""
    k, m = group(base)
    bits = np.unpackbits(data, bitorder="little")
    bits = np.pad(bits, (0, -len(bits) % m)).reshape(-1, m)
    values = np.packbits(np.pad(bits, ((0, 0), (0, 64 - m))), bitorder="little").view("<u8")
    digits = np.empty((len(values), k), np.uint8)
    for i in range(k):
        higher = values // base
        digits[:, i] = values - higher * base
        values = higher
    return digits.reshape(-1)


def to_bytes(digits: np.ndarray, base: int) -> bytes:
    """The inverse of `to_digits`, with the bits of the last group that are not said as zeros."""
    k, m = group(base)
    digits = np.pad(digits, (0, -len(digits) % k)).reshape(-1, k)
    values = np.zeros(len(digits), "<u8")
    for i in reversed(range(k)):
        values = values * base + digits[:, i]
    bits = np.unpackbits(values.view(np.uint8), bitorder="little").reshape(-1, 64)[:, :m]
    return np.packbits(bits, bitorder="little").tobytes()
