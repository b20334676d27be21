import numpy as np
import pytest
import reedsolo

from steglib.channels.reed_solomon import EXP, LOG, correct, encode, multiply

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def spoiled(words, counts):
    """Words with so many wrong bytes each, anywhere."""
    words = words.copy()
    for i, count in enumerate(counts):
        rows = RNG.choice(len(words), count, replace=False)
        words[rows, i] ^= RNG.integers(1, 256, count, np.uint8)
    return words


def test_the_field():
    a, b, c = draw(3, 500)
    assert np.array_equal(multiply(a, b), multiply(b, a))
    assert np.array_equal(multiply(a, multiply(b, c)), multiply(multiply(a, b), c))
    assert np.array_equal(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c))
    assert (multiply(a, 0) == 0).all() and np.array_equal(multiply(a, 1), a)
    assert np.array_equal(EXP[LOG[1:]], np.arange(1, 256)) and multiply(2, 0x80) == 0x1D


@pytest.mark.parametrize("rows, parity", [(1, 2), (40, 7), (223, 32), (127, 128), (45, 210)])
def test_words_are_those_of_reedsolo(rows, parity):
    data = draw(rows, 3)
    codec = reedsolo.RSCodec(parity)
    for i, column in enumerate(encode(data, parity).T):
        assert codec.encode(data[:, i].tobytes())[rows:] == column.tobytes()
    with pytest.raises(ValueError, match="at most 255 bytes"):
        encode(draw(250, 2), 6)


@pytest.mark.parametrize("rows, parity", [(1, 2), (40, 7), (223, 32), (127, 128), (45, 210)])
def test_half_as_many_wrong_bytes_as_parity_are_mended(rows, parity):
    data = draw(rows, 30)
    words = np.concatenate([data, encode(data, parity)])
    counts = [0, parity // 2, *RNG.integers(0, parity // 2 + 1, 28)]
    assert np.array_equal(correct(spoiled(words, counts), parity), words)


def test_what_cannot_be_mended_stays_and_spoils_no_other_word():
    data = draw(100, 6)
    words = np.concatenate([data, encode(data, 20)])
    wrong = spoiled(words, [30, 10, 0, 60, 1, 12])
    found = correct(wrong, 20)
    for i in (1, 2, 4):
        assert np.array_equal(found[:, i], words[:, i])
    for i in (0, 3, 5):  # one in a million looks like another word
        assert np.array_equal(found[:, i], wrong[:, i])


def test_more_words_than_are_mended_at_once(monkeypatch):
    monkeypatch.setattr("steglib.channels.reed_solomon.AT_ONCE", 8)
    data = draw(20, 21)
    words = np.concatenate([data, encode(data, 6)])
    assert np.array_equal(correct(spoiled(words, [3] * 21), 6), words)
