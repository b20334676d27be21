import tomllib
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parent.parent.parent


def test_environment_yml_lists_what_pyproject_does():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    environment = yaml.safe_load((REPO / "environment.yml").read_text())
    listed = environment["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = [entry for entry in listed if isinstance(entry, str)]
    assert conda.pop(0) == "python" + project["requires-python"]
    assert conda.pop(0) == "pip"
    assert sorted([*conda, *pip[:-1]]) == sorted(wanted)
    assert pip[-1] == "-e ."


def test_every_dependency_has_a_purpose():
    _, listed = (REPO / "environment.yml").read_text().split("\ndependencies:\n")
    assert not [line for line in listed.splitlines() if "#" not in line and "pip:" not in line]


def test_constraints_pin_every_dependency():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = {line.split("==")[0] for line in (REPO / "constraints.txt").read_text().splitlines()}
    assert {name.split(">=")[0] for name in wanted} <= pinned
