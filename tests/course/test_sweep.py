"""A sweep of three points: what it gathers, how it resumes, what it says of a failure."""

import sys
from pathlib import Path

import pandas as pd
import papermill
import pytest
import sweep

REPO = Path(__file__).resolve().parent.parent.parent
POINT = REPO / "notebooks" / "sweep_point.ipynb"


def write_grid(folder, bits):
    grid = folder / "grid.yaml"
    grid.write_text(f"common: {{data: sample, pairs: 4}}\npoints: [{{model: lsb, bits: {bits}}}]\n")
    return grid


@pytest.mark.slow
def test_a_sweep_reports_failures_and_resumes(home, tmp_path, monkeypatch, capsys):
    def run(bits):
        arguments = ["--grid", write_grid(tmp_path, bits), "--jobs", 3, "--output", tmp_path]
        monkeypatch.setattr(sys, "argv", ["sweep.py", *map(str, arguments)])
        code = sweep.main()
        table = pd.read_csv(tmp_path / "sweep" / "sweep.csv")
        return code, capsys.readouterr().out, table

    code, printed, table = run([1, 2, 9])
    assert code == 1 and "bits must be" in printed and "2 of 3 points" in printed
    assert table["model"].tolist() == ["LSB, 1 bit", "LSB, 2 bits"]
    assert table["bits"].tolist() == [1, 2] and table["cover_psnr"].between(40, 60).all()
    picture = tmp_path / "sweep" / "trade_off.png"
    assert picture.read_bytes().startswith(b"\x89PNG")

    runs = tmp_path / "sweep" / "runs"
    kept, lost = runs / "lsb-bits-1", runs / "lsb-bits-2"
    before = (kept / "scores.csv").stat().st_mtime_ns, (kept / "notebook.ipynb").stat().st_mtime_ns
    (lost / "scores.csv").rename(lost / "scores.writing")  # as if it was killed while it wrote
    picture.unlink()
    code, printed, again = run([1, 2])
    assert code == 0 and "lsb-bits-1: done before" in printed and "lsb-bits-2: done\n" in printed
    after = (kept / "scores.csv").stat().st_mtime_ns, (kept / "notebook.ipynb").stat().st_mtime_ns
    assert after == before
    assert picture.is_file() and again.equals(table)


def test_other_parameters_begin_a_point_anew(tmp_path, monkeypatch):
    folder = tmp_path / "point"
    executed = []

    def execute(arguments, **_):
        executed.append(arguments)
        (folder / "scores.csv").write_text("scores")
        return type("Finished", (), {"returncode": 0})

    monkeypatch.setattr(sweep.subprocess, "run", execute)
    assert sweep.run_point(folder, {"pairs": 4}, 1) == "done"
    assert sweep.run_point(folder, {"pairs": 4}, 1) == "done before"
    (folder / "checkpoint").touch()
    assert sweep.run_point(folder, {"pairs": 8}, 1) == "done"
    assert len(executed) == 2 and not (folder / "checkpoint").exists()


def test_the_grid_names_what_exists():
    points = sweep.load_points(REPO / "notebooks" / "params" / "sweep.yaml", pairs=7)
    assert {values["pairs"] for values in points.values()} == {7}
    assert "residue-rate-0-base-16" in points and "train-beta-0.25-epochs-8-images-2000" in points
    known = set(papermill.inspect_notebook(str(POINT)))
    assert not [values for values in points.values() if not set(values) <= known]
