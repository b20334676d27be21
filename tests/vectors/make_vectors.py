"""Writes the test vector anew, for a new format or weights: python tests/vectors/make_vectors.py"""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from steglib import load_images, load_model, payload
from steglib.codec import _blocks, _open

HERE = Path(__file__).parent


def digests(codec, stego) -> dict[str, str]:
    """SHA-256 of the bytes in a stego image, and of the integers in these: no float in between."""
    found = payload.extract(stego)
    index, coder = _open(found.data)
    values = codec._read([coder], np.array([index]), *_blocks(*found.size)).astype("<i2")
    return {
        "payload": hashlib.sha256(found.data).hexdigest(),
        "values": hashlib.sha256(values.tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    images = load_images("sample", "val").images
    hider = load_model("residue")
    stego = hider.hide(images[5, 8:56, 12:52], images[40, 9:50, 3:60])
    Image.fromarray(stego).save(HERE / "residue_v1.png")
    (HERE / "residue_v1.json").write_text(json.dumps(digests(hider.codec, stego), indent=2) + "\n")
