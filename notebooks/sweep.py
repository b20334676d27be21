"""Scores every point of a grid of models, each in a notebook of its own, with papermill.

    python notebooks/sweep.py [--data FOLDER] [--pairs N] [--jobs N] [--cluster ADDRESS]

A point is done when `runs/<point>/scores.csv` is there in the output folder. Points that are done
are skipped, so a sweep that was stopped goes on; a point with other parameters than before begins
anew. After a change of code or weights, delete the output folder. On a cluster, all machines must
see this folder and the output folder under the same names. In the end, `sweep.csv` holds
the means of all points and `trade_off.png` shows them. The exit code is 1 if a point failed.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import BrokenExecutor, as_completed
from pathlib import Path

import yaml

from steglib import workers

HERE = Path(__file__).resolve().parent
# Ends with the process that started it, even if that is killed: another try may begin at once.
PAPERMILL = """import os, runpy, sys, threading
threading.Thread(target=lambda: os._exit(sys.stdin.read() or 1), daemon=True).start()
runpy.run_module("papermill", run_name="__main__", alter_sys=True)"""


def load_points(grid: Path, **common) -> dict[str, dict]:
    """Parameters by the name of their point; `common` ones win over those of the file."""
    settings = yaml.safe_load(grid.read_text())
    points = {}
    for entry in settings["points"]:
        lists = [value if isinstance(value, list) else [value] for value in entry.values()]
        for values in itertools.product(*lists):
            chosen = dict(zip(entry, values, strict=True))
            words = [chosen["model"], *(f"{k}-{v}" for k, v in chosen.items() if k != "model")]
            name = re.sub(r"[^\w.]+", "-", "-".join(words))
            points[name] = {"point": name} | settings["common"] | chosen | common
    return points


def run_point(folder: Path, values: dict, at_once: int) -> str:
    """Executes one point of so many at once on this machine, unless it is done.

    Returns "done", "done before" or what went wrong.
    """
    parameters, wanted = folder / "parameters.json", json.dumps(values, indent=2) + "\n"
    if folder.is_dir() and not (parameters.is_file() and parameters.read_text() == wanted):
        shutil.rmtree(folder)
    if (folder / "scores.csv").is_file():
        return "done before"
    folder.mkdir(parents=True, exist_ok=True)
    parameters.write_text(wanted)
    papermill = [sys.executable, "-c", PAPERMILL, HERE / "sweep_point.ipynb"]
    papermill += [folder / "notebook.ipynb", "-f", parameters, "--cwd", HERE, "-k", "python3"]
    # Points that run side by side share the cores and a GPU's memory.
    threads = str(max(1, (os.cpu_count() or 1) // at_once))
    shares = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads}
    shares["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    alive, held = os.pipe()
    try:
        with open(folder / "log.txt", "w") as log:
            code = subprocess.run(
                [*papermill, "--no-progress-bar"],
                env=shares | os.environ | {"STEGLIB_HOME": str(folder.parent.parent)},
                stdin=alive,
                stdout=log,
                stderr=subprocess.STDOUT,
            ).returncode
    finally:
        os.close(alive)
        os.close(held)
    last = (folder / "log.txt").read_text().rstrip().rpartition("\n")[2]
    return "done" if code == 0 else f"FAILED ({last}); see {folder / 'log.txt'}"


def gather(points: dict[str, dict], output: Path) -> None:
    """Means of all points that are done, one row each, in `sweep.csv`, and plots of them."""
    import pandas as pd

    from steglib.evaluation import comparisons, pictures
    from steglib.evaluation.scores import peers, summarise

    rows = []
    for name, values in points.items():
        scores = output / "runs" / name / "scores.csv"
        if scores.is_file():
            means = summarise(pd.read_csv(scores)).reset_index()  # `model`: its name in tables
            rows.append(means.assign(**{k: v for k, v in values.items() if k != "model"}))
    if rows:
        table = pd.concat(rows, ignore_index=True)
        table.to_csv(output / "sweep.csv", index=False)
        pictures.use_style()
        for metric, name in (("psnr", "trade_off.png"), ("ssim", "trade_off_ssim.png")):
            figure = comparisons.trade_off(table.set_index("model"), peers(), metric=metric)
            figure.savefig(output / name, bbox_inches="tight")
    print(f"\n{len(rows)} of {len(points)} points are in {output / 'sweep.csv'}")


def wait_for(task) -> str:
    """What `run_point` returned, or why it could not."""
    try:
        return task.result()
    except BrokenExecutor as error:
        return f"FAILED ({error})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=Path, default=HERE / "params" / "sweep.yaml")
    parser.add_argument("--data", help="tiny-imagenet, or a folder; default: as the grid says")
    parser.add_argument("--pairs", type=int, help="held-out pairs; default: as the grid says")
    half = max(1, (os.cpu_count() or 1) // 2)
    parser.add_argument("--jobs", type=int, default=half, help="points at a time on each machine")
    parser.add_argument("--cluster", metavar="ADDRESS", help=workers.CLUSTER)
    parser.add_argument("--output", type=Path, default=HERE.parent / "output")
    options = parser.parse_args()
    data, kind = options.data, "sweep"
    if data:  # sweeps on other data are other sweeps
        kind += f"-{Path(data).resolve().name}"
        data = str(Path(data).resolve()) if Path(data).is_dir() else data
    changes = {"data": data, "pairs": options.pairs}
    points = load_points(options.grid, **{k: v for k, v in changes.items() if v is not None})
    output = options.output.resolve() / kind
    output.mkdir(parents=True, exist_ok=True)
    jobs = [(output / "runs" / name, values, options.jobs) for name, values in points.items()]
    places, done = {"cluster": options.cluster, "folder": output}, []
    try:
        with workers.running(run_point, jobs, options.jobs, workers.be_modest, **places) as tasks:
            names = dict(zip(tasks, points, strict=True))
            for task in as_completed(tasks):
                done.append(wait_for(task))
                print(f"{len(done)}/{len(tasks)} {names[task]}: {done[-1]}", flush=True)
    except BrokenExecutor as error:
        sys.exit(f"sweep: {error}")
    gather(points, output)
    return int(any(said.startswith("FAILED") for said in done))


if __name__ == "__main__":
    sys.exit(main())
