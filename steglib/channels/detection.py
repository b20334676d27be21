"""Reads an image without being told which channel wrote it."""

import contextlib

from steglib.channels.frame import Payload, PayloadError
from steglib.channels.jpeg import QUALITIES, JpegChannel
from steglib.channels.quiet import QuietChannel
from steglib.channels.residues import ResidueChannel


def read(stego, key: bytes | None = None) -> Payload:
    """What any channel, with the same key, hid in `stego`, uint8 [h, w, 3].

    Raises:
        ValueError: another dtype or shape.
        PayloadError: it hides nothing, was hidden with another key, or without one, was written
            by another version, or is damaged.
    """
    try:
        return ResidueChannel(key=key).read(stego)
    except PayloadError as error:
        if key is not None:
            with contextlib.suppress(PayloadError):
                return QuietChannel(key).read(stego)
        for quality in QUALITIES:
            payload = JpegChannel(quality, key).read_if_any(stego)
            if payload is not None:
                return payload
        raise error
