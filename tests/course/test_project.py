"""What the project's own files promise each other."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
USED_AS = {  # what no file imports
    "import-linter": "lint-imports",
    "jupyterlab": "jupyter lab",
    "nbval": "--nbval-lax",
    "pytest-xdist": "-n 2",
    "ruff": "-m ruff",
    "tensorboard": "callbacks.TensorBoard",
}
SOURCES = (
    "Makefile",
    "pyproject.toml",
    "*.py",
    "data/*.py",
    "notebooks/*.*",
    "steglib/**/*.py",
    "tests/**/*.py",
)
EVERYTHING = [*PROJECT["dependencies"], *EXTRAS["course"], *EXTRAS["dev"]]


def test_environment_yml_lists_what_pyproject_does():
    environment = yaml.safe_load((REPO / "environment.yml").read_text())
    listed = environment["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = [entry for entry in listed if isinstance(entry, str)]
    assert conda.pop(0) == "python" + PROJECT["requires-python"]
    assert conda.pop(0) == "pip"
    assert sorted([*conda, *pip[:-1]]) == sorted(EVERYTHING)
    assert pip[-1] == "-e ."


@pytest.mark.parametrize("requirement", EVERYTHING)
def test_every_dependency_is_used_and_says_what_for(requirement):
    listed = (REPO / "environment.yml").read_text()
    (purpose,) = re.findall(rf"- {re.escape(requirement)}  # (.+)", listed)
    assert len(purpose.split()) >= 2
    name = requirement.split(">=")[0]
    text = "\n".join(file.read_text() for place in SOURCES for file in REPO.glob(place))
    if name in USED_AS:
        assert USED_AS[name] in text
        return
    modules = [m for m, found in packages_distributions().items() if name in map(_same, found)]
    names = "|".join(map(re.escape, modules))
    assert re.search(rf"\b(import|from) ({names})\b|importorskip\(.({names})", text), modules


def _same(name):
    return name.lower().replace("_", "-")


def test_constraints_pin_every_dependency():
    pinned = {line.split("==")[0] for line in (REPO / "constraints.txt").read_text().splitlines()}
    assert {name.split(">=")[0] for name in EVERYTHING} <= pinned
