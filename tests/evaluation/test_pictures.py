import numpy as np
import pytest
from PIL import Image

from steglib.evaluation import metrics, pictures


@pytest.fixture
def four(pairs):
    """Covers, secrets, stego images a little brighter, revealed ones a little darker."""
    covers, secrets = (np.clip(images[:3], 10, 240) for images in pairs)
    return covers, secrets, covers + np.uint8(1), secrets - np.uint8(3)


def shown(figure):
    return [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_magnified():
    a = np.array([[100, 100, 100, 0]], np.uint8)
    b = np.array([[100, 99, 103, 255]], np.uint8)
    assert pictures.magnified(a, b, 10).tolist() == [[128, 138, 98, 0]]  # 127.5 to the even one


def test_show_images(pairs):
    images = pairs[0][:5]
    figure = pictures.show_images(images, list("abcde"), columns=3)
    assert len(figure.axes) == 6 and titles(figure) == [*"abcde", ""]
    assert np.array_equal(shown(figure), images)
    assert len(pictures.show_images(images).axes) == 5


def test_show_pairs(four):
    covers, secrets, stegos, revealed = four
    figure = pictures.show_pairs(*four, magnify=20)
    rows = np.stack(shown(figure)).reshape(3, 6, *covers.shape[1:])
    for column, images in ((0, covers), (1, stegos), (3, secrets), (4, revealed)):
        assert np.array_equal(rows[:, column], images)
    assert (rows[:, 2] == 148).all() and (rows[:, 5] == 68).all()
    assert titles(figure)[:3] == ["cover", "stego", "difference ×20"]


def test_show_pair_gives_each_psnr_to_its_picture(four):
    cover, secret, stego, revealed = (images[0] for images in four)
    figure = pictures.show_pair(cover, secret, stego, revealed)
    assert np.array_equal(shown(figure), [cover, secret, stego, revealed])
    assert titles(figure) == ["cover", "secret", "stego\n48.1 dB", "revealed\n38.6 dB"]


def test_show_hiding_of_two_sizes(four):
    cover, _, stego, _ = (images[0] for images in four)
    secret = np.zeros((20, 2500, 3), np.uint8)
    figure = pictures.show_hiding(cover, secret, stego, secret, magnify=30)
    images = shown(figure)
    assert np.array_equal(images[:2], [cover, stego]) and (images[2] == 158).all()
    assert all(image.shape == (7, 834, 3) for image in images[3:])  # every third pixel
    psnr = metrics.psnr(cover[None], stego[None])[0]
    assert titles(figure)[1::3] == [f"stego, PSNR {psnr:.1f} dB", "revealed, exact"]


def test_zoom_shows_the_same_square_of_every_picture(four):
    cover, secret, stego, revealed = (images[0] for images in four)
    figure = pictures.show_pair(cover, secret, stego, revealed, zoom=(0.25, 0.5, 0.25))
    insets = [axis.child_axes[0].images[0].get_array() for axis in figure.axes]
    for inset, image in zip(insets, (cover, secret, stego, revealed), strict=True):
        assert np.array_equal(inset, image[24:40, 8:24])
    rows = pictures.show_pairs(*(images[:2] for images in four), zoom=(0, 1, 0.25), labels="ab")
    assert all(len(axis.child_axes) == 1 for axis in rows.axes)
    assert np.array_equal(rows.axes[3].child_axes[0].images[0].get_array(), secret[48:, :16])
    assert [axis.texts[0].get_text() for axis in rows.axes[::6]] == ["a", "b"]


def test_zoom_into_a_picture_that_is_shown_smaller():
    large = np.zeros((40, 2500, 3), np.uint8)
    large[:, 1250:] = 200
    figure = pictures.show_hiding(large, large, large, large, zoom=(0.5, 0.5, 0.5))
    (inset,) = figure.axes[0].child_axes
    shown = np.asarray(inset.images[0].get_array())
    assert shown.shape == (20, 20, 3) and (shown == large[:20, 1240:1260]).all()
    (frame,) = figure.axes[0].patches
    assert frame.get_width() == pytest.approx(20 / 3, rel=0.01)


def test_show_components():
    basis = np.eye(12)[:, ::-1] * -3
    figure = pictures.show_components(basis, 2, [1, 12])
    first, last = shown(figure)
    assert first[1, 1, 2] == 0 and last[0, 0, 0] == 0
    assert np.sum(first != 128) == np.sum(last != 128) == 1
    assert titles(figure) == ["1", "12"]
    assert len(pictures.show_components(np.eye(48), 4).axes) == 32


def test_figures_are_saved_without_a_trace_of_when(home):
    pictures.use_style()
    contents = []
    for _ in range(2):
        path = pictures.save_figure(pictures.show_images(np.zeros((1, 8, 8, 3), np.uint8)), "9_a")
        contents.append(path.read_bytes())
    assert path == home / "figures" / "9_a.png" and contents[0] == contents[1]
    with Image.open(path) as picture:
        assert picture.width > 50 and "Software" not in picture.info
