import numpy as np
import pytest
from PIL import Image

from steglib.images.arrays import check_images, cut_squares, fit_to, scale_to, to_array

RED = (200, 30, 60)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
STRIPES = np.zeros((64, 64, 3), np.uint8)
STRIPES[:, ::2] = 255


def test_images_are_one_or_a_batch():
    assert np.array_equal(check_images(NOISE, "cover"), NOISE[None])
    assert np.array_equal(check_images([NOISE, NOISE], "cover"), np.stack([NOISE, NOISE]))


NO_IMAGES = (NOISE / 255, NOISE[..., 0], NOISE[..., :2], NOISE[:0], NOISE[None, None], [], None)


@pytest.mark.parametrize("images", NO_IMAGES)
def test_what_is_no_image_is_named(images):
    with pytest.raises(ValueError, match=r"^cover must"):
        check_images(images, "cover")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_to_array_of_pictures_taller_than_a_strip(mode):
    noise = np.random.default_rng(1).integers(0, 256, (600, 5, 3), np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    assert np.array_equal(to_array(picture), np.asarray(picture.convert("RGB")))


def assert_filtered(shrunk):
    assert shrunk.min() >= 100 and shrunk.max() <= 155  # grey: no moiré of black and white


def test_fit_to():
    assert fit_to(NOISE, 48, 64) is NOISE
    bars = np.zeros((20, 60, 3), np.uint8)
    bars[:, 20:40] = RED
    assert (fit_to(bars, 20, 20) == RED).all()  # the centre
    fitted = fit_to(NOISE, 96, 32)
    assert fitted.shape == (96, 32, 3) and fitted.dtype == np.uint8
    assert_filtered(fit_to(STRIPES, 16, 16))


@pytest.mark.parametrize("shape, pixels, wanted", [((300, 400), 30_000, (150, 200)),
                                                   ((4, 4000), 1000, (4, 250)),
                                                   ((4000, 40), 1000, (125, 8)),
                                                   ((30, 40), 1200, (30, 40))])  # fmt: skip
def test_scale_to(shape, pixels, wanted):
    image = np.full((*shape, 3), RED, np.uint8)
    scaled = scale_to(image, pixels)
    assert scaled.shape == (*wanted, 3) and scaled.dtype == np.uint8 and (scaled == RED).all()
    assert (scaled is image) == (shape == wanted)


def test_scale_to_a_longest_side():
    image = np.zeros((30, 200, 3), np.uint8)
    assert scale_to(image, 10**6, 100).shape == (15, 100, 3)
    assert scale_to(image, 10**6, 200) is image


def test_scale_to_filters_first():
    assert_filtered(scale_to(STRIPES, 256))


def test_squares_lie_side_by_side_in_the_middle():
    sizes = (20, 30, 3), (7, 90, 3), (8, 8, 3)
    images = [np.random.default_rng(i).integers(0, 256, s, np.uint8) for i, s in enumerate(sizes)]
    squares, numbers = cut_squares(images, 8)
    assert squares.shape == (7, 8, 8, 3) and numbers.tolist() == [0] * 6 + [2]
    large, _, exact = images
    rows = [
        large[2 + 8 * y : 10 + 8 * y, 3 + 8 * x : 11 + 8 * x] for y in range(2) for x in range(3)
    ]
    assert np.array_equal(squares, np.stack([*rows, exact]))


@pytest.mark.parametrize("most", [1, 2, 5, 6, 99])
def test_at_most_so_many_squares_of_each_image(most):
    images = np.arange(2 * 16 * 24 * 3, dtype=np.uint8).reshape(2, 16, 24, 3)
    squares, numbers = cut_squares(images, 8, most)
    assert np.bincount(numbers).tolist() == [min(most, 6)] * 2
    every, _ = cut_squares(images, 8)
    known = [square.tobytes() for square in every]
    assert all(square.tobytes() in known for square in squares)
    with pytest.raises(ValueError, match="No image has 17×17 pixels"):
        cut_squares(images, 17)
