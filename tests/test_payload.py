import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from steglib import metrics
from steglib.payload import (
    BASES,
    JPEG,
    RAW,
    Payload,
    PayloadError,
    capacity,
    embed,
    expected_psnr,
    extract,
)

# k digits ↔ m bits: a part of the format, so written files depend on it.
GROUPS = {2: (64, 64), 3: (36, 57), 4: (32, 64), 5: (25, 58), 6: (24, 62), 7: (20, 56)}
GROUPS |= {8: (21, 63), 9: (18, 57), 10: (19, 63), 11: (11, 38), 12: (12, 43), 13: (10, 37)}
GROUPS |= {14: (15, 57), 15: (10, 39), 16: (16, 64)}


def draw(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def draw_bytes(length, seed=1):
    return np.random.default_rng(seed).bytes(length)


@pytest.fixture(scope="module")
def stego():
    """Filled to the last byte, at base 5."""
    return embed(draw((16, 24, 3)), draw_bytes(capacity((16, 24, 3), 5)), 5)


def with_byte(stego, index, value):
    """`stego` with another byte in its preamble."""
    changed = stego.copy()
    samples = changed.reshape(-1)[8 * index : 8 * index + 8]
    samples[:] = samples & 254 | np.unpackbits(np.uint8([value]), bitorder="little")
    return changed


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(BASES),
    st.tuples(st.integers(7, 24), st.integers(7, 24), st.just(3)),
    st.sampled_from(["black", "white", "random"]),
    st.integers(0, 2**32),
)
def test_every_length_around_the_capacity_comes_back(base, shape, kind, seed):
    cover = {"black": np.zeros, "white": lambda *a: ~np.zeros(*a), "random": None}[kind]
    cover = cover(shape, np.uint8) if cover else draw(shape, seed)
    room = capacity(shape, base)
    for length in {0, 1, 7, 8, room // 2, *range(max(0, room - 9), room + 1)}:
        if length <= room:
            for data in (draw_bytes(length, seed), b"\xff" * length):
                stego = embed(cover, data, base, JPEG, (3, 65535))
                assert stego.shape == shape and stego.dtype == np.uint8
                assert extract(stego) == Payload(data, base, JPEG, (3, 65535))
    with pytest.raises(ValueError, match=f"^{room + 1} bytes do not fit.* carries {room},"):
        embed(cover, bytes(room + 1), base)


@pytest.mark.parametrize("base", [2, 5, 13])
def test_large_images_are_converted_in_parts(base):
    cover = draw((1500, 1000, 3))
    for length in (capacity(cover.shape, base), 400_001):
        data = draw_bytes(length)
        assert extract(embed(cover, data, base)) == Payload(data, base, RAW, (1500, 1000))


@pytest.mark.parametrize("base", BASES)
def test_format_version_1(base):
    """Written out once more, with Python's integers: files that exist must remain readable."""
    cover, data, (k, m) = draw((20, 20, 3)), draw_bytes(97), GROUPS[base]
    header = b"sg" + struct.pack(">BBIHH", 0x10, (base - 1) * 16 + JPEG, 97, 300, 200)
    preamble = header + struct.pack(">I", zlib.crc32(header + data))
    samples = embed(cover, data, base, JPEG, (300, 200)).reshape(-1).tolist()
    assert sum((x % 2) << i for i, x in enumerate(samples[:128])) == int.from_bytes(
        preamble, "little"
    )
    for start in range(0, 97 * 8, m):
        value = (int.from_bytes(data, "little") >> start) % 2**m
        digits = [x % base for x in samples[128 + start // m * k :][:k]]
        if start + m > 97 * 8:
            needed = next(n for n in range(k + 1) if base**n >= 2 ** (97 * 8 - start))
            assert len(set(digits[needed:])) > 1 or k - needed < 8  # no zeros: nothing stands out
            digits = digits[:needed]
        assert sum(x * base**i for i, x in enumerate(digits)) == value


@pytest.mark.parametrize("base", BASES)
def test_every_sample_moves_to_the_nearest_value(base):
    cover = np.arange(256, dtype=np.uint8).repeat(60).reshape(64, 80, 3)
    stego = embed(cover, draw_bytes(1900), base)
    samples = zip(cover.reshape(-1).tolist(), stego.reshape(-1).tolist(), strict=True)
    for i, (before, after) in enumerate(samples):
        radix = base if i >= 128 else 2
        assert abs(after - before) == min(
            abs(value - before) for value in range(after % radix, 256, radix)
        )


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("full", [True, False])
def test_mean_change_is_as_expected(base, full):
    """Also where there are no data; and ties make an image neither brighter nor darker."""
    cover = draw((256, 256, 3)) // 2 + np.uint8(64)
    stego = embed(cover, draw_bytes(full * capacity(cover.shape, base)), base)
    assert metrics.psnr(cover[None], stego[None])[0] == pytest.approx(expected_psnr(base), abs=0.1)
    assert abs((stego.astype(float) - cover).mean()) < 0.015 * base


def test_expected_psnr_is_that_of_all_digits():
    for base in BASES:
        steps = np.arange(base) - (base - 1) // 2
        wanted = metrics.psnr(np.full((1, 1, base, 1), 99.0), 99 + steps[None, None, :, None])[0]
        assert expected_psnr(base) == pytest.approx(wanted)


def test_capacity():
    for base in BASES:
        bits, digits = 8 * capacity((500, 400, 3), base), 500 * 400 * 3 - 128
        assert 0.985 <= bits / (digits * np.log2(base)) <= 1
        assert capacity((1, 42, 3), base) == capacity((1, 43, 3), base) == 0
    assert capacity((64, 64, 3), 2) == 1520
    assert capacity((64, 64, 3), 5) == 3526


def test_digits_after_the_data_are_random_and_reproducible():
    cover = np.full((32, 32, 3), 100, np.uint8)
    stego = embed(cover, b"few", 8)
    counts = np.bincount(stego.reshape(-1)[256:] % 8, minlength=8)
    assert counts.min() > 0.7 * counts.mean()
    assert np.array_equal(stego, embed(cover, b"few", 8))
    assert not np.array_equal(stego[4:], embed(cover, b"two", 8)[4:])


def test_a_view_is_a_cover():
    cover = draw((40, 30, 3))
    assert np.array_equal(
        embed(cover[::2, ::-1], b"data", 5), embed(cover[::2, ::-1].copy(), b"data", 5)
    )
    assert np.array_equal(cover, draw((40, 30, 3)))


def test_wrong_arguments_are_refused():
    cover = draw((16, 16, 3))
    for base in (0, 1, 17, 2.5, None):
        with pytest.raises(ValueError, match="base must lie in 2…16, not"):
            embed(cover, b"", base)
        with pytest.raises(ValueError, match="base"):
            capacity(cover.shape, base)
    for size in ((0, 5), (5, 65536), (-1, 5)):
        with pytest.raises(ValueError, match=f"1…65535.*: not {size[0]} × {size[1]}"):
            embed(cover, b"", 5, size=size)
    with pytest.raises(ValueError, match="Format"):
        embed(cover, b"", 5, codec=6)
    with pytest.raises(ValueError, match="6 × 7 pixels"):
        embed(draw((6, 7, 3)), b"", 5)
    for wrong in (cover[None], cover[0]):
        with pytest.raises(ValueError, match="one image"):
            embed(wrong, b"", 5)
    for function in (extract, lambda image: embed(image, b"", 5)):
        with pytest.raises(ValueError, match="uint8"):
            function(cover / 255)
        with pytest.raises(ValueError, match="shape"):
            function(cover[..., :2])
    assert extract(embed(cover, b"x", np.int64(16))).data == b"x"


def test_images_that_hide_nothing(stego, pairs):
    file = io.BytesIO()
    Image.fromarray(stego).save(file, "JPEG", quality=98)
    plain = [*pairs[0], np.zeros((9, 9, 3), np.uint8), draw((1, 1, 3)), stego[1:], stego[:, 1:]]
    for image in [*plain, np.asarray(Image.open(file))]:
        with pytest.raises(PayloadError, match="hides nothing"):
            extract(image)


def test_preambles_of_other_versions_and_impossible_ones(stego):
    for index, value, match in (
        (2, 0x20, "Another version.* format 2"),
        (2, 0x11, "makes no sense"),  # protected, but not spread
        (2, 0x14, "Another version.* level 4"),
        (3, 0x46, "Another version.* codec 6"),
        (3, 0x00, "makes no sense"),
        (4, 0xFF, "cropped or damaged.* room for"),
        (8, 0x01, "changed after hiding"),
        (15, stego[1, 16, 0] ^ 1, "changed after hiding"),
    ):
        with pytest.raises(PayloadError, match=match):
            extract(with_byte(stego, index, value))


def test_one_changed_sample_is_noticed(stego):
    few = embed(stego, draw_bytes(99), 16)  # its data take 198 digits, those of stego 1021
    for image, digits in ((stego, 1021), (few, 198)):
        for i in [*range(96, 160), *range(160, 128 + digits, 17), 128 + digits - 1]:
            changed = image.copy()
            changed.reshape(-1)[i] ^= 1
            with pytest.raises(PayloadError, match="changed after hiding"):
                extract(changed)


def test_cropped_images_are_noticed(stego):
    wide = embed(draw((8, 60, 3)), bytes(range(100)), 3)
    for cropped, match in (
        (stego[:-1], "cropped"),
        (wide[:3], "cropped"),
        (wide[:, :-1], "changed after hiding"),
    ):
        with pytest.raises(PayloadError, match=match):
            extract(cropped)
    assert extract(wide[:4]).data == bytes(range(100))  # all that it holds is still there


@settings(deadline=None, max_examples=300)
@given(st.binary(min_size=13, max_size=13), st.integers(0, 2**32))
def test_garbage_raises_nothing_else(rest, seed):
    image = draw((8, 8, 3), seed)
    for index, value in enumerate(b"sg\x10" + rest):
        image = with_byte(image, index, value)
    with pytest.raises(PayloadError):
        extract(image)
