"""The residue model: the secret as the learned codec's bytes, these as residues of the cover."""

import numpy as np

from steglib.channels import residues as payload
from steglib.codec.codec import Codec
from steglib.hider import Hider
from steglib.images import arrays

LEAST_BITS = 1.0  # for a pixel; with fewer, a picture scaled down and up again looks better


class ResidueHider(Hider):
    """Hides what a learned codec makes of the secret in the residues of the cover's samples.

    Cover and secret may differ in size. Any base is revealed: the image says which.

    Args:
        codec: a `codec.Codec`.
        base: 2…16, how many values a digit has. A larger one hides more and changes more.
        name: what tables call it; the base is added.
        key: a password that seals what is hidden, bytes; None for none.
        level: of error correction, 0…3 (`correction.LEVELS`). Any level is revealed.

    Raises:
        ValueError: another base or level. From `hide`, a cover too small for the secret; from
            `reveal`, images whose secrets differ in size, or a `payload.PayloadError` for one
            that hides nothing of this kind, or not with this key.
    """

    min_side = 8
    same_size = False
    detects = True

    def __init__(
        self,
        codec: Codec,
        base: int = 5,
        name: str = "residue",
        key: bytes | None = None,
        level: int = 0,
    ):
        payload.capacity((0, 0), base, level=level)  # checks them
        self.codec, self.base, self.name = codec, base, f"{name}, base {base}"
        self.key, self.level = key, level

    def capacity(self, shape) -> int:
        """How many bytes a cover of `shape` (h, w, 3) carries."""
        return payload.capacity(shape, self.base, self.key is not None, self.level)

    def fit_secret(self, secret, cover) -> np.ndarray:
        """The secret, uint8 [h, w, 3], scaled down where it would get too few bits a pixel."""
        room = self.capacity(np.shape(cover))
        pixels = int(8 * room / LEAST_BITS)
        fitted = arrays.scale_to(secret, pixels, payload.LONGEST)
        while not self.codec.fits(fitted, room) and pixels > self.min_side**2:
            pixels //= 2
            fitted = arrays.scale_to(secret, pixels, payload.LONGEST)
        return fitted

    def remarks(self, cover, secret) -> list[str]:
        """How many bits the payload has for each pixel."""
        room = self.capacity(np.shape(cover))
        of_cover, of_secret = (24 * room / np.size(image) for image in (cover, secret))
        return [
            f"The payload, {room / 1000:.0f} kB, is {of_cover:.1f} bits for each pixel of the "
            f"cover and {of_secret:.1f} for each of the secret."
        ]

    def reveal_remarked(self, stego) -> tuple[np.ndarray, list[str]]:
        """Also says where error correction had to mend something."""
        found = self.extract(stego)
        del stego  # a huge one's memory is needed now
        (secret,) = self.decode([found])
        return secret, ["damaged, but corrected"] if found.corrected else []

    def _hide(self, covers, secrets):
        payload.check_size(*secrets.shape[1:3])
        room = self.capacity(covers.shape[1:])
        codes = self.codec.encode(secrets, room)
        options = {"base": self.base, "codec": payload.LEARNED, "size": secrets.shape[1:3]}
        options |= {"key": self.key, "level": self.level}
        stegos = [payload.embed(*pair, **options) for pair in zip(covers, codes, strict=True)]
        return np.stack(stegos) if len(stegos) > 1 else stegos[0][None]

    def extract(self, stego) -> payload.Payload:
        """The bytes in a stego image uint8 [h, w, 3]. Raises as `reveal`."""
        found = payload.extract(stego, self.key)
        if found.codec != payload.LEARNED:
            raise payload.PayloadError(f"The image hides {found.codec.name} data.")
        return found

    def _reveal(self, stegos):
        return self.decode([self.extract(stego) for stego in stegos])

    def decode(self, found: list[payload.Payload]) -> np.ndarray:
        """The secrets, uint8 [n, h, w, 3], of what `extract` gave. Raises as `reveal`."""
        sizes = {one.size for one in found}
        if len(sizes) > 1:
            raise ValueError(f"The images hide secrets of several sizes: {sorted(sizes)}.")
        _ = self.codec.restorer  # is loaded here: its errors are its file's
        try:
            return self.codec.decode([one.data for one in found], *sizes.pop())
        except (ValueError, AssertionError) as error:  # the range coder raises the latter
            raise payload.PayloadError("No such codec wrote the image's data.") from error
