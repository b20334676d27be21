import numpy as np
import pytest

from steglib.codec.transform import (
    COSINES,
    TURNS,
    best_turns,
    block_grid,
    from_coefficients,
    learn_colours,
    tiles,
    to_coefficients,
    turned,
)


@pytest.fixture(scope="module")
def colours(photos):
    return learn_colours(photos)


def test_colours_are_orthonormal_and_sorted(photos, colours):
    """The first, of the largest differences, adds red, green and blue."""
    assert np.allclose(colours @ colours.T, np.eye(3), atol=1e-6)
    assert (colours[0] > 0.3).all()
    differences = np.diff(photos.astype(float), axis=2).reshape(-1, 3) @ colours.T
    power = differences.T @ differences
    assert np.abs(power - np.diag(power.diagonal())).max() < 1e-3 * power[0, 0]
    assert (np.diff(power.diagonal()) < 0).all()


def test_turned_colours(colours):
    """By so many angles; 0 is what was, and after a right angle they have changed places."""
    found = turned(colours, range(TURNS))
    assert np.abs(found[0] - colours).max() <= 2**-13
    assert np.array_equal(found * 2**12, np.rint(found * 2**12))
    assert np.abs(found @ found.swapaxes(1, 2) - np.eye(3)).max() < 1e-3
    assert (found[:, 0] == found[0, 0]).all()
    assert len({tuple(one.flat) for one in found}) == TURNS
    (beyond,) = turned(colours, [TURNS])
    assert np.abs(beyond - found[0, [0, 2, 1]] * [[1], [1], [-1]]).max() <= 2**-12


@pytest.mark.parametrize("height, width", [(64, 64), (8, 13), (400, 260)])
def test_a_strongly_coloured_picture_is_turned_as_suits_it(colours, height, width):
    """Where one difference is all that changes, the other is nothing at the turn that is found."""
    random, pictures, axes = np.random.default_rng(0), [], [3, 12, 25]
    for turn in axes:
        first = turned(colours, [turn])[0, 1]
        grey = random.uniform(-60, 60, (height, width, 1))
        pictures.append(np.rint(128 + grey * first / np.abs(first).max()).astype(np.uint8))
    found = best_turns(np.array(pictures), colours)
    assert ((found >= 0) & (found < TURNS)).all()
    away = np.abs(found - axes) % TURNS  # a quarter turn further, they change places
    assert np.minimum(away, TURNS - away).max() <= 1
    alone = [best_turns(picture[None], colours)[0] for picture in pictures]
    assert found.tolist() == alone


def test_no_picture_is_too_small_or_plain_to_be_turned(colours):
    for picture in (np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 1, 1, 3), 200, np.uint8)):
        (turn,) = best_turns(picture, colours)
        assert 0 <= turn < TURNS


def extremes(colours):
    """Noise in black and white, and blocks that agree with a product of cosines everywhere."""
    random = np.random.default_rng(0)
    yield random.choice(np.uint8([0, 255]), (16, 8, 3))
    yield random.integers(0, 256, (8, 16, 3), np.uint8)
    for colour, down, across in ((0, 0, 0), (1, 0, 7), (2, 5, 3)):
        pattern = COSINES[down][:, None, None] * COSINES[across][:, None] * colours[colour]
        yield np.where(pattern > 0, 255, 0).astype(np.uint8)


def with_integers(picture, colours):
    """The coefficients by Python's integers, which have no limit."""
    cosines = (COSINES * 2**14).astype(int).astype(object)
    rows, columns = block_grid(*picture.shape[:2])
    mixed = (picture.astype(int) - 128).astype(object) @ (colours.T * 2**12).astype(int)
    blocks = mixed.reshape(rows, 8, columns, 8, 3)
    down = np.tensordot(blocks, cosines, (1, 1))  # rows, columns, 8, 3, 8
    both = np.tensordot(down, cosines, (2, 1))  # rows, columns, 3, 8, 8
    return both.reshape(rows, columns, 192)


def in_another_order(picture, colours):
    """Sums from the last to the first, one by one, and across before down."""

    def total(array, axis, weights):
        parts = np.moveaxis(array, axis, 0)
        found = 0.0
        for i in reversed(range(len(parts))):
            found = found + parts[i][..., None] * weights[:, i]
        return found

    rows, columns = block_grid(*picture.shape[:2])
    mixed = total(picture - 128.0, 2, colours)
    blocks = mixed.reshape(rows, 8, columns, 8, 3)
    across = total(blocks, 3, COSINES)  # rows, 8, columns, 3, 8
    both = total(across, 1, COSINES)  # rows, columns, 3, 8, 8
    return both.swapaxes(3, 4).reshape(rows, columns, 192)


@pytest.mark.parametrize("turn", [0, 13])
def test_coefficients_are_exact(colours, turn):
    """So they are the same on every machine, in whatever order it adds."""
    (known,) = turned(colours, [turn])
    for picture in extremes(known):
        (found,) = to_coefficients(picture[None], known[None])
        wanted = with_integers(picture, known)
        assert found.dtype == np.float64
        assert (found * 2.0**40).astype(int).tolist() == wanted.tolist()
        assert np.array_equal(found, in_another_order(picture, known))
    assert np.abs(found).max() > 200


def test_coefficients_are_those_of_an_orthonormal_transform(photos, colours):
    """A picture's power is that of its coefficients, and a mean is one of a block."""
    known = turned(colours, np.arange(len(photos)))
    found = to_coefficients(photos, known)
    assert found.shape == (len(photos), 8, 8, 192)
    power = np.square(photos - 128.0).sum((1, 2, 3))
    assert np.square(found).sum((1, 2, 3)) == pytest.approx(power, rel=1e-3)
    flat = np.full((1, 8, 8, 3), 228, np.uint8)
    (block,) = to_coefficients(flat, known[:1]).reshape(1, 3, 64)
    assert block[:, 0] == pytest.approx(800 * known[0].sum(1), rel=1e-3)
    assert np.abs(block[:, 1:]).max() < 0.1


def test_pictures_come_back(photos, colours):
    known = turned(colours, best_turns(photos, colours))

    def there_and_back(pictures):
        return from_coefficients(to_coefficients(pictures, known).astype(np.float32), known)

    shown = there_and_back(photos)
    assert shown.dtype == np.float32 and np.abs(shown - photos).max() < 0.3
    padded = there_and_back(photos[:, :61, :50])
    assert padded.shape == (len(photos), 64, 56, 3)
    assert np.abs(padded[:, :61, :50] - photos[:, :61, :50]).max() < 0.3
    assert np.abs(padded[:, 61:, 55] - photos[:, [60] * 3, 49]).max() < 0.3


@pytest.mark.parametrize("height, width", [(1, 1), (512, 512), (513, 64), (1025, 1500)])
def test_tiles_hold_each_pixel_once(height, width):
    seen = np.zeros((height, width), int)
    parts = tiles(height, width)
    for tile in parts:
        seen[tile] += 1
        assert seen[tile].shape == tuple(part.stop - part.start for part in tile)
        assert max(seen[tile].shape) <= 512  # a part of the format
    assert (seen == 1).all()
    assert parts == sorted(parts, key=lambda tile: (tile[0].start, tile[1].start))
    blocks = sum(np.prod(block_grid(*seen[tile].shape)) for tile in parts)
    assert blocks == np.prod(block_grid(height, width))
