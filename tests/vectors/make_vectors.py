"""Writes the test vectors that are missing: python tests/vectors/make_vectors.py [NAME ...]

Named ones are written anew, as for a new format or weights. Sealed ones are random: no two runs
write the same file.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from steglib import load_images, load_model
from steglib.channels.residues import ResidueChannel

HERE = Path(__file__).parent
VECTORS = {
    "residue_v2": {},
    "tiles_v2": {},
    "sealed_v2": {"key": b"correct horse"},
    "protected_v2": {"level": 1},
    "sealed_protected_v2": {"key": b"correct horse", "level": 2},
    "low_v2": {"rate": 1.0},
    "high_v2": {"rate": 4.0},
    "plain_v2": {"base": 5},
}


def pictures(name) -> tuple:
    """Cover and secret."""
    images = load_images("sample", "val").images
    cover, secret = images[5, 8:56, 12:52], images[40, 9:50, 3:60]
    if "level" in VECTORS[name]:
        cover = np.hstack(images[5:7])[:, :96]  # has more than 16 code words
    if name.startswith("tiles"):
        cover, secret = np.hstack(images[5:8]), np.hstack(images[40:49])[9:50, :520]
    return cover, secret


def digests(codec, stego, key=None) -> dict:
    """Of what is in a stego image: its size, what says it, and SHA-256 of its bytes and of the
    integers in these.

    There is no float in between.
    """
    found = ResidueChannel(key=key).read(stego)
    values = codec.quantised(found.data, *found.size).astype("<i2")
    return {
        "size": list(found.size),
        "digits": [found.layout.base, found.layout.memory],
        "payload": hashlib.sha256(found.data).hexdigest(),
        "values": hashlib.sha256(values.tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    for name, options in VECTORS.items():
        path = HERE / f"{name}.png"
        if name in sys.argv[1:] or not path.exists():
            hider = load_model("residue", **options)
            stego = hider.hide(*pictures(name))
            Image.fromarray(stego).save(path)
            text = json.dumps(digests(hider.codec, stego, hider.key), indent=2)
            path.with_suffix(".json").write_text(text + "\n")
