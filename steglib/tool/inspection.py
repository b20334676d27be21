"""What a picture file is: what it hides, and what it could."""

import re
from pathlib import Path

import numpy as np

from steglib import zoo
from steglib.channels import detection, files, quiet
from steglib.channels import parity as correction
from steglib.channels.frame import Kind, PayloadError
from steglib.channels.jpeg import QUALITIES, JpegChannel
from steglib.channels.quiet import QuietChannel
from steglib.channels.residues import ResidueChannel
from steglib.evaluation import metrics
from steglib.images import photos
from steglib.tool import jobs, places

SAMPLED = 2**18  # samples, by which a cover's PSNR is foretold


def describe(path: Path, key: bytes | None = None) -> list[str]:
    """What a picture file is: what it hides, and what it could."""
    photo = places.read(path, photos.read_photo, samples=True)
    lines = [f"{path}: {photo.format}, {jobs.size_of(photo.image)}"]
    lines += [f"  {note}" for note in photo.notes]
    return lines + _describe_payload(photo.samples, key) + _describe_room(photo.image, key)


def _describe_payload(image, key):
    try:
        found = detection.read(image, key)
    except PayloadError as error:
        return [f"  {error}"]
    layout = found.layout
    carried = f"base {layout.base}"
    if layout.memory > 1:
        carried = f"{8 * len(found.data) / image.size:.3g} bits in each sample"
    if layout.quality:
        carried = f"comes through JPEG of quality {layout.quality} and more"
    facts = [f"{len(found.data)} bytes", carried]
    facts += ["with a key" if layout.sealed else "without a key"]
    facts += [f"protection {correction.LEVELS[layout.level]}"]
    facts += ["damaged, but corrected"] * found.corrected
    if found.kind == Kind.FILE:
        return [f"  It hides {files.unpack(found.data)}: {', '.join(facts)}"]
    height, width = found.size
    what = f"a picture ({found.kind.name.lower()}): {width}×{height} pixels"
    return [f"  It hides {what}, {', '.join(facts)}"]


def _describe_room(image, key):
    """As a cover of the residue model, a line for each rate that its card scores."""
    if min(image.shape[:2]) < jobs.Settings("residue").hider().min_side:
        return ["  It is too small to be a cover."]
    table = [
        f"  As a cover, {'with' if key else 'without'} a key, for a secret of the same size:",
        "    rate       bytes   bits a pixel   cover PSNR   secret PSNR*",
    ]
    for name, scores in zoo.load_card("residue")["scores"].items():
        if found := re.fullmatch(r"residue, (\S+) bits? a sample", name):
            room = ResidueChannel(key=key, rate=float(found[1])).capacity(image.shape)
            table.append(
                f"    {found[1]:>4} {room:11,} {8 * room * 3 / image.size:14.2f} "
                f"{_cover_psnr(image, float(found[1])):9.1f} dB {scores['secret_psnr']:10.1f} dB"
            )
    note = "    * mean of photographs of 64×64; tiny ones are worse, large ones differ by some dB."
    return [*table, note, *_describe_survival(image, key), *_describe_quiet(image)]


def _cover_psnr(image, rate):
    """With random bytes, in a sample of its rows."""
    rows = image[:: max(1, image.size // SAMPLED)]
    channel = ResidueChannel(rate=rate)
    data = np.random.default_rng(0).bytes(channel.capacity(rows.shape))
    return metrics.psnr(rows[None], channel.write(rows, data)[None])[0]


def _describe_survival(image, key):
    """What it carries through JPEG, a line for each promise."""
    rooms = {q: JpegChannel(q, key).capacity(image.shape) for q in QUALITIES}
    if not any(rooms.values()):
        return ["  It is too small to carry anything through JPEG."]
    lines = [f"    quality {q} and more: {room:9,} bytes" for q, room in rooms.items()]
    return ["  Through JPEG (--survive), with the least protection:", *lines]


def _describe_quiet(image):
    """How much it hides quietly, or why nothing."""
    if (reason := quiet.objection(image)) is not None:
        return [f"  Quietly (--quiet): nothing. {reason}"]
    channel = QuietChannel(b"any")
    lines = channel.about(image, bytes(channel.capacity(image.shape)))
    return ["  Quietly (--quiet), at most:", *(f"    {line}" for line in lines)]
