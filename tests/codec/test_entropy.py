import numpy as np
import pytest

from steglib.channels.frame import PayloadError
from steglib.codec.contexts import GROUPS, SCALES
from steglib.codec.entropy import (
    CLASSES,
    ESCAPE,
    LIMIT,
    NARROW,
    THRIFT,
    WHOLE,
    LevelReader,
    SymbolTables,
    expected_counts,
    scale_classes,
    symbol_tables,
    symbols,
    whole_chances,
)
from steglib.codec.levels import marks


@pytest.fixture(scope="module", params=["expected", "shipped, small", "shipped, large"])
def tables(request, codec):
    if request.param == "expected":
        return SymbolTables(expected_counts())
    return SymbolTables(codec.counts[int(request.param.endswith("large"))])


@pytest.fixture(scope="module")
def parts(tables):
    """Of two pictures, parts of five groups: levels of all 129 classes, some far out."""
    random = np.random.default_rng(0)
    found = []
    for group in (0, 1, 1, 7, 13):
        classes = np.tile(np.arange(CLASSES, dtype=np.uint8), (2, 20))
        random.shuffle(classes, axis=1)
        distances = random.logistic(size=classes.shape) * 2.0 ** (classes / 8.0 - 5)
        distances[:, ::37] = random.integers(-32000, 32000, distances[:, ::37].shape)
        found.append(tables.choose(group, np.float32(distances), classes))
    return found


@pytest.mark.parametrize("picture", [0, 1])
def test_levels_of_all_classes_come_back(tables, parts, picture):
    """And take as many bits as estimated."""
    shifts = symbol_tables(parts[0].classes)[1]
    assert (symbols(parts[0].levels, shifts) == ESCAPE).sum() > 100 and shifts.max() == 10
    code = tables.write(parts, picture)
    bits = sum(tables.bits(part)[picture] for part in parts)
    assert 23 <= 8 * len(code) - bits <= 33 + 0.001 * bits
    reader = LevelReader(tables, code)
    for part in parts:
        levels, between = reader.read(part.group, part.classes[picture])
        assert np.array_equal(levels, part.levels[picture])
        assert np.array_equal(between, part.between[picture])
    reader.finish()


def test_a_reader_sees_that_something_is_left_or_lacks(tables, parts):
    code = tables.write(parts, 0)
    reader = LevelReader(tables, code)
    with pytest.raises(PayloadError, match="No such codec"):
        reader.finish()
    with pytest.raises(PayloadError, match="it ends too soon"):
        for part in [*parts, *parts]:
            reader.read(part.group, part.classes[0])
    for other in (code + b"x", code[:-1], bytes([code[0] ^ 1]) + code[1:], bytes(len(code))):
        with pytest.raises(PayloadError, match="No such codec"):
            reader = LevelReader(tables, other)
            for part in parts:
                reader.read(part.group, part.classes[0])
            reader.finish()


def test_a_picture_beside_another_one_is_chosen_the_same(tables, parts):
    random = np.random.default_rng(1)
    distances = np.float32(random.laplace(size=(3, 500)))
    classes = random.integers(0, CLASSES, (3, 500)).astype(np.uint8)
    for group in (0, 5):
        together = tables.choose(group, distances, classes)
        alone = tables.choose(group, distances[1:2], classes[1:2])
        assert np.array_equal(together.levels[1:2], alone.levels)
        assert tables.bits(together)[1] == tables.bits(alone)[0]


def test_means_are_rounded(tables):
    distances = np.float32([[0.4, -0.6, 2.51]])
    part = tables.choose(0, distances, np.full((1, 3), 40, np.uint8))
    assert part.levels.tolist() == [[0, -1, 3]] and not part.between.any()


def test_bits_are_saved_where_errors_cost_less(tables):
    """Error and bits together cost less than with other prices, or with none."""
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(16, NARROW, dtype=np.uint8), 400)[None]
    random.shuffle(classes, axis=1)
    distances = np.float32(random.laplace(size=classes.shape) * 2.0 ** (classes / 8.0 - 5))

    def cost(part):
        errors = np.square(distances - marks(part.levels, part.between)).sum()
        mirrored = tables.bits(part._replace(levels=-part.levels))
        return errors + THRIFT * (tables.bits(part) + mirrored)[0] / 2

    chosen = cost(tables.choose(5, distances, classes))
    costs = np.exp2(-tables.costs) * WHOLE
    costs[..., ESCAPE] *= WHOLE
    counts = np.rint(costs).astype(int)
    for thrift in (0, 0.5 * THRIFT, 2 * THRIFT):
        other = SymbolTables(counts, thrift).choose(5, distances, classes)
        assert chosen < cost(other) - 1


def test_wide_classes_have_no_prices(tables):
    """Their low bits cost the same; so the levels are those with the least error."""
    random = np.random.default_rng(0)
    distances = np.float32(random.laplace(size=(1, 2000)) * 100)
    found = [
        tables.choose(3, distances, np.full((1, 2000), scale_class, np.uint8)).levels
        for scale_class in (NARROW, 128)
    ]
    assert np.array_equal(*found)


def test_costs_are_the_same_on_every_machine(tables):
    """Logarithms that are rounded."""
    assert np.array_equal(tables.costs * 256, np.rint(tables.costs * 256))


def test_whole_chances():
    chances = np.random.default_rng(0).dirichlet(np.full(122, 0.01), (14, 2, 56))
    counts = whole_chances(chances)
    assert counts.dtype == np.int32 and counts.min() == 1 and (counts.sum(-1) == WHOLE).all()
    assert np.abs(counts - WHOLE * chances).max() < 122


def test_classes_of_scales():
    scales = np.array([SCALES[0], SCALES[0] + 0.124, SCALES[0] + 0.125, 0, SCALES[1]])
    assert scale_classes(scales).tolist() == [0, 0, 1, 40, 128]


def test_tables_of_classes():
    classes = np.arange(129, dtype=np.uint8)
    rows, shifts = symbol_tables(classes)
    assert np.array_equal(rows + 8 * shifts, classes)
    assert rows.max() < NARROW and (rows[shifts > 0] >= NARROW - 8).all()
    for scale_class in classes.tolist():  # one by one as all at once, whatever NumPy does to uint8
        assert symbol_tables(scale_class) == (rows[scale_class], shifts[scale_class])


def test_symbols():
    assert symbols(np.int32([-61, -60, 0, 60, 61]), 0).tolist() == [ESCAPE, 0, LIMIT, 120, ESCAPE]
    assert symbols(np.int32([-3, -2, 1, 2, 5]), 2).tolist() == [59, 60, 60, 61, 61]


def test_expected_counts_are_those_of_logistic_distributions():
    counts = expected_counts()
    assert counts.shape == (len(GROUPS), 2, NARROW, ESCAPE + 1) and counts.min() >= 1
    assert (counts == counts[0, 0]).all() and (counts.sum(-1) == WHOLE).all()
    counts = counts[0, 0]
    assert np.abs(counts[:, :LIMIT] - counts[:, LIMIT + 1 : ESCAPE][:, ::-1]).max() < 200
    middle = np.sum(counts[:, 50:71], 1) / WHOLE
    scales = 2 ** ((np.arange(NARROW) + 0.5) / 8 - 5)
    assert middle == pytest.approx(np.tanh(10.5 / scales / 2), abs=0.005)  # within 10.5 of zero
    assert counts[0, LIMIT] > 65300
