import io
import math
import struct
import zlib
from types import SimpleNamespace

import by_hand
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from steglib.channels import residues
from steglib.channels import seal as sealing
from steglib.channels.digits import bytes_in, digits_for, group
from steglib.channels.frame import Kind, Layout, Payload, PayloadError
from steglib.channels.parity import correct_head, grid
from steglib.channels.residues import BASES, ResidueChannel, expected_psnr
from steglib.channels.trellis import Trellis
from steglib.evaluation import metrics
from steglib.images.damage import damaged

KEY = b"pass phrase"
SOME_BASES = 2, 3, 5, 6, 8, 12, 16
RATES = 0.3, 1.0, 1.45, 2.0, 2.32, 3.0, 4.0
TRELLISES = [(1.47, 3, 5), (2.6, 7, 3), (3.3, 11, 3), (4.0, 19, 2)]  # up to a rate


def channel(code, key=None, level=0):
    """Of a rate, or of a base if that is a whole number."""
    base, rate = (None, code) if isinstance(code, float) else (code, None)
    return ResidueChannel(base, key, level, rate)


def capacity(shape, code, sealed=False, level=0):
    return channel(code, KEY if sealed else None, level).capacity(shape)


def embed(cover, data, code, kind=Kind.RAW, size=None, key=None, level=0):
    return channel(code, key, level).write(cover, data, kind, size)


def extract(stego, key=None):
    return ResidueChannel(key=key).read(stego)


def in_order(samples, level):
    """The head's first, then the body's."""
    return residues._in_order(samples, Layout(5, level=level))


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


