import numpy as np
import pytest

from steglib import LSB, metrics


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_lsb_keeps_the_high_bits_of_both(bits, pairs):
    covers, secrets = pairs
    hider = LSB(bits)
    stegos = hider.hide(covers, secrets)
    assert np.array_equal(stegos >> bits, covers >> bits)
    revealed = hider.reveal(stegos)
    assert np.array_equal(revealed >> (8 - bits), secrets >> (8 - bits))
    assert np.abs(revealed.astype(int) - secrets).max() <= 2 ** (7 - bits)


def test_lsb_reveals_the_midpoint():
    """The mean error is least there: for 4 bits and uniform secrets, an RMSE of 4.64."""
    secret = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    revealed = LSB(4).reveal(LSB(4).hide(np.zeros_like(secret), secret))
    assert metrics.rmse(secret[None], revealed[None])[0] == pytest.approx(np.sqrt(21.5), rel=1e-6)


def test_lsb_bits_are_checked():
    for bits in (0, 5, 2.5):
        with pytest.raises(ValueError, match="bits"):
            LSB(bits)
