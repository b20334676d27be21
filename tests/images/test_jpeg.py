import io

import numpy as np
import pytest
import skimage
from PIL import Image
from scipy.fft import dctn

from steglib.images import jpeg

PHOTO = skimage.data.astronaut()[:83, :67]


def test_cosines_are_those_of_scipy_and_come_back():
    plane = np.random.default_rng(0).normal(size=(24, 40)).astype(np.float32)
    found = jpeg.to_cosines(plane)
    assert found.shape == (8, 8, 3, 5) and found.dtype == np.float32
    wanted = dctn(plane[8:16, 32:40], norm="ortho")
    assert np.allclose(found[:, :, 1, 4], wanted, atol=1e-5)
    assert np.allclose(jpeg.from_cosines(found), plane, atol=1e-5)


def test_what_makes_no_whole_block_is_left_out():
    assert jpeg.to_cosines(jpeg.luma(PHOTO)).shape == (8, 8, 10, 8)


@pytest.mark.parametrize("quality", [50, 75, 90])
def test_coefficients_of_a_file_are_multiples_of_the_steps(quality):
    """All but the rounding of its pixels, of a grey picture, whose luma is itself."""
    file = io.BytesIO()
    grey = Image.fromarray(PHOTO[:80, :64]).convert("L")
    grey.save(file, "JPEG", quality=quality)
    opened = np.asarray(Image.open(file).convert("RGB"))
    steps = jpeg.steps(quality)[0]
    found = jpeg.to_cosines(jpeg.luma(opened) - 128) / steps[:, :, None, None]
    assert np.abs(found - np.rint(found)).mean() < 0.5 / steps.mean() + 0.05


def test_steps_are_the_standards():
    luma, chroma = jpeg.steps(50)
    assert luma[0, :4].tolist() == [16, 11, 10, 16] and luma[7, 0] == 72
    assert chroma[0, :4].tolist() == [17, 18, 24, 47] and chroma[1, 0] == 18
    assert (jpeg.steps(100) == 1).all()


def test_luma():
    colours = np.array([[[255, 255, 255], [255, 0, 0], [0, 0, 0]]], np.uint8)
    assert jpeg.luma(colours).tolist() == [[pytest.approx(255), pytest.approx(76.245), 0]]
