"""Digital hiding: a codec makes bytes of the secret, a channel writes them into the cover."""

import math

import numpy as np

from steglib.channels import detection
from steglib.channels.frame import MAX_SIDE, Kind, Payload, PayloadError, check_size
from steglib.evaluation import metrics
from steglib.hider import Hider
from steglib.images.arrays import scale_to
from steglib.models.baselines import PictureFile


class CodedHider(Hider):
    """Hides what a codec makes of the secret in what a channel makes of the cover.

    Cover and secret may differ in size. Reveals what any channel wrote. From `hide`, a ValueError
    for a cover too small for the secret, or one that cannot hold what its channel promises; from
    `reveal`, one for images whose secrets differ in size, and a `PayloadError` for an image that
    hides no picture, or not with this key.

    Args:
        codecs: photos as at most so many bytes: a `codec.Codec`, a `baselines.PictureFile`, or
            several, of which each secret gets the one that errs least. Each has `encode(pictures,
            size)`, `decode(codes, height, width)`, `fits(picture, size)`, `kind`, `least_bits`
            (for a pixel; with fewer, a picture scaled down and up again looks better) and
            `min_side`.
        channel: bytes in an image: a `ResidueChannel` or a `JpegChannel`. Has `capacity(shape)`,
            `write(cover, data, kind, size)`, `attempts()`, `probe(cover)`, `broken(stego, data)`,
            `key` and `name`.
        name: what tables call it, the codec's name by default; the channel's is added.
    """

    detects = True
    same_size = False

    def __init__(self, codecs, channel, name: str | None = None):
        self.codecs = codecs if isinstance(codecs, tuple) else (codecs,)
        self.codec, self.channel, self.key = self.codecs[0], channel, channel.key
        self.name = f"{name or self.codec.name}, {channel.name}"
        self.min_side = max(codec.min_side for codec in self.codecs)

    def fit_secret(self, secret, cover) -> np.ndarray:
        """The secret, uint8 [h, w, 3], scaled down where it would get too few bits a pixel."""
        room = self.channel.capacity(np.shape(cover))
        pixels = int(8 * room / min(codec.least_bits for codec in self.codecs))
        fitted = scale_to(secret, pixels, MAX_SIDE)
        while not self._fits(fitted, room) and pixels > self.min_side**2:
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

    def hide_remarked(self, cover, secret) -> tuple[np.ndarray, list[str]]:
        """As `Hider.hide_remarked`: what was tried until the channel's promise held."""
        remarks = []
        return self._hide(*self._check_both(cover, secret), remarks)[0], remarks

    def reveal_remarked(self, stego) -> tuple[np.ndarray, list[str]]:
        """As `Hider.reveal_remarked`; while it decodes, it does not hold on to a huge `stego`."""
        payload = self.read(stego)
        del stego
        return self.decode([payload])[0], ["damaged, but corrected"] * payload.corrected

    def read(self, stego) -> Payload:
        """The bytes in a stego image uint8 [h, w, 3]. Raises as `reveal`."""
        payload = detection.read(stego, self.key)
        self._codec(payload.kind)
        return payload

    def decode(self, payloads: list[Payload]) -> np.ndarray:
        """The secrets, uint8 [n, h, w, 3], of what `read` gave. Raises as `reveal`."""
        sizes = {payload.size for payload in payloads}
        if len(sizes) > 1:
            raise ValueError(f"The images hide secrets of several sizes: {sorted(sizes)}.")
        (size,) = sizes
        secrets = np.empty((len(payloads), *size, 3), np.uint8)
        for kind in {payload.kind for payload in payloads}:
            places = [i for i, payload in enumerate(payloads) if payload.kind == kind]
            secrets[places] = self._codec(kind).decode([payloads[i].data for i in places], *size)
        return secrets

    def _codec(self, kind):
        """One that reads codes of a kind. Raises PayloadError if that takes a learned one."""
        for codec in self.codecs:
            if codec.kind == kind:
                return codec
        if kind in (Kind.RAW, Kind.LEARNED):
            raise PayloadError(f"The image hides {kind.name} data.")
        return PictureFile(kind.name.lower())

    def _fits(self, secret, room):
        return any(codec.fits(secret, room) for codec in self.codecs)

    def _hide(self, covers, secrets, remarks=None):
        size = secrets.shape[1:3]
        check_size(*size)
        if not self.channel.capacity(covers.shape[1:]):
            raise ValueError(
                f"A cover of {covers.shape[2]}×{covers.shape[1]} pixels is too small to carry any "
                f"bytes of a picture ({self.channel.name}): choose a larger one."
            )
        stegos, left = [None] * len(covers), list(range(len(covers)))
        for channel in self.channel.attempts():
            broken = {i: channel.probe(covers[i]) for i in left}
            trying = [i for i in left if not broken[i]]
            codes = self._encode(secrets[trying], channel.capacity(covers.shape[1:]))
            for i, (kind, code) in zip(trying, codes, strict=True):
                stegos[i] = channel.write(covers[i], code, kind, size)
                broken[i] = channel.broken(stegos[i], code)
            if remarks is not None:
                remarks += channel.remarks(broken[left[0]])
            left = [i for i in left if broken[i]]
            if not left:
                # A huge one is not copied.
                return np.stack(stegos) if len(stegos) > 1 else stegos[0][None]
        raise ValueError(
            f"The cover cannot hold what {self.channel.name} promises: choose one that is larger, "
            "or has fewer black, white or flat places."
        )

    def _encode(self, secrets, size):
        """Kind and code of each secret: of the codec that errs least, where there are several."""
        if len(self.codecs) == 1:
            return [(self.codec.kind, code) for code in self.codec.encode(secrets, size)]
        return [self._encode_best(secret[None], size) for secret in secrets]

    def _encode_best(self, secret, size):
        """Of codecs with too few bits for a pixel, one is only taken if no other has enough."""
        bits = 8 * size / math.prod(secret.shape[1:3])
        found, errors = {}, []
        for codec in sorted(self.codecs, key=lambda codec: codec.least_bits > bits):
            if found and codec.least_bits > bits:
                break
            try:
                (code,) = codec.encode(secret, size)
            except ValueError as error:
                errors.append(error)
                continue
            (decoded,) = codec.decode([code], *secret.shape[1:3])
            found[metrics.mse(secret, decoded[None])[0]] = codec.kind, code
        if not found:
            raise errors[0]
        return found[min(found)]

    def _reveal(self, stegos):
        return self.decode([self.read(stego) for stego in stegos])