COVERS = {"black": lambda shape, _: np.zeros(shape, np.uint8), "random": draw}
COVERS |= {"white": lambda shape, _: np.full(shape, 255, np.uint8)}


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(BASES),
    st.tuples(st.integers(7, 24), st.integers(7, 24), st.just(3)),
    st.sampled_from(list(COVERS.values())),
    st.integers(0, 2**32),
)
def test_every_length_around_the_capacity_comes_back(base, shape, make, seed):
    cover, room = make(shape, seed), capacity(shape, base)
    for length in {0, 1, 7, 8, room // 2, *range(max(0, room - 9), room + 1)}:
        if length <= room:
            for data in (draw_bytes(length, seed), b"\xff" * length):
                stego = embed(cover, data, base, Kind.JPEG, (3, 65535))
                assert stego.shape == shape and stego.dtype == np.uint8
                assert extract(stego) == Payload(data, Kind.JPEG, (3, 65535), Layout(base))
    with pytest.raises(ValueError, match=f"^{room + 1} bytes do not fit.* carries {room},"):
        embed(cover, bytes(room + 1), base)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(RATES) | st.floats(0.01, 4),
    st.tuples(st.integers(7, 24), st.integers(7, 24), st.just(3)),
    st.sampled_from(list(COVERS.values())),
    st.integers(0, 2**32),
)
def test_every_length_comes_back_at_any_rate(rate, shape, make, seed):
    """By the trellis that changes least, of those with room for it."""
    cover, room = make(shape, seed), capacity(shape, rate)
    for length in {0, 1, room // 3, room - 1, room} & {*range(room + 1)}:
        found = extract(embed(cover, draw_bytes(length, seed), rate, Kind.JPEG, (3, 65535)))
        used = 8 * length / (cover.size - 128)
        base, memory = next((q, m) for most, q, m in TRELLISES if used <= most)
        wanted = Payload(
            draw_bytes(length, seed), Kind.JPEG, (3, 65535), Layout(base, memory=memory)
        )
        assert found == wanted
    with pytest.raises(ValueError, match=f"^{room + 1} bytes do not fit.* carries {room},"):
        embed(cover, bytes(room + 1), rate)


def preamble(version, codes, data, height, width):
    header = b"sg" + struct.pack(">BBIHH", version, codes, len(data), height, width)
    return header + struct.pack(">I", zlib.crc32(header + data))


def said_in(digits, base, length):
    """The bytes that digits say, with Python's integers."""
    (k, m), whole = group(base), 0
    for start in range(0, len(digits), k):
        value = sum(x * base**i for i, x in enumerate(digits[start : start + k]))
        whole |= value % 2**m << start // k * m
    return (whole % 2 ** (8 * length)).to_bytes(length, "little")


@pytest.mark.parametrize("base", BASES)
def test_format_version_2(base):
    """Written out once more, with Python's integers: files that exist must remain readable."""
    cover, data = draw((20, 20, 3)), draw_bytes(97)
    stego = embed(cover, data, base, Kind.JPEG, (300, 200)).reshape(-1).tolist()
    head = sum((x % 2) << i for i, x in enumerate(stego[:128])).to_bytes(16, "little")
    assert head == preamble(0x20, (base - 1) * 16 + Kind.JPEG, data, 300, 200)
    end = 128 + digits_for(97, base)
    assert said_in([x % base for x in stego[128:end]], base, 97) == data
    assert stego[end:] == cover.reshape(-1)[end:].tolist()


@pytest.mark.parametrize("number, rate, base, memory", [(i, *t) for i, t in enumerate(TRELLISES)])
def test_format_version_2_with_a_trellis(number, rate, base, memory):
    cover = draw((40, 50, 3))
    data = draw_bytes(capacity(cover.shape, rate))
    stego = embed(cover, data, rate, Kind.JPEG, (300, 200)).reshape(-1)
    head = np.packbits(stego[:128] % 2, bitorder="little").tobytes()
    assert head == preamble(0x24, number * 16 + Kind.JPEG, data, 300, 200)
    digits = by_hand.said(base, memory, stego[128:] % base, digits_for(len(data), base))
    assert said_in(digits, base, len(data)) == data


@pytest.mark.parametrize("base", BASES)
def test_every_sample_moves_to_the_nearest_value(base):
    """Where there are data; others stay."""
    cover = np.arange(256, dtype=np.uint8).repeat(60).reshape(64, 80, 3)
    stego, end = embed(cover, draw_bytes(1900), base), 128 + digits_for(1900, base)
    samples = zip(cover.reshape(-1).tolist(), stego.reshape(-1).tolist(), strict=True)
    for i, (before, after) in enumerate(samples):
        radix = 2 if i < 128 else base if i < end else 256
        assert abs(after - before) == min(
            abs(value - before) for value in range(after % radix, 256, radix)
        )


@pytest.mark.parametrize("base", BASES)
def test_mean_change_is_as_expected(base):
    """And ties make an image neither brighter nor darker."""
    cover = draw((256, 256, 3)) // 2 + np.uint8(64)
    stego = embed(cover, draw_bytes(capacity(cover.shape, base)), base)
    assert metrics.psnr(cover[None], stego[None])[0] == pytest.approx(expected_psnr(base), abs=0.1)
    assert abs((stego.astype(float) - cover).mean()) < 0.015 * base


@pytest.mark.parametrize("base", [2, 5, 16])
def test_expected_psnr_of_a_cover(base):
    """Black and white samples have one way to go only."""
    cover = np.where(draw((128, 128, 3)) < 128, draw((128, 128, 3), 1), np.uint8(255))
    stego = embed(cover, draw_bytes(capacity(cover.shape, base)), base)
    psnr = metrics.psnr(cover[None], stego[None])[0]
    assert expected_psnr(base, cover) == pytest.approx(psnr, abs=0.1)
    assert expected_psnr(base, cover) <= expected_psnr(base) - 0.5 * (base > 2)
    assert expected_psnr(base, cover % 100 + 50) == pytest.approx(expected_psnr(base))


def test_expected_psnr_is_that_of_all_digits():
    for base in BASES:
        steps = np.arange(base) - (base - 1) // 2
        wanted = metrics.psnr(np.full((1, 1, base, 1), 99.0), 99 + steps[None, None, :, None])[0]
        assert expected_psnr(base) == pytest.approx(wanted)


@pytest.mark.parametrize("rate, base", [(1.0, 2), (1.45, 3), (2.0, 4), (2.32, 5), (3.0, 8)])
def test_a_trellis_changes_less_than_digits(rate, base):
    """With as many data."""
    cover = draw((100, 128, 3)) // 2 + np.uint8(64)
    data = draw_bytes(capacity(cover.shape, rate))
    assert len(data) <= capacity(cover.shape, base)
    stego = embed(cover, data, rate)
    psnr = metrics.psnr(cover[None], stego[None])[0]
    assert psnr > expected_psnr(base) + 0.7
    assert abs((stego.astype(float) - cover).mean()) < 0.02


def test_black_and_white_change_one_way_only():
    """Which costs more: where a choice is left, others change instead."""
    cover = draw((100, 128, 3)) // 2 + np.uint8(64)
    cover[:, ::2] = [[0], [255]] * 32
    stego = embed(cover, draw_bytes(capacity(cover.shape, 1.0)), 1.0)
    change = np.abs(stego.astype(int) - cover)
    shares = [np.mean(change[:, start::2] > 0) for start in (0, 1)]
    assert change.max() <= 2 and 0.1 < shares[0] < 0.7 * shares[1]
    assert metrics.psnr(cover[None], stego[None])[0] > 53


def test_capacity():
    for base in BASES:
        bits, digits = 8 * capacity((500, 400, 3), base), 500 * 400 * 3 - 128
        assert 0.985 <= bits / (digits * np.log2(base)) <= 1
        assert capacity((1, 42, 3), base) == capacity((1, 43, 3), base) == 0
    assert capacity((64, 64, 3), 2) == 1520
    assert capacity((64, 64, 3), 5) == 3526
    for rate in (0.001, *RATES):
        assert capacity((500, 400, 3), rate) == int((500 * 400 * 3 - 128) * rate / 8)
        assert capacity((1, 42, 3), rate) == capacity((1, 43, 3), rate) == 0
    assert ResidueChannel().capacity((64, 64, 3)) == capacity((64, 64, 3), 2.32)


def test_wrong_rates():
    for rate in (0, 0.0, -1, 4.01, 17, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"rate must lie above 0 and up to 4, not {rate}"):
            ResidueChannel(rate=rate)
    with pytest.raises(ValueError, match=r"a base, for plain digits, or a rate.*: not both"):
        ResidueChannel(3, rate=1.0)
    assert [channel(code).name for code in (5, 1.45, 2.0)] == [
        "base 5", "1.45 bits a sample", "2 bits a sample"
    ]  # fmt: skip


@pytest.mark.parametrize("code", [2, 5, 16, 2.32, 4.0])
def test_fewer_data_change_fewer_samples(code):
    """None of those without data; and equal arguments give equal images."""
    cover = np.full((64, 64, 3), 100, np.uint8)
    changed = []
    for length in (0, 3, 50, 400, capacity(cover.shape, code)):
        stego = embed(cover, draw_bytes(length), code)
        assert np.array_equal(stego, embed(cover, draw_bytes(length), code))
        assert np.abs(stego.reshape(-1)[:128].astype(int) - 100).max() == 1
        changed.append(np.count_nonzero(stego.reshape(-1)[128:] != 100))
        assert changed[-1] <= 8 * length
    assert changed[0] == 0 and changed == sorted(set(changed))


def test_images_that_hide_nothing(stego, pairs):
    file = io.BytesIO()
    Image.fromarray(stego).save(file, "JPEG", quality=98)
    plain = [*pairs[0], np.zeros((9, 9, 3), np.uint8), draw((1, 1, 3)), stego[1:], stego[:, 1:]]
    for image in [*plain, np.asarray(Image.open(file))]:
        with pytest.raises(PayloadError, match="hides nothing"):
            extract(image)


def test_one_changed_sample_is_noticed(stego):
    few = embed(stego, draw_bytes(99), 16)  # its data take 198 digits, those of stego 1021
    for image, digits in ((stego, 1021), (few, 198)):
        for i in [*range(96, 160), *range(160, 128 + digits, 17), 128 + digits - 1]:
            changed = image.copy()
            changed.reshape(-1)[i] ^= 1
            with pytest.raises(PayloadError, match="changed after hiding"):
                extract(changed)


@pytest.mark.parametrize("rate, base, memory", TRELLISES)
def test_one_changed_sample_of_a_trellis_is_noticed(rate, base, memory):
    """Any that counts, by any change; only the spare bits of the last digits tell nothing."""
    cover = draw((16, 24, 3)) // 2 + np.uint8(64)
    data = draw_bytes(capacity(cover.shape, rate))
    stego, count = embed(cover, data, rate), digits_for(len(data), base)
    several, segments = by_hand.parts(cover.size - 128, count)
    last = 128 + several * sum(length for length, _ in segments)
    unnoticed = 0
    for i in range(96, cover.size, 7):
        changed = stego.copy()
        changed.reshape(-1)[i] += 1 + i % (base - 1) if i >= 128 else 1
        try:
            assert extract(changed).data == data
            unnoticed += i < last
        except PayloadError as error:
            assert "changed after hiding" in str(error) and i < last
    assert unnoticed < 5


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


@pytest.mark.parametrize("code", [5, 2.32, 4.0])
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("level", range(4))
def test_covers_around_the_least(quick_scrypt, code, key, level):
    """Where nothing fits, not even no data, is nothing written; a little more, and all is well."""
    sealed, fits = key is not None, []
    for width in range(20, 860, 2):
        cover, room = draw((1, width, 3)), capacity((1, width, 3), code, sealed, level)
        if room < 17 and (level == 0 or width > 679):
            try:
                stego = embed(cover, bytes(room), code, key=key, level=level)
            except ValueError as error:
                assert "do not fit" in str(error) and room == 0 and not any(fits)
                fits.append(False)
            else:
                assert extract(stego, key).data == bytes(room)
                fits.append(True)
    assert True in fits and False in fits


def test_capacity_with_key_and_level():
    shape = (64, 64, 3)
    assert capacity(shape, 5, sealed=True) == 3526 - 16 - 68 + 1  # a tag, and 29 bytes of head
    for base in BASES:
        rooms = [capacity((200, 200, 3), base, level=level) for level in range(4)]
        for room, share in zip(rooms[1:], (7 / 8, 3 / 4, 1 / 2), strict=True):
            room_after_the_head = rooms[0] - 239 * np.log2(base)
            assert 0.98 * share < room / room_after_the_head <= 1.02 * share
        for level in (1, 2, 3):
            assert capacity((200, 200, 3), base, True, level) == rooms[level] - 16
            assert capacity((1, 679, 3), base, level=level) == 0
    for rate in RATES:
        rooms = [capacity((200, 200, 3), rate, level=level) for level in range(4)]
        for level, share in enumerate((1, 7 / 8, 3 / 4, 1 / 2)):
            room = (120_000 - 8 * (255 if level else 16)) * rate / 8
            assert 0.97 * share < rooms[level] / room <= 1.02 * share
            sealed = capacity((200, 200, 3), rate, True, level)
            head = 0 if level else 29 * rate  # which is the same with parity
            assert sealed == pytest.approx(rooms[level] - 16 - head, abs=1)
    for level in (-1, 4, 0.5, None):
        with pytest.raises(ValueError, match=f"level must lie in 0…3, not {level}"):
            capacity(shape, 5, level=level)
        with pytest.raises(ValueError, match="level"):
            embed(draw(shape), b"", 5, level=level)


@pytest.mark.parametrize("rate", [1.46, 2.59, 3.9])
def test_parity_for_a_little_more_room_may_leave_less(rate):
    """But what is said to fit does, whatever trellis says it."""
    for width in range(1005, 1560, 20):
        cover = draw((1, width, 3))
        data = draw_bytes(capacity(cover.shape, rate, level=1))
        assert extract(embed(cover, data, rate, level=1)).data == data


def test_sealed_with_the_real_cost():
    cover = draw((20, 20, 3))
    stego = embed(cover, b"data", 5, key=KEY)
    assert extract(stego, KEY).data == b"data"
    with pytest.raises(PayloadError, match="The key is wrong"):
        extract(stego, b"other")


@pytest.mark.parametrize(
    "base, shape, length",
    [(2, (14, 15, 3), 3), (5, (14, 15, 3), 15), (5, (14, 15, 3), 51), (16, (15, 14, 3), 30)],
)
def test_one_changed_sample_breaks_the_seal(quick_scrypt, base, shape, length):
    """Head, data, their end, and digits that carry nothing: any."""
    stego = embed(draw(shape) // 2 + np.uint8(64), draw_bytes(length), base, key=KEY)
    assert length <= capacity(shape, base, True)
    assert extract(stego, KEY).data == draw_bytes(length)
    for i in range(stego.size):
        changed = stego.copy()
        changed.reshape(-1)[i] ^= 1
        with pytest.raises(PayloadError):
            extract(changed, KEY)


@pytest.mark.parametrize("rate", [1.0, 2.32, 4.0])
@pytest.mark.parametrize("length", [3, 80])
def test_one_changed_sample_never_changes_what_is_sealed(quick_scrypt, rate, length):
    """It breaks the seal; but not where samples count for nothing, nor in spare bits."""
    stego = embed(draw((16, 24, 3)) // 2 + np.uint8(64), draw_bytes(length), rate, key=KEY)
    broken = 0
    for i in range(0, stego.size, 5):
        changed = stego.copy()
        changed.reshape(-1)[i] ^= 1
        try:
            assert extract(changed, KEY).data == draw_bytes(length)
        except PayloadError:
            broken += 1
    assert broken > 0.9 * stego.size / 5


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(BASES), st.booleans(), st.floats(0, 1), st.integers(0, 2**32))
def test_samples_without_data_stay(base, sealed, share, seed):
    """As they are; but a key masks the digits of all, so that nobody knows how much is hidden."""
    cover = draw((24, 20, 3), seed)
    data = draw_bytes(int(share * capacity(cover.shape, base, sealed)), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "COST", 16)
        patch.setattr(sealing, "os", SimpleNamespace(urandom=np.random.default_rng(seed).bytes))
        stego = embed(cover, data, base, key=KEY if sealed else None)
    end = (360 if sealed else 128) + digits_for(len(data) + 16 * sealed, base)
    stay = stego.reshape(-1)[end:] == cover.reshape(-1)[end:]
    if sealed and len(stay) > 300:
        assert stay.mean() == pytest.approx(1 / base, abs=0.12)
    elif not sealed:
        assert stay.all()


def test_spare_bits_are_sealed(quick_scrypt):
    """At base 8, the last digit of the data carries one bit or two."""
    for length in (0, 1, 3):
        stego = embed(draw((1, 145, 3)), draw_bytes(length), 8, key=KEY)
        for i in range(360, stego.size):
            for bit in (2, 4):
                changed = stego.copy()
                changed.reshape(-1)[i] ^= bit
                with pytest.raises(PayloadError):
                    extract(changed, KEY)


def test_one_changed_sample_breaks_the_seal_of_a_large_image(quick_scrypt):
    """Conversion goes in parts: with data in the first of two, and to the end."""
    cover = draw((700, 700, 3))
    for length in (9, capacity(cover.shape, 5, True)):
        stego = embed(cover, draw_bytes(length), 5, key=KEY)
        assert extract(stego, KEY).data == draw_bytes(length)
        last = digits_for(length + sealing.TAG, 5) + 360
        for i in (359, 360, last - 1, min(last, cover.size - 1), 819_559, 819_560, -26, -2, -1):
            changed = stego.copy()
            changed.reshape(-1)[i] ^= 1
            with pytest.raises(PayloadError):
                extract(changed, KEY)


def runs(stego, base, length):
    """All that many digits long."""
    digits = stego.reshape(-1) % base
    return {digits[i : i + length].tobytes() for i in range(len(digits) - length + 1)}


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("base, length", [(2, 64), (5, 28), (16, 16)])
def test_two_hides_share_no_run_of_digits(quick_scrypt, level, base, length):
    """Not one of 64 bits, at any two places: by chance, one in 10¹¹ pairs would share such."""
    covers = draw((40, 50, 3)), draw((40, 50, 3)), draw((40, 50, 3), 7)
    for data in (b"", bytes(range(200))):
        stegos = [embed(cover, data, base, key=KEY, level=level) for cover in covers]
        first, second, other = (runs(stego, base, length) for stego in stegos)
        assert len(first) == 6000 - length + 1  # nor does it repeat itself
        assert first.isdisjoint(second) and other.isdisjoint(first | second)
    stegos = [embed(cover, data, base, level=level) for cover in covers]
    first, second, other = (runs(stego, base, length) for stego in stegos)
    assert first == second and not first.isdisjoint(other)  # without a key


def test_ties_are_drawn_in_sealed_images_too(quick_scrypt, monkeypatch):
    """What is hidden does not decide them: that would tell it."""
    monkeypatch.setattr(sealing, "os", SimpleNamespace(urandom=bytes))
    one, two = (embed(draw((20, 20, 3)), b"data", 2, key=KEY) for _ in range(2))
    assert np.array_equal(one % 2, two % 2) and not np.array_equal(one, two)


@pytest.mark.parametrize("base, level", [*((base, 0) for base in SOME_BASES), (5, 2)])
def test_sealed_digits_are_uniform(quick_scrypt, monkeypatch, base, level):
    """All together, and those at each place in their group; however much an image hides."""
    rng = np.random.default_rng(base)  # no test that fails once in a while
    monkeypatch.setattr(sealing, "os", SimpleNamespace(urandom=rng.bytes))
    side, k = 110 if level else 420, group(base)[0]
    cover = np.full((side, side, 3), 130, np.uint8)
    room = capacity(cover.shape, base, True, level)
    for length in (0, room) if level else (0, room // 2, room):
        stego = embed(cover, b"\xff" * length, base, key=KEY, level=level)
        samples = in_order(stego.reshape(-1), level)
        start = 8 * 255 if level else 8 * 45
        digits = samples[start:] % base
        assert stats.chisquare(np.bincount(digits, minlength=base)).pvalue > 1e-6
        groups = digits[: len(digits) // k * k].reshape(-1, k)
        for place in groups.T:
            assert stats.chisquare(np.bincount(place, minlength=base)).pvalue > 1e-6
    heads = [embed(cover[:30, :30], b"", base, key=KEY, level=level) for _ in range(200)]
    bits = np.stack([in_order(head.reshape(-1), level)[:start] for head in heads]) % 2
    assert stats.binomtest(int(bits.sum()), bits.size).pvalue > 1e-6
    assert stats.chi2.sf(4 * (bits.sum(axis=0) - 100.0) ** 2 / 200, 1).min() > 1e-7  # of each


@pytest.mark.parametrize("rate, base, memory", TRELLISES)
def test_what_a_sealed_trellis_says_is_uniform(quick_scrypt, monkeypatch, rate, base, memory):
    """The cover's own residues are not, nor need they be."""
    rng = np.random.default_rng(base)
    monkeypatch.setattr(sealing, "os", SimpleNamespace(urandom=rng.bytes))
    cover = np.full((120, 120, 3), 130, np.uint8)
    data = b"\xff" * capacity(cover.shape, rate, True)
    stego = embed(cover, data, rate, key=KEY)
    assert extract(stego, KEY) == Payload(
        data, Kind.RAW, (120, 120), Layout(base, True, memory=memory)
    )
    residues = stego.reshape(-1)[360:] % np.uint8(base)
    digits = Trellis(base, memory).read(residues, digits_for(len(data) + 16, base))
    k = group(base)[0]
    for places in (digits, *digits[: len(digits) // k * k].reshape(-1, k).T):
        assert stats.chisquare(np.bincount(places, minlength=base)).pvalue > 1e-6
    assert stats.chisquare(np.bincount(residues, minlength=base)).pvalue < 1e-6


def limit(shape, code, level):
    """How many changed samples error correction promises to mend."""
    samples = math.prod(shape) - 2040
    room = int(samples * code / 8) if isinstance(code, float) else bytes_in(samples, code)
    return grid(room, level)[2] // 2


def in_one_word(stego, base, level, key):
    """Samples, each of which alone changes another byte of one code word if it grows by 1."""
    k, m = group(base)
    order = in_order(np.arange(stego.size), level)
    body = order[8 * 255 :]
    digits = stego.reshape(-1)[body].astype(int) % base
    if key:
        head = np.packbits(stego.reshape(-1)[order[:2040]] % 2, bitorder="little").tobytes()
        seal = sealing.Seal(key, correct_head(head)[: sealing.DRAWN])
        seal.mask(bytes(16))
        digits = (digits - seal.digits(len(digits), base)) % base
    words, rows, parity = grid(bytes_in(len(body), base), level)
    steps = [zlib.crc32(bytes([row])) % (words // 16) for row in range(rows + parity)]
    numbers = np.stack([(np.arange(words) - 16 * step) % words for step in steps])
    found = []
    for byte in np.flatnonzero(numbers.reshape(-1) == 3).tolist():
        first, bit = 8 * byte // m * k, 8 * byte % m
        before = digits[first : first + k].tolist()

        def value(digits, bit=bit):
            whole = sum(digit * base**i for i, digit in enumerate(digits))
            return whole % 2**m >> bit & 255

        for i in range(len(before)):
            grown = [(digit + (i == j)) % base for j, digit in enumerate(before)]
            if value(grown) != value(before):
                found.append(body[first + i])
                break
    return found


@pytest.mark.parametrize("base", [2, 5, 12, 16])
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_promised_number_of_changed_samples(quick_scrypt, base, key, level):
    """At the limit even if all meet one code word; beyond, it is noticed."""
    cover = draw((48, 60, 3)) // 2 + np.uint8(64)
    data = draw_bytes(capacity(cover.shape, base, key is not None, level))
    stego, t = embed(cover, data, base, key=key, level=level), limit(cover.shape, base, level)
    assert t >= (3, 6, 12)[level - 1]
    untouched = extract(stego, key)
    assert untouched.data == data and not untouched.corrected
    worst = in_one_word(stego, base, level, key)
    assert len(worst) > 2 * t
    for start, corrected in ((0, True), (t, True), (len(worst) - t, False)):  # the parity at last
        changed = stego.copy()
        changed.reshape(-1)[worst[start : start + t]] += 1
        found = extract(changed, key)
        assert found.data == data and found.corrected == corrected
    changed = stego.copy()
    changed.reshape(-1)[worst[: t + 1]] += 1
    with pytest.raises(PayloadError, match="More changed than its protection mends"):
        extract(changed, key)


@pytest.mark.parametrize("code", [5, 1.45, 2.32, 4.0])
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_changed_samples_anywhere(quick_scrypt, code, key, level):
    cover = draw((48, 60, 3))
    data = draw_bytes(capacity(cover.shape, code, key is not None, level))
    stego, t = embed(cover, data, code, key=key, level=level), limit(cover.shape, code, level)
    order = in_order(np.arange(cover.size), level)
    rng = np.random.default_rng(level)
    starts = 0, order[8 * 254], cover.size - t  # of a run: in the head, and at both ends
    places = [np.arange(start, start + t) for start in starts]
    places += [rng.choice(where, t, False) for where in (order[:2040], order[2040:], order) * 4]
    for place in places:
        changed = stego.copy()
        changed.reshape(-1)[place] = draw(t, place[0])
        assert extract(changed, key).data == data


@pytest.mark.parametrize("begins", [b"sg\x20", b"sg\x24"])
def test_a_protected_image_that_begins_like_another(begins):
    """As one without error correction does, after a few changes."""
    cover = draw((48, 60, 3))
    stego = embed(cover, b"data", 5, level=3)
    for index, value in enumerate(begins):
        stego = with_byte(stego, index, value)
    assert np.packbits(stego.reshape(-1)[:24] % 2, bitorder="little").tobytes() == begins
    assert limit(cover.shape, 5, 3) >= 24
    assert extract(stego).data == b"data"


@pytest.mark.parametrize("shape", [(255, 40, 3), (510, 40, 3), (255, 60, 3)])
def test_any_column_may_be_painted_over(shape):
    """No column holds the heads of all stretches, whatever the width."""
    stego = embed(draw(shape), b"data", 16, level=3)
    for column in range(0, shape[1], 3):
        painted = stego.copy()
        painted[:, column] = 255
        assert extract(painted).data == b"data"


@pytest.mark.parametrize("code, part", [(5, 1), (1.45, 0.9), (2.32, 0.75)])
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("level, share", [(1, 0.03), (2, 0.08), (3, 0.17)])
def test_painted_over(quick_scrypt, code, part, key, level, share):
    """A rectangle, or rows: far more samples than are promised, if they are together."""
    cover = draw((72, 96, 3))
    data = draw_bytes(capacity(cover.shape, code, key is not None, level))
    stego, side = embed(cover, data, code, key=key, level=level), (share := share * part) ** 0.5
    height, width = int(72 * side), int(96 * side)
    for top, left in ((0, 0), (36 - height // 2, 48 - width // 2), (72 - height, 96 - width)):
        changed = stego.copy()
        changed[top : top + height, left : left + width] = (255, 0, 0)
        found = extract(changed, key)
        assert found.data == data and (found.corrected or top > 36)  # where parity is
    rows = int(72 * share)
    for top in (0, 35, 72 - rows):
        changed = stego.copy()
        changed[top : top + rows] = stego[::-1][:rows]
        assert extract(changed, key).data == data
    changed[:, :] //= 2
    with pytest.raises(PayloadError, match=r"More changed|hides nothing"):
        extract(changed, key)


def test_plain_and_black_images_are_not_sealed(quick_scrypt):
    """A head of zeros would be well protected."""
    for value in ((0, 0, 0), (254, 254, 254), (128, 0, 2), (255, 255, 255), (1, 0, 0)):
        image = np.full((60, 40, 3), value, np.uint8)
        half = image.copy()
        half[40:] = draw((20, 40, 3))
        for plain in (image, half):
            with pytest.raises(PayloadError, match="The image hides nothing, needs a key"):
                extract(plain)
            with pytest.raises(PayloadError, match="The key is wrong, the image hides nothing"):
                extract(plain, KEY)


@pytest.mark.parametrize("length, base", [(10, 2), (1000, 2), (4000, 3), (6000, 5)])
def test_little_data_are_protected_as_well_as_much(length, base):
    """By plain digits: of a trellis, each would depend on many samples."""
    cover, data = draw((128, 128, 3)), draw_bytes(length)
    stego = ResidueChannel(level=3).write(cover, data)
    assert extract(stego).layout == Layout(base, level=3)
    for seed in range(3):
        assert extract(damaged(stego, "scattered:0.008", seed)).data == data
    assert extract(ResidueChannel(level=3, rate=1.0).write(cover, data[:500])).layout.memory > 1
