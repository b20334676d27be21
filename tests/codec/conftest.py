import numpy as np
import pytest

from steglib import load_images, load_model


@pytest.fixture(scope="session")
def codec():
    """The one that ships."""
    return load_model("residue").codec


@pytest.fixture(scope="session")
def photos():
    """Photographs, uint8 [32, 64, 64, 3]."""
    return load_images("sample", "val").images[::3]


@pytest.fixture(scope="session")
def cut(photos):
    """A function of height and width: a picture of many photographs, uint8 [1, h, w, 3]."""
    rows = [np.concatenate(photos[i : i + 10], 1) for i in range(0, 20, 10)]
    wide = np.concatenate(rows + rows)
    return lambda height, width: np.tile(wide, (5, 4, 1))[None, :height, :width]
