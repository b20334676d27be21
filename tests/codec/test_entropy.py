import numpy as np
import pytest

from steglib.channels.frame import PayloadError
from steglib.codec.contexts import SCALES
from steglib.codec.entropy import (
    ESCAPE,
    LIMIT,
    NARROW,
    THRIFT,
    ResidualReader,
    ResidualWriter,
    SymbolTables,
    expected_counts,
    scale_classes,
    symbol_tables,
    symbols,
)


@pytest.fixture(scope="module")
def tables():
    return SymbolTables(expected_counts())


@pytest.fixture(scope="module")
def residuals_of_all_classes():
    """Residuals, some far out, and their 129 classes."""
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(129), 60).astype(np.uint8)
    random.shuffle(classes)
    scales = 2.0 ** (classes / 8.0 - 5)
    residuals = np.rint(random.logistic(size=len(classes)) * scales).astype(np.int32)
    residuals[::37] = random.integers(-32000, 32000, len(residuals[::37]))
    return residuals, classes


def test_residuals_of_all_classes_come_back(tables, residuals_of_all_classes):
    """And take as many bits as estimated."""
    residuals, classes = residuals_of_all_classes
    _, shifts = symbol_tables(classes)
    assert (symbols(residuals, shifts) == ESCAPE).sum() > 100 and shifts.max() == 10
    writer = ResidualWriter(tables)
    for half in (slice(0, 4000), slice(4000, None)):
        writer.write(residuals[half], classes[half])
    code = writer.to_bytes()
    (bits,) = tables.bits(residuals[None], classes[None])
    assert len(code) % 4 == 0 and -1 <= 8 * len(code) - bits <= 65 + 0.001 * bits
    reader = ResidualReader(tables, code)
    for half in (slice(0, 4000), slice(4000, None)):
        assert np.array_equal(reader.read(classes[half]), residuals[half])


def test_bits_are_those_of_each_picture(tables, residuals_of_all_classes):
    residuals, classes = (array.reshape(2, -1) for array in residuals_of_all_classes)
    together = tables.bits(residuals, classes)
    alone = [tables.bits(residuals[i : i + 1], classes[i : i + 1])[0] for i in range(2)]
    assert together.shape == (2,) and together.tolist() == pytest.approx(alone)


@pytest.fixture(scope="module", params=["expected", "shipped"])
def thrifty_tables(request, tables, codec):
    return tables if request.param == "expected" else SymbolTables(codec.counts)


def test_the_residual_that_costs_least_is_chosen(thrifty_tables):
    """In squared steps and bits, whose sign is not yet known: the nearest, or one nearer to 0.

    That is no question where low bits are coded as they are, nor for those far out.
    """
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(129), 400).astype(np.uint8)
    spread = 2.0 ** (classes / 8.0 - 5)
    distances = np.float32(random.laplace(size=len(classes)) * spread)
    distances[::5] = random.uniform(-70, 70, len(distances[::5]))

    def cost(residuals):
        both = np.int32([residuals, -residuals])
        bits = [thrifty_tables.bits(one[:, None], classes[:, None]) for one in both]
        return np.square(distances.astype(float) - residuals) + THRIFT * np.mean(bits, 0)

    nearest = np.rint(distances)
    one_less = nearest - np.sign(nearest)
    found = thrifty_tables.choose(distances, classes)
    assert found.dtype == np.float32
    asked = (classes < NARROW) & (np.abs(nearest) < LIMIT)
    assert np.array_equal(found[~asked], nearest[~asked])
    assert ((found == nearest) | (found == one_less)).all()
    assert (cost(found) <= np.minimum(cost(nearest), cost(one_less)) + 1e-4)[asked].all()
    assert (found != nearest).sum() > 200
    grid = 2, 3, -1
    again = thrifty_tables.choose(distances[:600].reshape(grid), classes[:600].reshape(grid))
    assert np.array_equal(again, found[:600].reshape(grid))


def test_costs_are_the_same_on_every_machine(thrifty_tables):
    """Logarithms that are rounded."""
    assert np.array_equal(thrifty_tables.costs * 256, np.rint(thrifty_tables.costs * 256))


def test_bytes_of_another_writer_are_an_error_of_their_own(tables):
    """Not constriction's AssertionError."""
    with pytest.raises(PayloadError, match="No such codec"):
        ResidualReader(tables, b"\xff" * 40).read(np.full(100, 20, np.uint8))


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
    assert counts.shape == (NARROW, ESCAPE + 1) and counts.min() >= 1
    assert np.array_equal(counts[:, :LIMIT], counts[:, LIMIT + 1 : ESCAPE][:, ::-1])
    assert counts.sum(1) == pytest.approx(2**16, rel=0.003)
    middle = np.sum(counts[:, 50:71], 1) / 2**16
    scales = 2 ** ((np.arange(NARROW) + 0.5) / 8 - 5)
    assert middle == pytest.approx(np.tanh(10.5 / scales / 2), abs=0.005)  # within 10.5 of zero
    assert counts[0, LIMIT] > 65300
