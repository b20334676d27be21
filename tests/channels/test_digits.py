import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steglib.channels.digits import (
    BASES,
    bytes_in,
    check_base,
    chunks,
    collect,
    digits_for,
    fill,
    group,
)
from steglib.channels.seal import DRAWN, Seal

# k digits ↔ m bits: a part of the format, so written files depend on it.
GROUPS = {2: (64, 64), 3: (36, 57), 4: (32, 64), 5: (25, 58), 6: (24, 62), 7: (20, 56)}
GROUPS |= {8: (21, 63), 9: (18, 57), 10: (19, 63), 11: (11, 38), 12: (12, 43), 13: (10, 37)}
GROUPS |= {14: (15, 57), 15: (10, 39), 16: (16, 64), 19: (13, 55)}  # the last for a trellis


def filled(data, count, base, seal=None, seed=0):
    digits = np.full(count, 255, np.uint8)
    for part, found in fill(data, count, base, np.random.default_rng(seed), seal):
        digits[part] = found
    return digits


def collected(digits, base, length, seal=None, strict=False):
    parts = (digits[part] for part in chunks(len(digits), base))
    return collect(parts, base, length, seal, strict)


def fresh():
    return Seal(b"key", bytes(range(DRAWN)))


def test_groups():
    assert {base: group(base) for base in (*BASES, 19)} == GROUPS


@pytest.mark.parametrize("base", GROUPS)
def test_room_and_need_agree(base):
    for length in (*range(200), 10_000, 1_234_567):
        count = digits_for(length, base)
        assert bytes_in(count, base) >= length > bytes_in(count - 1, base)
        assert count * np.log2(base) < 8 * length * 1.015 + 2 * np.log2(base)
    assert bytes_in(-1, base) == -1


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([*GROUPS]), st.binary(max_size=90), st.integers(0, 60), st.integers(0))
def test_bytes_come_back(base, data, more, seed):
    digits = filled(data, digits_for(len(data), base) + more, base, seed=seed)
    assert digits.max(initial=0) < base
    assert collected(digits, base, len(data)) == data


@pytest.mark.parametrize("base", GROUPS)
@pytest.mark.parametrize("length", [0, 1, 99, 300_001])
def test_without_noise_digits_end_with_the_data(base, length):
    data, count = np.random.default_rng(length).bytes(length), digits_for(length, base)
    digits = np.full(count + 600_000, 255, np.uint8)
    for part, found in fill(data, len(digits), base, None):
        digits[part] = found
    assert digits[:count].max(initial=0) < base and (digits[count:] == 255).all()
    assert collected(digits[:count], base, length) == data


def test_digits_after_the_data_are_noise():
    digits = filled(b"few", 9_999, 8)[digits_for(3, 8) :]
    counts = np.bincount(digits, minlength=8)
    assert 0.8 * counts.max() < counts.min()
    assert np.array_equal(digits, filled(b"few", 9_999, 8)[digits_for(3, 8) :])


@pytest.mark.parametrize("base", [2, 5, 13])
@pytest.mark.parametrize("sealed", [False, True])
def test_many_digits_go_in_parts(quick_scrypt, base, sealed):
    assert len(chunks(3_000_000, base)) > 1
    for length in (bytes_in(3_000_000, base), 300_001, 0):
        data = np.random.default_rng(length).bytes(length)
        digits = filled(data, 3_000_000, base, fresh() if sealed else None)
        assert collected(digits, base, length, fresh() if sealed else None, sealed) == data


def test_strict_reading_accepts_only_what_was_written(quick_scrypt):
    """Neither another digit after the data, nor other spare bits in their last one."""
    for base, data in ((8, b"x"), (5, b"xyz"), (3, b"")):
        digits = filled(data, 150, base, fresh())
        assert collected(digits, base, len(data), fresh(), True) == data
        for i in range(len(digits)):
            for more in range(1, base):
                changed = digits.copy()
                changed[i] = (changed[i] + more) % base
                found = collected(changed, base, len(data), fresh(), True)
                assert found is None or found != data
                assert i < digits_for(len(data), base) or found is None


def test_other_bases_are_refused():
    for base in (0, 1, 17, 2.5, None):
        with pytest.raises(ValueError, match=f"base must lie in 2…16, not {base}"):
            check_base(base)
    assert type(check_base(np.int64(16))) is int
