import numpy as np
import pytest

from steglib.channels.polar import Code, scattered, transform, unreliability

RNG = np.random.default_rng(0)


def observe(words, sigma):
    """Log-likelihood ratios of bits sent as ±1 through Gaussian noise."""
    received = 1 - 2.0 * words + sigma * RNG.normal(size=words.shape)
    return (2 * received / sigma**2).astype(np.float32)


def messages(code, n):
    return RNG.integers(0, 2, (n, len(code.message)), np.uint8)


def test_the_transform_is_its_own_inverse_and_linear():
    a, b = RNG.integers(0, 2, (2, 5, 64), np.uint8)
    assert np.array_equal(transform(transform(a)), a)
    assert np.array_equal(transform(a ^ b), transform(a) ^ transform(b))
    assert transform(np.eye(2, dtype=np.uint8)).tolist() == [[1, 0], [1, 1]]


def test_places_become_certain_or_worthless_and_none_is_lost():
    lost = unreliability(14, 0.3)
    assert lost.mean() == pytest.approx(0.3)
    assert (lost < 1e-3).mean() + (lost > 1 - 1e-3).mean() > 0.85
    assert unreliability(1, 0.5).tolist() == [0.75, 0.25]


@pytest.mark.parametrize("size", [1, 5, 10, 13])
def test_messages_come_back_whatever_the_wishes(size):
    code = Code(size, noise=0.2, freedom=0.8)
    said = messages(code, 3)
    wishes = RNG.normal(size=(3, 2**size)).astype(np.float32)
    words = code.write(said, wishes)
    assert words.shape == wishes.shape and words.dtype == np.uint8 and words.max() <= 1
    assert np.array_equal(code.read(10 * (1 - 2 * words.astype(np.float32))), said)


def test_noise_is_corrected_up_to_what_the_code_is_for():
    code = Code(12, noise=0.35, freedom=0.9)
    said = messages(code, 20)
    words = code.write(said, np.zeros((20, 4096), np.float32))
    mild, wild = observe(words, 0.6), observe(words, 1.5)
    assert ((mild < 0) != words).mean() > 0.03
    assert np.array_equal(code.read(mild), said)
    assert not (code.read(wild) == said).all(axis=1).any()


def test_wishes_are_granted_where_that_is_free():
    code = Code(12, noise=0.1, freedom=0.75)
    wishes = RNG.normal(size=(4, 4096)).astype(np.float32)
    words = code.write(messages(code, 4), wishes)
    granted = ((wishes < 0) == words).astype(float)
    strong = np.abs(wishes) > 1.5
    assert granted.mean() > 0.65 and granted[strong].mean() > granted[~strong].mean() + 0.1
    rigid = Code(12, noise=0.1, freedom=1.0)
    assert not rigid.free.any()
    assert ((wishes < 0) == rigid.write(messages(rigid, 4), wishes)).mean() < 0.55


def test_less_noise_carries_more():
    rates = [len(Code(12, noise, 0.8).message) for noise in (0.1, 0.2, 0.4)]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0
    longer = [len(Code(size, 0.2, 0.8).message) / 2**size for size in (8, 10, 12, 14)]
    assert longer == sorted(longer)


def test_scattered_numbers_are_the_published_ones():
    """Files depend on them. The first of SplitMix64 from the state 0."""
    assert scattered(2, 0).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert len(np.unique(scattered(10_000, 3))) == 10_000
    assert not np.isin(scattered(1000, 1), scattered(1000, 2)).any()
