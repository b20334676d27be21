"""Digital hiding: a codec makes bytes of the secret, a channel writes them into the cover."""

import numpy as np

from steglib.channels.frame import MAX_SIDE, Payload, PayloadError, check_size
from steglib.hider import Hider
from steglib.images.arrays import scale_to

LEAST_BITS = 1.0  # for a pixel; with fewer, a picture scaled down and up again looks better


class CodedHider(Hider):
    """Hides what a codec makes of the secret in what a channel makes of the cover.

    Cover and secret may differ in size. From `hide`, a ValueError for a cover too small for the
    secret; from `reveal`, one for images whose secrets differ in size, and a `PayloadError` for an
    image that hides nothing of this codec, or not with this key.

    Args:
        codec: photos as at most so many bytes: a `codec.Codec` or a `baselines.PictureFile`. Has
            `encode(pictures, size)`, `decode(codes, height, width)`, `fits(picture, size)`, `kind`
            and `min_side`.
        channel: bytes in an image: a `ResidueChannel`. Has `capacity(shape)`, `write(cover, data,
            kind, size)`, `read(stego)`, `key` and `name`.
        name: what tables call it, the codec's name by default; the channel's is added.
    """

    detects = True
    same_size = False

    def __init__(self, codec, channel, name: str | None = None):
        self.codec, self.channel, self.key = codec, channel, channel.key
        self.name, self.min_side = f"{name or codec.name}, {channel.name}", codec.min_side

    def fit_secret(self, secret, cover) -> np.ndarray:
        """The secret, uint8 [h, w, 3], scaled down where it would get too few bits a pixel."""
        room = self.channel.capacity(np.shape(cover))
        pixels = int(8 * room / LEAST_BITS)
        fitted = scale_to(secret, pixels, MAX_SIDE)
        while not self.codec.fits(fitted, room) and pixels > self.min_side**2:
            pixels //= 2
            fitted = scale_to(secret, pixels, MAX_SIDE)
        return fitted

    def remarks(self, cover, secret) -> list[str]:
        """How large the payload is, for these two images."""
        room = self.channel.capacity(np.shape(cover))
        of_cover, of_secret = (24 * room / np.size(image) for image in (cover, secret))
        return [
            f"The payload, {room / 1000:.0f} kB, is {of_cover:.1f} bits for each pixel of the "
            f"cover and {of_secret:.1f} for each of the secret."
        ]

    def reveal_remarked(self, stego) -> tuple[np.ndarray, list[str]]:
        """As `Hider.reveal_remarked`; while it decodes, it does not hold on to a huge `stego`."""
        payload = self.read(stego)
        del stego
        return self.decode([payload])[0], ["damaged, but corrected"] * payload.corrected

    def read(self, stego) -> Payload:
        """The bytes in a stego image uint8 [h, w, 3]. Raises as `reveal`."""
        payload = self.channel.read(stego)
        if payload.kind != self.codec.kind:
            raise PayloadError(f"The image hides {payload.kind.name} data.")
        return payload

    def decode(self, payloads: list[Payload]) -> np.ndarray:
        """The secrets, uint8 [n, h, w, 3], of what `read` gave. Raises as `reveal`."""
        sizes = {payload.size for payload in payloads}
        if len(sizes) > 1:
            raise ValueError(f"The images hide secrets of several sizes: {sorted(sizes)}.")
        return self.codec.decode([payload.data for payload in payloads], *sizes.pop())

    def _hide(self, covers, secrets):
        size = secrets.shape[1:3]
        check_size(*size)
        codes = self.codec.encode(secrets, self.channel.capacity(covers.shape[1:]))
        pairs = zip(covers, codes, strict=True)
        stegos = [self.channel.write(cover, code, self.codec.kind, size) for cover, code in pairs]
        return np.stack(stegos) if len(stegos) > 1 else stegos[0][None]  # not twice a huge one

    def _reveal(self, stegos):
        return self.decode([self.read(stego) for stego in stegos])
