import struct
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steglib.channels import frame, parity, seal
from steglib.channels.digits import BASES
from steglib.channels.frame import Kind, Layout, Payload, PayloadError
from steglib.channels.trellis import SHIPPED

KEY = b"pass phrase"
ROOM = 900  # bytes
LEVELS = range(len(parity.LEVELS))


class Shelf:
    """The simplest carrier: two byte strings, the head and the body."""

    quality = 0

    def __init__(self, head=b"", body=b"", protected=False):
        self.heads = {protected: head}
        self.stored = body

    def room(self, layout):
        return ROOM

    def head(self, size, protected):
        return self.heads.get(protected, b"")[:size]

    def body(self, layout, size, seal):
        return self.stored[:size]


def packed(data=b"data", kind=Kind.RAW, size=(3, 5), base=5, key=None, level=0, memory=1):
    layout = Layout(base, key is not None, level, memory=memory)
    return frame.pack(data, kind, size, layout, ROOM, key)


def shelved(**options):
    framed = packed(**options)
    return Shelf(framed.head, framed.body, options.get("level", 0) > 0)


def changed(data, index, value):
    return data[:index] + bytes([value]) + data[index + 1 :]


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("base, memory", [(7, 1), *SHIPPED])
def test_a_frame_comes_back(quick_scrypt, key, level, base, memory):
    layout = Layout(base, key is not None, level, memory=memory)
    options = {"kind": Kind.WEBP, "base": base, "memory": memory, "key": key, "level": level}
    for length in (0, 1, layout.free(ROOM)):
        data = bytes(range(256)) * 4
        shelf = shelved(data=data[:length], **options)
        room = layout.filled(length, ROOM)
        assert len(shelf.stored) == layout.body_size(length, room) <= ROOM
        assert len(shelf.heads[level > 0]) == layout.head_size
        assert frame.unpack(shelf, key) == Payload(data[:length], Kind.WEBP, (3, 5), layout)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([(5, 1), *SHIPPED]),
    st.booleans(),
    st.sampled_from(LEVELS),
    st.integers(0, 20_000) | st.integers(4_000, 4_200),
    st.floats(0, 1),
)
def test_a_body_takes_part_in_no_more_room_than_its_data_need(kind, sealed, level, room, share):
    """Plain digits in all; and what fits, fits there, for writer and reader alike."""
    layout = Layout(kind[0], sealed, level, memory=kind[1])
    if (free := layout.free(room)) >= 0:
        length = int(share * free)
        filled = layout.filled(length, room)
        assert length <= layout.free(filled)
        assert layout.body_size(length, filled) <= filled <= room
        assert filled == room or (kind[1] > 1 and layout.free(filled - 1) < length)
        if kind[1] > 1 and not level:
            assert filled == length + 16 * sealed


@pytest.mark.parametrize("level, most", [(1, 400), (2, 460), (3, 700)])
def test_a_protected_trellis_is_as_long_as_its_data_need(level, most):
    lengths = [len(packed(bytes(n), base=7, memory=3, level=level).body) for n in (0, 9, 99, 300)]
    assert lengths == sorted(lengths) and lengths[1] < 60 and 300 < lengths[-1] < most
    assert len(packed(b"", level=level).body) > 860


@pytest.mark.parametrize("base", BASES)
def test_the_head_of_format_2(base):
    """Written out once more: files that exist must remain readable."""
    header = b"sg" + struct.pack(">BBIHH", 0x20, (base - 1) * 16 + 2, 4, 300, 200)
    preamble = header + struct.pack(">I", zlib.crc32(header + b"data"))
    framed = packed(kind=Kind.JPEG, size=(300, 200), base=base)
    assert (framed.head, framed.body, framed.seal) == (preamble, b"data", None)
    protected = packed(kind=Kind.JPEG, size=(300, 200), base=base, level=2)
    assert protected.head[2] == 0x22 and protected.body[:4] == b"data"
    assert parity.correct_head(protected.head) == protected.head[:45]


