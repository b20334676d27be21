"""What every channel is: bytes in an image, and what it says about them."""


class Channel:
    """Base class: a channel defines `capacity`, `write` and `read`, as `ResidueChannel` does.

    This one promises nothing that it might not hold.

    Attributes:
        takes_unrounded: whether `write` takes the cover as it was before rounding, too.
    """

    takes_unrounded = False

    def attempts(self):
        """Channels to try in turn, each of which promises the same."""
        return (self,)

    def probe(self, cover) -> list[str]:
        """What of that would break in a cover uint8 [h, w, 3], as far as is seen quickly."""
        return []

    def broken(self, stego, data: bytes) -> list[str]:
        """What was promised and does not hold for a stego image from `write`, and its data."""
        return []

    def remarks(self, broken: list[str]) -> list[str]:
        """Lines to say about what `broken` found."""
        return []

    def about(self, cover, data: bytes) -> list[str]:
        """Lines to say about so many bytes in a cover."""
        return [f"{8 * len(data) / cover.size:.3g} bits in each sample"]
