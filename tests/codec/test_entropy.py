import numpy as np
import pytest

from steglib import load_model
from steglib.codec.entropy import (
    CLASSES,
    ESCAPE,
    LIMIT,
    NARROW,
    ResidualReader,
    ResidualWriter,
    SymbolTables,
    expected_counts,
    scale_classes,
    symbol_tables,
    symbols,
)


def test_residuals_of_all_widths():
    """Each of 129 classes, with residuals far out; the length is as estimated."""
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(CLASSES), 60).astype(np.uint8)
    random.shuffle(classes)
    log_scales = classes / 8.0 - 5
    assert np.array_equal(scale_classes(log_scales), classes)
    residuals = np.rint(random.logistic(size=len(classes)) * 2.0**log_scales).astype(np.int32)
    residuals[::37] = random.integers(-32000, 32000, len(residuals[::37]))
    models = SymbolTables(load_model("residue").codec.counts)
    writer = ResidualWriter(models)
    writer.write(residuals, classes)
    code = writer.to_bytes()
    tables, shifts = symbol_tables(classes)
    assert (symbols(residuals, shifts) == ESCAPE).sum() > 100
    assert tables.min() == 0 and tables.max() == NARROW - 1 and shifts.max() == 10
    (bits,) = models.bits(residuals[None], classes[None])
    assert -1 <= 8 * len(code) - bits <= 65 + 0.001 * bits
    reader = ResidualReader(models, code)
    assert not reader.exhausted
    assert np.array_equal(reader.read(classes), residuals)
    assert reader.exhausted


def test_tables():
    classes = np.arange(CLASSES, dtype=np.uint8)
    tables, shifts = symbol_tables(classes)
    assert np.array_equal(tables + 8 * shifts, classes)
    assert tables.max() < NARROW and (tables[shifts > 0] >= NARROW - 8).all()
    for one in classes.tolist():  # one by one as all at once, whatever NumPy does about uint8
        assert symbol_tables(one) == (tables[one], shifts[one])
    assert symbols(np.int32([-61, -60, 0, 60, 61]), 0).tolist() == [ESCAPE, 0, LIMIT, 120, ESCAPE]
    counts = expected_counts()
    assert counts.shape == (NARROW, ESCAPE + 1) and counts.min() >= 1
    assert np.array_equal(counts[:, :LIMIT], counts[:, LIMIT + 1 : ESCAPE][:, ::-1])
    assert counts.sum(1) == pytest.approx(2**16, rel=0.003)
    middle = np.sum(counts[:, 50:71], 1) / 2**16
    scales = 2 ** ((np.arange(NARROW) + 0.5) / 8 - 5)
    assert middle == pytest.approx(np.tanh(10.5 / scales / 2), abs=0.005)  # within 10.5 of zero
    assert counts[0, LIMIT] > 65300
