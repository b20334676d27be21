import numpy as np
import pytest
import skimage

from steglib.images.damage import KINDS, MESSENGERS, damaged

GREY = np.full((60, 80, 3), 100, np.uint8)
PHOTO = skimage.data.astronaut()[:120, :160]
OVERWRITING = "run", "square", "scattered"


def hit(kind, share, seed=0):
    """Which samples are others. Of those overwritten, one in 256 is as it was."""
    return damaged(GREY, f"{kind}:{share}", seed) != GREY


def error(line):
    """Root mean square of what it changes in a photo, in grey levels."""
    return np.sqrt(np.square(damaged(PHOTO, line) - PHOTO.astype(float)).mean())


@pytest.mark.parametrize("kind", OVERWRITING)
@pytest.mark.parametrize("share", [0.01, 0.25])
def test_so_many_samples_become_random(kind, share):
    assert hit(kind, share).mean() == pytest.approx(share, rel=0.06)
    values = damaged(GREY, f"{kind}:{share}")[hit(kind, share)]
    assert values.min() < 10 and values.max() > 245
    assert (GREY == 100).all()


@pytest.mark.parametrize("kind", [*OVERWRITING, "one", "noise"])
def test_the_seed_decides_what_is_random(kind):
    assert np.array_equal(damaged(GREY, kind, 3), damaged(GREY, kind, 3))
    assert not np.array_equal(damaged(GREY, kind, 3), damaged(GREY, kind, 4))


def test_shapes_of_damage():
    run = np.flatnonzero(hit("run", 0.1))
    assert run[-1] - run[0] < 0.1 * GREY.size
    rows, columns, _ = np.nonzero(hit("square", 0.1))
    side = (0.1 * 60 * 80) ** 0.5
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == round(side)
    scattered = np.flatnonzero(hit("scattered", 0.1))
    assert scattered[0] < 200 and scattered[-1] > GREY.size - 200


@pytest.mark.parametrize("line", [*KINDS, *MESSENGERS])
def test_every_damage_takes_and_gives_8_bits(line):
    before = PHOTO.copy()
    found = damaged(PHOTO, line)
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
    assert np.array_equal(PHOTO, before)
    assert (line in ("png", "longest")) == (
        found.shape == PHOTO.shape and np.array_equal(found, PHOTO)
    )


@pytest.mark.parametrize(
    "weaker, stronger",
    [
        ("jpeg:95", "jpeg:50"),
        ("jpeg:75:444", "jpeg:75:420"),
        ("jpeg:75", "jpeg"),
        ("webp:95", "webp:50"),
        ("resize:0.9", "resize:0.3"),
        ("noise:2", "noise:8"),
        ("blur:0.5", "blur:2"),
        ("brightness:3", "brightness:-9"),
        ("contrast:1.05", "contrast:0.8"),
        ("palette:256", "palette:16"),
        ("jpeg:75", "resize:0.5+jpeg:75"),
    ],
)
def test_numbers_say_how_strong_it_is(weaker, stronger):
    assert 0 < error(weaker) <= error(stronger)


def test_amounts():
    changes = damaged(GREY, "one:0.3").astype(int) - GREY
    assert set(np.unique(changes)) == {-1, 0, 1} and abs((changes != 0).mean() - 0.3) < 0.01
    assert (damaged(GREY, "noise:4") - GREY.astype(int)).std() == pytest.approx(4, rel=0.05)
    assert (damaged(GREY, "brightness:200") == 255).all()
    assert len(np.unique(damaged(PHOTO, "palette:16").reshape(-1, 3), axis=0)) <= 16


def test_sizes():
    assert damaged(PHOTO, "longest:80").shape == (60, 80, 3)
    assert np.array_equal(damaged(PHOTO, "crop:3"), PHOTO[3:, 3:])


@pytest.mark.parametrize("line, why", [("fire", "There are png, jpeg"), ("jpeg:1:2:3", "at most")])
def test_damage_that_there_is_not(line, why):
    with pytest.raises(ValueError, match=why):
        damaged(GREY, line)


def test_numbers_that_make_no_sense():
    for line in ("scattered:1.5", "jpeg:75:433", "noise:loud"):
        with pytest.raises(ValueError):
            damaged(GREY, line)
