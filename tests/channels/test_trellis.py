import hashlib
import itertools
from math import gcd

import by_hand
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steglib import workers
from steglib.channels import trellis
from steglib.channels.trellis import SHIPPED, Trellis, _columns
from steglib.evaluation.metrics import psnr

KINDS = [(base, memory) for base in range(2, 24) for memory in range(1, 5) if base**memory <= 530]
IMPOSSIBLE = "The cover cannot say this: too few of its samples may change"


def squares(base, count):
    """What changes cost in samples that are not near 0 or 255."""
    steps = np.arange(base)
    cost = np.minimum(steps, base - steps) ** 2
    return np.repeat(cost[:, None], count, 1).astype(np.float32)


def embed(kind, residues, costs, symbols):
    return Trellis(*kind).embed(residues, lambda some: costs[:, some], symbols)


def read(kind, residues, count):
    return Trellis(*kind).read(residues.astype(np.uint8), count)


def draw(kind, samples, symbols, seed=0):
    """Residues and a message."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, kind[0], n, np.uint8) for n in (samples, symbols))


@st.composite
def sizes(draw):
    """Samples and symbols: few or many, and as many as there can be."""
    samples = draw(st.integers(1, 20) | st.integers(1, 2500))
    return samples, draw(st.integers(0, samples) | st.integers(0, 1 + samples // 40))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(KINDS), sizes(), st.sampled_from([0, 0.1, 0.5, 0.9, 1]), st.integers(0))
def test_what_is_said_is_read(kind, size, wet, seed):
    """By changes that may be; or it is refused, but never where all may be."""
    rng, (samples, count) = np.random.default_rng(seed), size
    residues, symbols = draw(kind, samples, count, seed)
    costs = rng.random((kind[0], samples), np.float32)
    costs[rng.random(costs.shape) < wet] = np.inf
    costs[0] = 0
    before = residues.copy(), costs.copy()
    try:
        changes = embed(kind, residues, costs, symbols)
    except ValueError as error:
        assert wet and IMPOSSIBLE in str(error)
        assert wet < 1 or not np.array_equal(read(kind, residues, count), symbols)
    else:
        assert changes.shape == (samples,) and changes.dtype == np.uint8
        assert np.isfinite(costs[changes, np.arange(samples)]).all()
        found = read(kind, (residues + changes) % kind[0], count)
        assert found.dtype == np.uint8 and np.array_equal(found, symbols)
    assert np.array_equal(residues, before[0]) and np.array_equal(costs, before[1])


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([*KINDS, *SHIPPED]), sizes(), st.integers(0))
def test_what_samples_say_is_as_written_out(kind, size, seed):
    (residues, _), count = draw(kind, size[0], 0, seed), size[1]
    assert read(kind, residues, count).tolist() == by_hand.said(*kind, residues, count)


@pytest.mark.parametrize("kind", SHIPPED)
def test_long_messages_are_as_written_out(kind):
    """More segments than are gone through together, and symbols than are added at once."""
    residues, _ = draw(kind, 70_001, 0)
    for count in (70_001, 51_234, 333):
        assert read(kind, residues, count).tolist() == by_hand.said(*kind, residues, count)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(2, 1), (2, 3), (3, 1), (3, 2), (3, 3), (4, 2)]),
    st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    st.sampled_from([0, 0.4, 0.8]),
    st.integers(0),
)
def test_no_change_is_cheaper(kind, size, wet, seed):
    """Of all there are; nor is there any where none was found."""
    (base, _), (samples, count) = kind, size
    residues, symbols = draw(kind, samples, count, seed)
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 50, (base, samples)).astype(np.float32)
    costs[rng.random(costs.shape) < wet] = np.inf
    least = min(
        sum(costs[change, i] for i, change in enumerate(changes))
        for changes in itertools.product(range(base), repeat=samples)
        if by_hand.said(*kind, residues + np.array(changes), count) == symbols.tolist()
    )
    if np.isinf(least):
        with pytest.raises(ValueError, match=IMPOSSIBLE):
            embed(kind, residues, costs, symbols)
    else:
        changes = embed(kind, residues, costs, symbols)
        assert costs[changes, np.arange(samples)].sum() == least


@pytest.mark.parametrize("kind", SHIPPED)
def test_wet_samples_among_many(kind):
    """Each fifth sample may not change: there is a way around them, and it is not far."""
    residues, symbols = draw(kind, 20_000, 8_000)
    costs = squares(kind[0], 20_000)
    free = embed(kind, residues, costs, symbols)
    costs[1:, ::5] = np.inf
    changes = embed(kind, residues, costs, symbols)
    assert not changes[::5].any()
    assert np.array_equal(read(kind, (residues + changes) % kind[0], 8_000), symbols)
    price = [squares(kind[0], 20_000)[found, np.arange(20_000)].sum() for found in (free, changes)]
    assert price[0] < price[1] < 1.5 * price[0]


@pytest.mark.parametrize("kind", [(2, 4), *SHIPPED])
@pytest.mark.parametrize("samples, symbols", [(20_000, 20), (4_003, 3), (1_333, 1)])
def test_of_samples_that_count_together_the_cheapest_changes(kind, samples, symbols):
    (residues, _), (several, _) = draw(kind, samples, 0), by_hand.parts(samples, symbols)
    symbols = (read(kind, residues, symbols) + 1) % kind[0]
    assert several > 15
    costs = np.random.default_rng(1).random((kind[0], samples), np.float32)
    costs[0] = 0
    changes = embed(kind, residues, costs, symbols.astype(np.uint8))
    assert np.array_equal(read(kind, (residues + changes) % kind[0], len(symbols)), symbols)
    changed = np.flatnonzero(changes)
    assert 0 < len(changed) <= 16 * len(symbols)
    assert len(set(changed // several)) == len(changed)
    for place in changed:
        together = slice(place // several * several, (place // several + 1) * several)
        change = changes[place]
        assert costs[change, together].min() == costs[change, place]


@pytest.mark.parametrize("value", [0, 1])
def test_few_symbols_of_many_samples(value):
    """Their sum is not rounded, however large."""
    residues = np.full(30_000_000, 2 - value, np.uint8)
    residues[::1000] = 1
    symbols = np.uint8([2, 0, 1])
    costs = squares(3, 1)
    changes = Trellis(3, 5).embed(
        residues, lambda some: np.broadcast_to(costs, (3, some.stop - some.start)), symbols
    )
    assert np.count_nonzero(changes) <= 3
    assert np.array_equal(read((3, 5), (residues + changes) % 3, 3), symbols)


@pytest.mark.parametrize("kind", SHIPPED)
def test_neither_threads_nor_batches_change_a_choice(kind, monkeypatch):
    residues, symbols = draw(kind, 40_000, 12_345)
    costs = np.random.default_rng(2).random((kind[0], 40_000), np.float32)
    costs[0] = 0
    wanted = embed(kind, residues, costs, symbols)
    monkeypatch.setattr(trellis, "TOGETHER", 7)
    for threads in (1, 2, 4):
        monkeypatch.setattr(workers, "THREADS", threads)
        assert np.array_equal(embed(kind, residues, costs, symbols), wanted)
        found = read(kind, (residues + wanted) % kind[0], 12_345)
        assert np.array_equal(found, symbols)


@pytest.mark.parametrize(
    "kind, bits, floor",
    [
        ((3, 5), 0.3, 60.4),
        ((3, 5), 1.0, 53.8),
        ((3, 5), 1.45, 51.0),
        ((7, 3), 1.585, 50.0),
        ((7, 3), 2.0, 47.5),
        ((7, 3), 2.32, 45.7),
        ((11, 3), 3.0, 41.6),
        ((19, 2), 4.0, 35.2),
    ],
)
def test_how_much_a_cover_changes(kind, bits, floor):
    """In dB: all are near what theory allows, and none of them is above it."""
    base, samples = kind[0], 60_000
    residues, symbols = draw(kind, samples, int(samples * bits / np.log2(base)))
    changes = embed(kind, residues, squares(base, samples), symbols).astype(int)
    changes = np.where(changes > base // 2, changes - base, changes)
    cover = np.full((1, 100, 200, 3), 128, np.uint8)
    found = psnr(cover, cover + changes.astype(np.uint8).reshape(cover.shape))[0]
    assert floor <= found < bound(bits)
    assert abs(changes.mean()) < 0.02 * base


def bound(bits):
    """PSNR in dB of changes whose entropy is so many bits, if they err least for that."""
    steps, entropy = np.arange(-300, 301), 0
    scales = np.geomspace(0.01, 300, 20_000)
    for scale in scales:
        share = np.exp(-(steps**2) / scale)
        share /= share.sum()
        entropy = -(share * np.log2(share, where=share > 0, out=np.zeros(601))).sum()
        if entropy >= bits:
            return 10 * np.log10(255**2 / (share * steps**2).sum())


def test_no_symbols_change_nothing():
    for kind in SHIPPED:
        residues, symbols = draw(kind, 500, 0)
        assert not embed(kind, residues, squares(kind[0], 500), symbols).any()
        assert read(kind, residues, 0).shape == (0,)
        said = read(kind, residues, 300)  # and what samples say already costs nothing
        assert not embed(kind, residues, squares(kind[0], 500), said).any()


def test_more_symbols_than_samples_are_refused():
    residues, symbols = draw((3, 4), 100, 101)
    with pytest.raises(ValueError, match="100 samples cannot say 101 symbols"):
        embed((3, 4), residues, squares(3, 100), symbols)
    with pytest.raises(ValueError, match="100 samples cannot say 101 symbols"):
        read((3, 4), residues, 101)


@pytest.mark.parametrize("kind", [(1, 4), (0, 2), (129, 1), (3, 0), (5, -1)])
def test_no_such_trellis(kind):
    with pytest.raises(ValueError, match=f"no trellis of base {kind[0]} and memory {kind[1]}"):
        Trellis(*kind)


@pytest.mark.parametrize("kind", KINDS)
def test_columns(kind):
    """The first and last weights have inverses, so that any message can be said."""
    base, memory = kind
    columns = _columns(Trellis(*kind))[:32]
    assert columns.shape == (32, memory) and columns.min() >= 0 and columns.max() < base
    assert {gcd(int(weight), base) for weight in columns[:, [0, -1]].reshape(-1)} == {1}
    if kind in SHIPPED:
        assert columns.tolist() == [by_hand.column(*kind, row) for row in range(32)]


GOLDEN = {
    (3, 5): "169b410960af0427",
    (7, 3): "8d341e9256f670a2",
    (11, 3): "2fbb914f8b8c8931",
    (19, 2): "c7cc6066c6afb628",
    (3, 6): "d84a3336b249928f",
}


@pytest.mark.parametrize("kind", SHIPPED)
def test_the_choice_is_the_same_on_every_machine(kind):
    """Also between equally cheap ones."""
    base, samples, found = kind[0], 9_999, hashlib.sha256()
    mixed = np.arange(samples * base, dtype=np.uint64) * np.uint64(2654435761) % 2**32 >> 9
    residues = (mixed[:samples] % base).astype(np.uint8)
    costs = squares(base, samples) * (1 + mixed % 5).reshape(base, samples).astype(np.float32)
    for count in (9_999, 4_321, 99):
        symbols = (mixed[-count:] // base % base).astype(np.uint8)
        found.update(embed(kind, residues, costs, symbols).tobytes())
    assert found.hexdigest()[:16] == GOLDEN[kind]
