"""Shared by the tests and by nbval, which runs the notebooks."""

import os
import tempfile

# Before anything imports steglib: runs, figures and caches of tests go to a folder of their own.
_HOME = tempfile.TemporaryDirectory(prefix="steglib-tests-")
os.environ["STEGLIB_HOME"] = _HOME.name

# Solutions run in the slow tier: tests/course/test_solutions.py.
collect_ignore = ["notebooks/solutions"]


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)  # log lines and progress bars
