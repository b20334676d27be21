import numpy as np
import pytest

from steglib.images.damage import KINDS, overwrite

GREY = np.full((60, 80, 3), 100, np.uint8)


def hit(kind, share, seed=0):
    """Which samples are others. Of those overwritten, one in 256 is as it was."""
    return overwrite(GREY, share, kind, seed) != GREY


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.01, 0.25])
def test_so_many_samples_become_random(kind, share):
    assert hit(kind, share).mean() == pytest.approx(share, rel=0.06)
    values = overwrite(GREY, share, kind)[hit(kind, share)]
    assert values.min() < 10 and values.max() > 245
    assert (GREY == 100).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_where(kind):
    assert np.array_equal(overwrite(GREY, 0.1, kind, 3), overwrite(GREY, 0.1, kind, 3))
    assert (hit(kind, 0.1, 3) != hit(kind, 0.1, 4)).any()


def test_shapes_of_damage():
    run = np.flatnonzero(hit("run", 0.1))
    assert run[-1] - run[0] < 0.1 * GREY.size
    rows, columns, _ = np.nonzero(hit("square", 0.1))
    side = (0.1 * 60 * 80) ** 0.5
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == round(side)
    scattered = np.flatnonzero(hit("scattered", 0.1))
    assert scattered[0] < 200 and scattered[-1] > GREY.size - 200


def test_damage_that_there_is_not():
    assert np.array_equal(overwrite(GREY, 0, "square"), GREY)
    with pytest.raises(ValueError, match="run, square, scattered"):
        overwrite(GREY, 0.1, "fire")
    with pytest.raises(ValueError):
        overwrite(GREY, 1.5, "scattered")
