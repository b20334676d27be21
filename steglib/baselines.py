"""Simple hiders to compare with."""

import numpy as np

from steglib.hider import Hider


class LSB(Hider):
    """Replaces the lowest bits of the cover with the highest bits of the secret.

    Args:
        bits: how many, 1…4. The payload is `3 * bits` bits per pixel.

    Raises:
        ValueError: another number of bits.
    """

    def __init__(self, bits: int):
        if bits not in range(1, 5):
            raise ValueError(f"bits must be 1, 2, 3 or 4, not {bits!r}.")
        self.bits = bits
        self.name = f"LSB, {bits} bit{'s' if bits > 1 else ''}"

    def _hide(self, covers, secrets):
        return (covers >> self.bits << self.bits) | (secrets >> (8 - self.bits))

    def _reveal(self, stegos):
        """The middle of the interval that the hidden bits stand for: the least mean error."""
        hidden = stegos & np.uint8(2**self.bits - 1)
        return (hidden << (8 - self.bits)) + np.uint8(2 ** (7 - self.bits))
