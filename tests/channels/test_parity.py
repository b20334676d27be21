import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reedsolo import RSCodec

from steglib.channels.parity import (
    HEAD_DATA,
    WORD,
    correct,
    correct_head,
    grid,
    protect,
    protect_head,
    size,
)

LEVELS = range(1, 4)
ROOMS = 900, 4081, 12_345  # 16, 32 and 64 code words


def draw(length, seed=0):
    return np.random.default_rng(seed).bytes(length)


def capacity(room, level):
    words, rows, _ = grid(room, level)
    return words * rows


def words_of(room, level):
    """The number of each byte's code word, by the format: files that exist must stay readable."""
    words, rows, parity = grid(room, level)
    steps = [zlib.crc32(bytes([row])) % (words // 16) for row in range(rows + parity)]
    return np.stack([(np.arange(words) - 16 * step) % words for step in steps]).reshape(-1)


def damage(protected, where, seed=0):
    """Other bytes there."""
    changed = np.frombuffer(protected, np.uint8).copy()
    changed[where] ^= np.random.default_rng(seed).integers(1, 256, len(changed[where]), np.uint8)
    return changed.tobytes()


def in_each_word(room, level, count, seed=0):
    """The positions of `count` bytes of every code word."""
    rng, words = np.random.default_rng(seed), words_of(room, level)
    chosen = [rng.choice(np.flatnonzero(words == i), count, False) for i in range(max(words) + 1)]
    return np.concatenate(chosen)


@settings(deadline=None, max_examples=400)
@example(4080, 1)
@given(st.integers(-1, 300) | st.integers(0, 10**6), st.sampled_from(LEVELS))
def test_the_grid_fills_the_room(room, level):
    words, rows, parity = grid(room, level)
    filled = size(room, level)
    assert filled == words * (rows + parity) <= max(0, room)
    assert words % 16 == 0 and parity % 2 == 0
    if filled:
        share = (1 / 8, 1 / 4, 1 / 2)[level - 1]
        assert rows > 0 and parity >= 2 and rows + parity <= 255
        assert room - filled < words
        assert parity <= max(2, share * (rows + parity)) and parity + 2 > share * (rows + parity)
        assert room > 255 * (words - 16)  # few code words, long ones, mend more
    else:
        assert (words, rows, parity) == (0, 0, 0) and room < 48  # 16 words of 1 + 2 bytes


@settings(deadline=None, max_examples=40)
@given(st.integers(48, 900), st.sampled_from(LEVELS), st.integers(0, 2**32))
def test_any_room_is_protected(room, level, seed):
    t = grid(room, level)[2] // 2
    for length in (0, 1, capacity(room, level)):
        data = draw(length, seed)
        protected = protect(data, room, level)
        assert len(protected) == size(room, level)
        whole = data.ljust(capacity(room, level), b"\0")
        assert correct(protected, room, level) == whole == protected[: len(whole)]
    where = in_each_word(room, level, t, seed)
    assert correct(damage(protected, where, seed), room, level) == whole


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("room", ROOMS)
def test_the_limit_of_every_code_word(room, level):
    data, t = draw(capacity(room, level)), grid(room, level)[2] // 2
    protected = protect(data, room, level)
    assert correct(damage(protected, in_each_word(room, level, t)), room, level) == data
    places = in_each_word(room, level, t + 1)
    wrong = np.frombuffer(correct(damage(protected, places), room, level), np.uint8)
    wrong = wrong != np.frombuffer(data, np.uint8)
    hit = {word for word in words_of(room, level)[places[places < len(data)]]}
    assert set(words_of(room, level)[: len(data)][wrong]) == hit
    assert len(hit) > 0.8 * grid(room, level)[0]


def test_code_words_are_those_of_the_format():
    room, level = ROOMS[2], 2
    protected, words = protect(draw(capacity(room, level)), room, level), words_of(room, level)
    codec = RSCodec(grid(room, level)[2])
    for word in range(max(words) + 1):
        assert codec.check(bytes(np.frombuffer(protected, np.uint8)[words == word])) == [True]


@pytest.mark.parametrize("level", LEVELS)
def test_one_word_beyond_its_limit_leaves_the_others(level):
    room = ROOMS[1]
    data, words = draw(capacity(room, level)), words_of(room, level)
    bad = np.flatnonzero(words == 5)[: grid(room, level)[2] // 2 + 1]
    places = in_each_word(room, level, grid(room, level)[2] // 2)
    places = np.concatenate([places[words[places] != 5], bad])
    found = np.frombuffer(correct(damage(protect(data, room, level), places), room, level), "u1")
    assert set(words[np.flatnonzero(found != np.frombuffer(data, np.uint8))]) == {5}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("room", [48, 300, 4079, 4081, 56_421])
def test_nine_bytes_in_a_row_are_of_nine_words(room, level):
    """So a sample, which is part of one group of at most 64 bits, costs no word two bytes."""
    words = words_of(room, level)
    for apart in range(1, 9):
        assert (words[apart:] != words[:-apart]).all()


@pytest.mark.parametrize("level", [1, 3])
def test_runs_and_rectangles_of_damage(level):
    room = ROOMS[2]
    words, rows, parity = grid(room, level)
    data, t = draw(words * rows), parity // 2
    protected = protect(data, room, level)
    run = (t - 1) * words + 1  # 6, 12 or 24% of all
    for start in (1, words * rows - run // 2, len(protected) - run):
        assert correct(damage(protected, slice(start, start + run)), room, level) == data
    table = np.arange(len(protected)).reshape(-1, words)  # an image as wide as a row of the grid
    for left in range(0, words, 32):
        stripe = table[: 3 * t, left : left + 16].reshape(-1)
        assert correct(damage(protected, stripe), room, level) == data
    assert 3 * t > 0.17 * len(table)


def test_a_protected_head():
    for length in (0, 16, HEAD_DATA):
        head = draw(length, length)
        protected = protect_head(head)
        assert len(protected) == WORD
        assert protected[:HEAD_DATA] == head.ljust(HEAD_DATA, b"\0")
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(WORD)
            if length:
                mended = correct_head(damage(protected, order[:105], seed))
                assert mended == protected[:HEAD_DATA]
            assert correct_head(damage(protected, order[:106], seed)) is None


def test_what_is_no_head():
    for seed in range(10):
        assert correct_head(draw(WORD, seed)) is None
    for value in (0, 1, 127, 255):  # as of plain areas: zeros are a code word, but nobody's head
        flat = bytes([value]) * WORD
        assert correct_head(flat) is correct_head(damage(flat, slice(30, 90))) is None
