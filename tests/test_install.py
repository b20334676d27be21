"""The package as a user installs it: a wheel, outside the repository."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from steglib.images.photos import read_photo, write_photo

pytestmark = pytest.mark.slow

REPO = Path(__file__).resolve().parent.parent
WITHOUT_COURSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"IPython", "ipywidgets", "jupyterlab", "matplotlib", "pandas",
                                      "papermill", "seaborn", "skimage", "sklearn", "tensorboard"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
import runpy
sys.argv = ["steglib", *sys.argv[1:]]
runpy.run_module("steglib", run_name="__main__")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that a wheel of this checkout was installed into."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    copy = tmp_path_factory.mktemp("source") / "steglib"
    shutil.copytree(REPO / "steglib", copy / "steglib")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, copy)
    subprocess.run([*pip, "--target", folder, copy], check=True, capture_output=True)
    return folder


def steglib(installed, cwd, *arguments):
    """The installed package's command, with nothing of the extra `course` importable."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_COURSE, *map(str, arguments)],
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_wheel_hides_reveals_and_inspects_without_the_course(installed, tmp_path, pairs):
    write_photo(pairs[0][0], tmp_path / "cover.png")
    write_photo(pairs[1][0], tmp_path / "secret.png")
    hidden = steglib(installed, tmp_path, "hide", "cover.png", "secret.png", "-o", "stego.png")
    assert hidden.returncode == 0, hidden.stderr
    revealed = steglib(installed, tmp_path, "reveal", "stego.png", "-o", "revealed.png")
    assert revealed.returncode == 0, revealed.stderr
    error = read_photo(tmp_path / "revealed.png").image.astype(float) - pairs[1][0]
    assert (error**2).mean() < 4
    looked = steglib(installed, tmp_path, "inspect", "cover.png", "stego.png")
    assert looked.returncode == 0 and "It hides a picture" in looked.stdout


def test_what_needs_the_course_says_so(installed, tmp_path, pairs):
    (tmp_path / "data" / "val").mkdir(parents=True)
    (tmp_path / "data" / "train").mkdir()
    for i, image in enumerate(pairs[0]):
        write_photo(image, tmp_path / "data" / "val" / f"{i}.png")
    done = steglib(installed, tmp_path, "evaluate", "lsb:2", "--data", "data", "--pairs", "2")
    assert done.returncode == 2
    message = done.stderr.strip().splitlines()[-1]
    assert message == 'steglib: This needs pandas: pip install "steglib[course]"'


def test_every_wing_and_the_weights_are_in_it(installed):
    inside = {path.relative_to(installed) for path in (installed / "steglib").rglob("*.py")}
    here = {path.relative_to(REPO) for path in (REPO / "steglib").rglob("*.py")}
    assert inside == here
    for path in (REPO / "steglib" / "weights").iterdir():
        assert (installed / "steglib" / "weights" / path.name).stat().st_size == path.stat().st_size
