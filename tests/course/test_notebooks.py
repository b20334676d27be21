"""What nbval does not see: parameters, outputs in order, and shape of the notebooks."""

import ast
import re
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import run as runner

REPO = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted(REPO.glob("notebooks/0*.ipynb"))
CORE = {"images", "models", "training", "evaluation", "zoo", "layers", "paths"}  # of 01 to 05
BUILDING = {
    "02_model_building": 5,
    "03_training": 5,
    "06_a_better_start": 8,
    "07_residue_model": 9,
    "08_what_survives": 5,
    "09_who_can_see_it": 5,
}
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def is_parameters(cell):
    return "parameters" in cell.metadata.get("tags", ())


@by_name
def test_committed_with_outputs_in_order(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == [*range(1, len(counts) + 1)], "run `make notebooks` and commit"
    printing = [cell for cell in code_cells(path) if re.search(r"^ *print\(", cell.source, re.M)]
    assert all(cell.outputs for cell in printing)
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "/home/" not in str(outputs) and str(REPO) not in str(outputs)


@by_name
def test_every_parameter_is_read(path):
    cells = code_cells(path)
    (declared,) = [cell for cell in cells if is_parameters(cell)]
    names = {node.target.id for node in ast.parse(declared.source).body}
    body = "\n".join(cell.source for cell in cells if not is_parameters(cell))
    found = [node for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)]
    read = {node.id for node in found if isinstance(node.ctx, ast.Load)}
    assert names <= read, f"never read: {names - read}"
    inferred = papermill.inspect_notebook(str(path))
    assert set(inferred) == names
    assert all(p["help"] and p["inferred_type_name"] != "None" for p in inferred.values())


@pytest.mark.parametrize("params", ["quick", "full", "smoke"])
def test_parameter_files_name_what_exists(params):
    values = runner.load_params(params)
    assert list(values) == [path.stem for path in NOTEBOOKS]
    for path in NOTEBOOKS:
        known = papermill.inspect_notebook(str(path))
        assert set(values[path.stem]) <= set(known), path.stem


def test_quick_is_what_the_notebooks_default_to():
    for path in NOTEBOOKS:
        known = papermill.inspect_notebook(str(path))
        for name, value in runner.load_params("quick")[path.stem].items():
            assert ast.literal_eval(known[name]["default"]) == value, (path.stem, name)


@by_name
def test_cells_are_short_and_logic_lives_in_the_package(path):
    sources = [cell.source for cell in code_cells(path)]
    assert max(len(source.splitlines()) for source in sources) <= 25
    most = BUILDING.get(path.stem, 2)  # more where a chapter builds what the package has
    assert sum(len(re.findall(r"^ *def ", source, re.M)) for source in sources) <= most


@pytest.mark.parametrize("path", NOTEBOOKS[1:6], ids=lambda path: path.stem)
def test_the_core_of_the_course_is_small(path):
    tree = ast.parse("\n".join(cell.source for cell in code_cells(path)))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    wings = {
        module[8:].partition(".")[0]
        for node in imports
        if (module := node.module)[:8] == "steglib."
    }
    assert wings and wings <= CORE


@by_name
def test_some_cells_are_compared_by_nbval(path):
    assert any("NBVAL_CHECK_OUTPUT" in cell.source for cell in code_cells(path))


@pytest.mark.slow
def test_runner_executes_and_reports(home, tmp_path, monkeypatch, capsys):
    values = {"04_evaluation": runner.load_params("smoke")["04_evaluation"]}
    monkeypatch.setattr(runner, "load_params", lambda _: values)
    monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(tmp_path / "out")])
    runner.main()
    printed = capsys.readouterr().out
    assert "linear hiding" in printed and "LSB, 4 bits" in printed
    assert (tmp_path / "out" / "quick" / "notebooks" / "04_evaluation.ipynb").is_file()
    assert (tmp_path / "out" / "quick" / "figures" / "04_trade_off.png").is_file()
