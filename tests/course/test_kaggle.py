"""An imitation of Kaggle: read-only inputs, another working folder, no network."""

import ast
import json
import os
import shutil
import stat
import subprocess
import sys

import build_folders as kaggle
import nbformat
import papermill
import pytest
import run
import yaml

# Python runs this file first: connections to anywhere but this machine fail, and the package is
# not installed.
KAGGLE = """
import socket
import sys
from pathlib import Path

sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path[:] = [folder for folder in sys.path if not Path(folder, "steglib").is_dir()]

connect = socket.socket.connect

def refuse(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError("there is no network")
    return connect(self, address)

socket.socket.connect = refuse
"""


@pytest.fixture(params=["{slug}", "datasets/owner/{slug}"], ids=["slug", "owner"])
def machine(request, tmp_path, tiny_imagenet):
    """The root of the imitation, with both datasets attached, and the pushed kernels."""
    kaggle.build(tmp_path / "push", "student")
    root = tmp_path / "kaggle"
    inputs = root / "input"
    data = inputs / request.param.format(slug="tinyimagenet200") / tiny_imagenet.name
    shutil.copytree(tiny_imagenet, data)
    shutil.copytree(tmp_path / "push" / "steglib", inputs / request.param.format(slug="steglib"))
    (root / "working").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KAGGLE)
    everything = [inputs, *inputs.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield tmp_path
    for path in everything:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def run_kernel(machine, name, options):
    """The executed notebook of a pushed kernel, without network, inputs read-only."""
    root = machine / "kaggle"
    before = snapshot(root / "input")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STEGLIB_")}
    environment |= {
        "STEGLIB_KAGGLE": str(root),
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        "PYTHONPATH": str(machine / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    (machine / "options.yaml").write_text(yaml.safe_dump(options))
    kernel, executed = (
        machine / "push" / name / f"{name}.ipynb",
        root / "working" / "executed.ipynb",
    )
    command = [sys.executable, "-m", "papermill", kernel, executed, "-k", "python3", "-f"]
    done = subprocess.run(
        [*command, machine / "options.yaml"],
        cwd=root / "working",
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert snapshot(root / "input") == before  # as root, read-only folders do not stop us
    return nbformat.read(executed, as_version=4)


@pytest.mark.slow
def test_training_notebook_runs_on_kaggle(machine):
    options = {"epochs": 1, "batch_size": 8, "held_out": 8, "trial_epochs": 1}
    executed = run_kernel(machine, "03_training", options)
    working = machine / "kaggle" / "working"
    assert (working / "runs" / "full" / "model.keras").is_file()
    assert (working / "figures" / "03_learning_curves.png").is_file()
    text = "".join(str(cell.get("outputs")) for cell in executed.cells)
    assert "40 images to learn from, 8 to watch" in text  # the mounted data, not the sample
    assert "GPU T4 ×2" in text


# On the bundled photographs, which come with the package.
SMOKE = {name: values for name, values in run.load_params("smoke").items() if name != "03_training"}


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["datasets/owner/{slug}"], indirect=True)
@pytest.mark.parametrize("name", SMOKE)
def test_every_other_kernel_runs_on_kaggle(machine, name):
    run_kernel(machine, name, SMOKE[name])


def test_no_network_is_imitated(machine):
    code = "import urllib.request; urllib.request.urlopen('http://192.0.2.1', timeout=5)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(machine / "site")},
        capture_output=True,
        text=True,
    )
    assert "there is no network" in done.stderr


def test_push_folders(tmp_path):
    kaggle.build(tmp_path, "student")
    kernels = sorted(tmp_path.glob("0*"))
    assert len(kernels) >= 5
    for kernel in kernels:
        metadata = json.loads((kernel / "kernel-metadata.json").read_text())
        assert (kernel / metadata["code_file"]).is_file()
        slug = metadata["title"].lower().replace(" ", "-")  # Kaggle's rule
        assert metadata["id"] == f"student/{slug}"
        trains = kernel.name[:2] in ("03", "06", "07")
        assert metadata["enable_gpu"] == trains and not metadata["enable_internet"]
        assert metadata.get("machine_shape") == ("NvidiaTeslaT4" if trains else None)  # two of them
        evaluates = kernel.name[:2] in ("04", "05")
        assert metadata["kernel_sources"] == ["student/deep-steganography-03"] * evaluates
        parameters = papermill.inspect_notebook(str(kernel / metadata["code_file"]))
        for name, value in run.load_params("full")[kernel.name].items():
            assert ast.literal_eval(parameters[name]["default"]) == value, (kernel.name, name)
        assert metadata["dataset_sources"] == [
            "nikhilshingadiya/tinyimagenet200",
            "student/steglib",
        ]
    dataset = json.loads((tmp_path / "steglib" / "dataset-metadata.json").read_text())
    assert dataset["id"] == "student/steglib"
    assert list((tmp_path / "steglib" / "steglib" / "weights").glob("*.keras"))
