import numpy as np

from steglib import load_images
from steglib.codec.networks import build_restorer

PHOTOS = load_images("sample", "val").images[::3]


def test_the_restorer_begins_as_the_identity():
    restorer = build_restorer(width=8, hidden=8, blocks=1)
    pictures = PHOTOS[:2, :16, :24].astype(np.float32)
    assert np.array_equal(restorer([pictures, np.float32([[1], [3]])]), pictures)
