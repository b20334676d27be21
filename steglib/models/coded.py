"""Digital hiding: a codec makes bytes of the secret, a channel writes them into the cover."""

import math

import numpy as np

from steglib.channels import detection, files
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
            several, of which each secret gets the one that errs least. Each has
            `encode_measured(pictures, size, enough)`, `decode(codes, height, width)`,
            `fits(picture, size)`, `kind`, `least_bits` (for a pixel; with fewer, a picture scaled
            down and up again looks better) and `min_side`.
        channel: bytes in an image, a `channels.channel.Channel`.
        name: what tables call it, the codec's name by default; the channel's is added.
        enough: PSNR in dB about which a secret need not be better, so that the cover is changed
            less; None to use all that the channel has.
    """

    detects = True
    same_size = False

    def __init__(self, codecs, channel, name: str | None = None, enough: float | None = None):
        self.codecs = codecs if isinstance(codecs, tuple) else (codecs,)
        self.codec, self.channel, self.key = self.codecs[0], channel, channel.key
        aim = channel.name if enough is None else f"{enough:g} dB"
        self.name, self.enough = f"{name or self.codec.name}, {aim}", enough
        self.takes_unrounded = channel.takes_unrounded
        self.min_side = max(codec.min_side for codec in self.codecs)

    def fit_secret(self, secret, cover) -> np.ndarray:
        """The secret, uint8 [h, w, 3], scaled down where it would get too few bits a pixel."""
        rooms = self._rooms(cover)
        pixels = int(8 * rooms[0] / min(codec.least_bits for codec in self.codecs))
        fitted = scale_to(secret, pixels, MAX_SIDE)
        while not self._has_room(min(rooms), fitted) and pixels > self.min_side**2:
            pixels //= 2
            fitted = scale_to(secret, pixels, MAX_SIDE)
        return fitted

    def fits(self, secret, cover) -> bool:
        """Whether the secret, uint8 [h, w, 3], can be hidden in this cover as it is."""
        room = min(self._rooms(cover))
        return max(secret.shape[:2]) <= MAX_SIDE and self._has_room(room, secret)

    def hide_remarked(self, cover, secret, **known) -> tuple[np.ndarray, list[str]]:
        """As `Hider.hide_remarked`: how much is hidden, how well, and what was tried for that.

        Args:
            known: of the cover, what the channel's `write` takes.
        """
        remarks = []
        return self._hide(*self._check_both(cover, secret), remarks, known)[0], remarks

    def hide_file(self, cover, file, **known) -> tuple[np.ndarray, list[str]]:
        """As `Hider.hide_file`; `known` as for `hide_remarked`."""
        data, remarks = files.pack(file), []

        def encode(places, room):
            if len(data) > room:
                raise ValueError(
                    f"{file}: {len(data):,} with its name, compressed, and the cover has room for "
                    f"{room:,} ({self.channel.name}): choose a larger one, or a smaller file."
                )
            return [(Kind.FILE, data, None) for _ in places]

        covers = self._check(cover, "cover")
        return self._write(covers, encode, files.SIZE, remarks, known)[0], remarks

    def reveal_remarked(self, stego) -> tuple[np.ndarray, list[str]]:
        """As `Hider.reveal_remarked`; while it decodes, it does not hold on to a huge `stego`."""
        payload = self.read(stego)
        del stego
        return self.decode([payload])[0], _remarks(payload)

    def reveal_any(self, stego) -> tuple[np.ndarray | files.HiddenFile, list[str]]:
        """As `Hider.reveal_any`, and as `reveal_remarked`."""
        payload = detection.read(stego, self.key)
        del stego
        if payload.kind == Kind.FILE:
            return files.unpack(payload.data), _remarks(payload)
        return self.decode([payload])[0], _remarks(payload)

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
        if kind == Kind.FILE:
            raise PayloadError("The image hides a file, not a picture: steglib reveal writes it.")
        if kind in (Kind.RAW, Kind.LEARNED):
            raise PayloadError(f"The image hides {kind.name} data.")
        return PictureFile(kind.name.lower())

    def _rooms(self, cover):
        """How many bytes the cover carries, at first and with more protection."""
        return [channel.capacity(np.shape(cover)) for channel in self.channel.attempts()]

    def _has_room(self, room, secret):
        return any(codec.fits(secret, room) for codec in self.codecs)

    def _hide(self, covers, secrets, remarks=None, known=None):
        size = secrets.shape[1:3]
        check_size(*size)
        return self._write(
            covers, lambda places, room: self._encode(secrets[places], room), size, remarks, known
        )

    def _write(self, covers, encode, size, remarks, known):
        """The stego images; `encode` gives kind, code and error for some places and a room."""
        if not self.channel.capacity(covers.shape[1:]):
            raise ValueError(
                f"A cover of {covers.shape[2]}×{covers.shape[1]} pixels is too small to carry any "
                f"bytes of a secret ({self.channel.name}): choose a larger one."
            )
        stegos, left = [None] * len(covers), list(range(len(covers)))
        for channel in self.channel.attempts():
            # Where only a whole secret broke a promise, the next channel is likely to hold it.
            broken = {i: channel.probe(covers[i]) if stegos[i] is None else [] for i in left}
            trying = [i for i in left if not broken[i]]
            codes = encode(trying, channel.capacity(covers.shape[1:]))
            for i, (kind, code, _) in zip(trying, codes, strict=True):
                stegos[i] = channel.write(covers[i], code, kind, size, **known or {})
                broken[i] = channel.broken(stegos[i], code)
            if remarks is not None:
                remarks += channel.remarks(broken[left[0]])
            left = [i for i in left if broken[i]]
            if not left:
                if remarks is not None:
                    _, code, error = codes[0]
                    remarks += channel.about(covers[0], code)
                    if error is not None:
                        remarks.append(f"the secret comes back with about {_psnr(error):.1f} dB")
                # A huge one is not copied.
                return np.stack(stegos) if len(stegos) > 1 else stegos[0][None]
        raise ValueError(
            f"The cover cannot hold what {self.channel.name} promises: choose one that is larger, "
            "or has fewer black, white or flat places."
        )

    def _encode(self, secrets, size):
        """Kind, code and error of each secret: of several codecs, the one that errs least."""
        if len(self.codecs) == 1:
            coded = self.codec.encode_measured(secrets, size, self.enough)
            return [(self.codec.kind, *found) for found in coded]
        return [self._encode_best(secret[None], size) for secret in secrets]

    def _encode_best(self, secret, size):
        """Of codecs with too few bits for a pixel, one is only taken if no other has enough."""
        bits = 8 * size / math.prod(secret.shape[1:3])
        found, errors = [], []
        for codec in sorted(self.codecs, key=lambda codec: codec.least_bits > bits):
            if found and codec.least_bits > bits:
                break
            try:
                coded = codec.encode_measured(secret, size, self.enough)
            except ValueError as error:
                errors.append(error)
            else:
                found.append((codec.kind, *coded[0]))
        if not found:
            raise errors[0]
        return min(found, key=lambda coded: coded[2])

    def _reveal(self, stegos):
        return self.decode([self.read(stego) for stego in stegos])


def _remarks(payload):
    return ["damaged, but corrected"] * payload.corrected


def _psnr(error):
    return 10 * math.log10(255**2 / max(error, metrics.ROUNDING))
