"""Shared by the tests and by nbval, which runs the notebooks."""

import os
import tempfile
from pathlib import Path

import pytest
import yaml

# Before anything imports steglib: runs, figures and caches of tests go to a folder of their own.
_HOME = tempfile.TemporaryDirectory(prefix="steglib-tests-")
os.environ["STEGLIB_HOME"] = _HOME.name

# Solutions run in the slow tier: tests/course/test_solutions.py.
collect_ignore = ["notebooks/solutions"]

# Notebooks are tested with these in place of their defaults, which `make run` takes. Even so, some
# take so long that they belong to the slow tier.
_SMOKE = yaml.safe_load((Path(__file__).parent / "notebooks" / "params" / "smoke.yaml").read_text())
_SLOW = (
    *("03_training", "06_a_better_start", "07_residue_model", "08_what_survives"),
    "09_who_can_see_it",
)


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)  # log lines and progress bars


def pytest_itemcollected(item):
    cell = getattr(item, "cell", None)  # nbval's items have one
    if cell is None:
        return
    if item.path.stem in _SLOW:
        item.add_marker(pytest.mark.slow)
    if "parameters" in cell.metadata.get("tags", ()):
        values = _SMOKE.get(item.path.stem, {})
        cell["source"] += "".join(f"\n{name} = {value!r}" for name, value in values.items())
