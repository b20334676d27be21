"""What a trellis says, written out once more: files that exist must remain readable."""

import itertools
import zlib
from math import gcd

SEEDS = {(3, 5): 254, (3, 6): 39, (7, 3): 144, (11, 3): 0, (19, 2): 189}


def column(base, memory, row):
    """By how much the element in this row of a symbol counts towards it and those that follow."""
    seed = SEEDS.get((base, memory), 0)
    drawn = [zlib.crc32(f"{seed} {row} {place}".encode()) // 256 for place in range(memory)]
    units = [unit for unit in range(1, base) if gcd(unit, base) == 1]
    ends = 0, memory - 1
    return [units[x % len(units)] if i in ends else x % base for i, x in enumerate(drawn)]


def parts(samples, symbols):
    """How many samples an element has, and elements and symbols of each segment."""
    several = -(-samples // ((32 if symbols <= 2**15 else 8) * symbols))
    elements = samples // several
    long = min(elements // 1024, symbols // 256)
    segments = max(1, long, min(64, elements // 128, symbols // 64))
    shares = [[total // segments + (i < total % segments) for i in range(segments)]
              for total in (elements, symbols)]  # fmt: skip
    return several, zip(*shares, strict=True)


def said(base, memory, residues, count):
    """The symbols, a list."""
    found, residues = [], [int(x) for x in residues]
    several, segments = parts(len(residues), count) if count else (1, [])
    for length, symbols in segments:
        sums, ahead = [0] * (symbols + memory), min(2, length - symbols)
        ends = [0, *(ahead + i * (length - ahead) // symbols for i in range(1, symbols + 1))]
        for symbol, (first, last) in enumerate(itertools.pairwise(ends)):
            for element in range(first, last):
                value = sum(residues[element * several : (element + 1) * several])
                for place, weight in enumerate(column(base, memory, element - first)):
                    sums[symbol + place] += weight * value
        found += [x % base for x in sums[:symbols]]
        del residues[: length * several]
    return found
