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
    "residue_v1": {},
    "sealed_v1": {"key": b"correct horse"},
    "protected_v1": {"level": 1},
    "sealed_protected_v1": {"key": b"correct horse", "level": 2},
}


def digests(codec, stego, key=None) -> dict[str, str]:
    """SHA-256 of the bytes in a stego image, and of the integers in these: no float in between."""
    found = ResidueChannel(key=key).read(stego)
    values = codec.quantised(found.data, *found.size).astype("<i2")
    return {
        "payload": hashlib.sha256(found.data).hexdigest(),
        "values": hashlib.sha256(values.tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    images = load_images("sample", "val").images
    for name, options in VECTORS.items():
        path = HERE / f"{name}.png"
        if name in sys.argv[1:] or not path.exists():
            hider = load_model("residue", **options)
            cover = images[5, 8:56, 12:52]
            if hider.channel.layout.level:
                cover = np.hstack(images[5:7])[:, :96]  # has more than 16 code words
            stego = hider.hide(cover, images[40, 9:50, 3:60])
            Image.fromarray(stego).save(path)
            text = json.dumps(digests(hider.codec, stego, hider.key), indent=2)
            path.with_suffix(".json").write_text(text + "\n")