@pytest.mark.parametrize("number", range(len(SHIPPED)))
def test_the_head_of_a_trellis_in_format_2(number):
    base, memory = SHIPPED[number]
    header = b"sg" + struct.pack(">BBIHH", 0x24, number * 16 + 2, 4, 300, 200)
    preamble = header + struct.pack(">I", zlib.crc32(header + b"data"))
    framed = packed(kind=Kind.JPEG, size=(300, 200), base=base, memory=memory)
    assert (framed.head, framed.body, framed.seal) == (preamble, b"data", None)
    protected = packed(kind=Kind.JPEG, size=(300, 200), base=base, memory=memory, level=3)
    assert protected.head[2:4] == bytes([0x27, number * 16 + 2])


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("memory, code, base", [(1, 0x20, 0x40), (3, 0x24, 0x20)])
def test_the_sealed_head_of_format_2(quick_scrypt, level, memory, code, base):
    framed = packed(base=11 if memory > 1 else 5, key=KEY, level=level, memory=memory)
    opened = seal.Seal(KEY, framed.head[:29])
    preamble = opened.mask(framed.head[29:45])
    assert preamble[:4] == bytes([*b"sg", code | level, base])
    assert opened.decrypt(framed.body[:20], preamble) == b"data"


def test_layouts():
    assert [Layout(5, sealed, 0).head_size for sealed in (False, True)] == [16, 45]
    assert {Layout(5, sealed, 1).head_size for sealed in (False, True)} == {255}
    assert Layout(5).free(100) == Layout(5, sealed=True).free(116) == 100
    assert Layout(5).free(-1) < 0 and Layout(5, sealed=True).free(15) < 0
    for level, share in enumerate((1, 7 / 8, 3 / 4, 1 / 2)):
        assert Layout(5, level=level).free(100_000) == pytest.approx(share * 100_000, rel=0.01)
        assert Layout(5, level=level).free(40) < 0 or not level  # 16 code words of 3 bytes at least
        assert Layout(5, True, level).free(ROOM) == Layout(5, False, level).free(ROOM) - 16
    for base in (0, 1, 17, 2.5, None):
        with pytest.raises(ValueError, match=f"base must lie in 2…16, not {base}"):
            Layout(base)
    for base, memory in ((3, 2), (5, 4), (2, 0), (17, 3)):
        with pytest.raises(ValueError, match=f"No trellis has base {base} and memory {memory}"):
            Layout(base, memory=memory)
    for level in (-1, 4, 0.5, None):
        with pytest.raises(ValueError, match=f"level must lie in 0…3, not {level}"):
            Layout(5, level=level)


def test_preambles_of_other_versions_and_impossible_ones():
    head = packed().head
    for index, value, match in (
        (2, 0x10, "Another version.* format 1"),
        (2, 0x30, "Another version.* format 3"),
        (2, 0x21, "makes no sense"),  # protected, but not spread
        (2, 0x28, "Another version.* format 2"),  # with a flag that nobody knows
        (2, 0x2C, "Another version.* format 2"),
        (3, 0x48, "Another version.* codec 8"),
        (3, 0x00, "makes no sense"),  # base 1
        (4, 0xFF, f"cropped or damaged.* room for {ROOM}"),
        (9, 0x00, "makes no sense"),  # a height of 0
        (8, 0x01, "changed after hiding"),
        (15, head[15] ^ 1, "changed after hiding"),
    ):
        with pytest.raises(PayloadError, match=match):
            frame.unpack(Shelf(changed(head, index, value), b"data"))


@pytest.mark.parametrize("level", [0, 2])
def test_trellises_that_no_version_has(level):
    head = packed(base=3, memory=5, level=level).head[:16]
    for number in range(len(SHIPPED), 16):
        other = changed(head, 3, number << 4)
        other = parity.protect_head(other) if level else other
        with pytest.raises(PayloadError, match="its preamble makes no sense"):
            frame.unpack(Shelf(other, bytes(ROOM), level > 0))


