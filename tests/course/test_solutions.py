"""The worked solutions: committed with outputs, short, and still running."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent.parent.parent / "notebooks"
SOLUTIONS = sorted(NOTEBOOKS.glob("solutions/*.ipynb"))
by_name = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)


@by_name
def test_belongs_to_a_notebook_that_links_to_it(path):
    assert f"(solutions/{path.name})" in (NOTEBOOKS / path.name).read_text()
    assert f"(../{path.name})" in path.read_text()


@by_name
def test_committed_short_with_outputs_in_order(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert "/home/" not in str(outputs) and str(NOTEBOOKS.parent) not in str(outputs)
    assert len(cells) <= 30 and max(len(cell.source.splitlines()) for cell in code) <= 25
    assert path.stat().st_size < 1e6


@pytest.mark.slow
@by_name
def test_runs(path, home):
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, resources=resources, timeout=1200).execute()
