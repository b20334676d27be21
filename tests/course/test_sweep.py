"""A sweep of three points: what it gathers, how it resumes, what it says of a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import papermill
import pytest
import sweep
from clusters import Cluster, wait_until

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


def test_a_failure_of_a_cluster_is_one_line(tmp_path, monkeypatch):
    arguments = ["--grid", write_grid(tmp_path, [1]), "--output", tmp_path, "--cluster", "nonsense"]
    monkeypatch.setattr(sys, "argv", ["sweep.py", *map(str, arguments)])
    with pytest.raises(SystemExit, match=r"^sweep: 'nonsense' is no address of a cluster"):
        sweep.main()


@pytest.mark.slow
def test_a_sweep_on_a_cluster_outlives_a_worker_and_resumes(tmp_path):
    """First a worker dies, then the whole cluster, then another one goes on."""
    runs = tmp_path / "sweep" / "runs"

    def run(cluster, *watch):
        command = ["--grid", write_grid(tmp_path, [1, 2, 3]), "--output", tmp_path]
        with subprocess.Popen(
            [sys.executable, sweep.__file__, *command, "--cluster", cluster.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                for count, end in watch:
                    wait_until(lambda: len([*runs.glob("*/log.txt")]) >= count, 300)  # noqa: B023
                    end()
                said, error = process.communicate(timeout=300)
            finally:
                process.kill()
        return process.returncode, said, error

    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = Cluster(tmp_path / "first")
    try:
        first.have_workers(2)
        code, said, error = run(first, (2, first.workers[0].kill), (3, first.scheduler.kill))
    finally:
        first.end()
    assert code == 1 and error.startswith("sweep: The cluster at tcp://") and error.count("\n") == 1
    done = sorted(runs.glob("*/scores.csv"))
    assert 1 <= len(done) < 3 and said.count(": done\n") <= len(done)
    before = [path.stat().st_mtime_ns for path in done]
    second = Cluster(tmp_path / "second")
    try:
        second.have_workers(2)
        code, said, error = run(second)
    finally:
        second.end()
    assert (code, error) == (0, "") and "3 of 3 points" in said
    assert said.count("done before") == len(done)
    assert [path.stat().st_mtime_ns for path in done] == before
    assert len(pd.read_csv(tmp_path / "sweep" / "sweep.csv")) == 3


def test_a_notebook_ends_with_the_process_that_started_it(tmp_path, monkeypatch):
    """Even if that is killed: who does the point again must be alone with its folder."""
    started = tmp_path / "started"
    (tmp_path / "papermill.py").write_text(
        f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(300)"
    )
    point = repr(str(tmp_path / "runs" / "point"))
    work = f"import pathlib, sweep; sweep.run_point(pathlib.Path({point}), {{}}, 1)"
    places = os.pathsep.join(map(str, [tmp_path, REPO, REPO / "notebooks"]))
    with subprocess.Popen(
        [sys.executable, "-c", work], env={**os.environ, "PYTHONPATH": places}
    ) as process:
        wait_until(lambda: started.is_file() and started.read_text())
        process.kill()
    notebook = int(started.read_text())
    wait_until(lambda: not running(notebook), 10)


def running(process):
    state = Path(f"/proc/{process}/stat")
    return state.is_file() and state.read_text().rpartition(")")[2].split()[0] != "Z"


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