@pytest.mark.parametrize("key", [None, KEY])
def test_other_data_are_noticed(quick_scrypt, key):
    shelf = shelved(key=key)
    for i, value in enumerate(shelf.stored):
        with pytest.raises(PayloadError, match="changed after hiding"):
            frame.unpack(Shelf(shelf.heads[False], changed(shelf.stored, i, value ^ 1)), key)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("level", LEVELS[1:])
def test_protected_frames_are_mended(quick_scrypt, key, level):
    shelf = shelved(key=key, level=level)
    head = bytes(255 - x if i % 5 < 2 else x for i, x in enumerate(shelf.heads[True]))
    body = changed(shelf.stored, 1, shelf.stored[1] ^ 9)
    payload = frame.unpack(Shelf(head, body, True), key)
    assert payload.data == b"data" and payload.corrected
    assert not frame.unpack(shelf, key).corrected
    with pytest.raises(PayloadError, match="More changed than its protection mends"):
        frame.unpack(Shelf(head, body[::-1], True), key)


@pytest.mark.parametrize("level", [0, 1])
def test_keys_that_lack_or_are_too_many(quick_scrypt, level):
    sealed, plain = shelved(key=KEY, level=level), shelved(level=level)
    with pytest.raises(PayloadError, match="it needs its key" if level else "needs a key or"):
        frame.unpack(sealed)
    with pytest.raises(PayloadError, match="The key is wrong, the image hides nothing"):
        frame.unpack(sealed, b"other")
    with pytest.raises(PayloadError, match="hidden without a key: reveal it without"):
        frame.unpack(plain, KEY)


@pytest.mark.parametrize("level", [0, 1])
def test_a_seal_that_begins_like_no_seal(quick_scrypt, monkeypatch, level):
    """One in 65536 would; another is drawn."""
    drawn = [b"sg" + bytes(range(27)), b"sgx" + bytes(26), b"sh" + bytes(range(27))]
    monkeypatch.setattr(seal, "os", SimpleNamespace(urandom=lambda count: drawn.pop(0)))
    shelf = shelved(key=KEY, level=level)
    assert not drawn and frame.unpack(shelf, KEY).data == b"data"


def test_a_protected_frame_that_begins_like_another():
    """What begins as one without error correction does is read as such first, then the other."""
    shelf = shelved(level=1)
    shelf.heads[False] = b"sg\x20" + bytes(42)
    assert frame.unpack(shelf).data == b"data"
    shelf.heads[True] = parity.protect_head(b"sg\x2f" + bytes(13))  # of another version
    with pytest.raises(PayloadError, match="makes no sense"):  # the first complaint counts
        frame.unpack(shelf)


def test_more_data_than_parity_leaves_room_for():
    preamble = struct.pack(">2sBBIHHI", b"sg", 0x21, 0x40, ROOM - 20, 3, 5, 0)
    with pytest.raises(PayloadError, match=f"{ROOM - 20} bytes in room for 800"):
        frame.unpack(Shelf(parity.protect_head(preamble), bytes(ROOM), True))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([0x20, 0x24]), st.binary(min_size=13, max_size=13), st.binary(max_size=ROOM))
def test_garbage_raises_nothing_else(code, rest, body):
    with pytest.raises(PayloadError):
        frame.unpack(Shelf(bytes([*b"sg", code]) + rest, body))


@settings(deadline=None, max_examples=30)
@given(*[st.integers(0, n) for n in (7, 255, 1000, 2**32 - 1)], st.binary(min_size=ROOM))
def test_protected_garbage_raises_nothing_else(level, codes, length, crc, body):
    preamble = struct.pack(">2sBBIHHI", b"sg", 0x20 | level, codes, length, 3, 5, crc)
    with pytest.raises(PayloadError):
        frame.unpack(Shelf(parity.protect_head(preamble), body, True))
