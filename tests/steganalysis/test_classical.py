import numpy as np
import pytest
import skimage
from scipy import stats

from steglib.steganalysis.classical import chi_square, sample_pairs, weighted_stego
from steglib.steganalysis.simulators import simulate

ATTACKS = chi_square, sample_pairs, weighted_stego
PHOTOS = np.stack([skimage.data.astronaut()[:256, :256], skimage.data.coffee()[:256, :256]])


@pytest.mark.parametrize("attack", [sample_pairs, weighted_stego])
@pytest.mark.parametrize("rate", [0, 0.1, 0.4, 1])
def test_the_share_of_samples_that_carry_a_bit_is_estimated(attack, rate):
    for stego in simulate("LSB replacement", PHOTOS, rate):
        assert attack(stego) == pytest.approx(rate, abs=0.04 + 0.06 * rate)


def test_chi_square_finds_bits_in_all_samples():
    for cover, stego in zip(PHOTOS, simulate("LSB replacement", PHOTOS, 1), strict=True):
        assert chi_square(cover) < 1e-6 and chi_square(stego) > 0.999


@pytest.mark.parametrize("attack", [sample_pairs, weighted_stego])
def test_lsb_matching_goes_unseen(attack):
    for stego in simulate("LSB matching", PHOTOS, 0.4):
        assert abs(attack(stego)) < 0.08


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_colours_count_alike(attack):
    stego = simulate("LSB replacement", PHOTOS[:1], 0.4)[0]
    assert attack(stego[..., ::-1]) == pytest.approx(attack(stego), rel=1e-4, abs=1e-9)
    assert attack(stego.swapaxes(0, 1)) == pytest.approx(attack(stego), rel=1e-4, abs=1e-9)


def test_chi_square_of_counts_by_hand():
    """Two pairs of 40 samples a colour, and one of 8, too few to be tested."""
    evens = (30, 12, 8), (20, 20, 0), (18, 22, 4)
    image = np.empty((1, 88, 3), np.uint8)
    for colour, (a, b, c) in enumerate(evens):
        counts = [a, 40 - a, b, 40 - b, c, 8 - c]
        image[0, :, colour] = np.repeat([100, 101, 50, 51, 6, 7], counts)
    statistic = (10**2 + 8**2 + 2**2 + 2**2) / 20
    assert chi_square(image) == pytest.approx(stats.chi2.sf(statistic, 3))


@pytest.mark.parametrize("attack", ATTACKS)
def test_any_image_has_a_score(attack):
    random = np.random.default_rng(0)
    images = [np.full((5, 7, 3), level, np.uint8) for level in (0, 1, 255)]
    images += [
        random.integers(0, 256, size, np.uint8) for size in ((1, 1, 3), (1, 9, 3), (8, 8, 3))
    ]
    for image in images:
        assert np.isfinite(attack(image)) and type(attack(image)) is float


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_no_image_is_refused(attack):
    with pytest.raises(ValueError, match="image must be uint8"):
        attack(PHOTOS[0] / 255)
    with pytest.raises(ValueError, match="one image"):
        attack(PHOTOS)


def test_sealwatch_agrees():
    sealwatch = pytest.importorskip("sealwatch")
    for stego in simulate("LSB replacement", PHOTOS, 0.4):
        grey = np.repeat(stego[..., :1], 3, axis=2)
        rows = np.concatenate([grey, grey[::-1]])  # it pairs samples along rows alone
        theirs = np.mean([sealwatch.spa.attack(g[..., 0]) for g in (grey, grey.swapaxes(0, 1))])
        assert sample_pairs(rows) == pytest.approx(theirs, abs=0.02)
        assert weighted_stego(grey) == pytest.approx(2 * sealwatch.ws.attack(grey), abs=0.02)
