import pytest
from PIL import Image
from shell import KEY

from steglib.__main__ import main


@pytest.fixture(scope="module")
def pictures(pairs):
    """A cover of 48×64 pixels and a secret of 40×40."""
    return pairs[0][0][:48], pairs[1][0][:40, :40]


@pytest.fixture
def files(tmp_path, pictures):
    paths = tmp_path / "cover.png", tmp_path / "secret.png"
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture
def steglib(capsys):
    """Runs a command within this process: exit code, stdout, stderr."""

    def run(*arguments):
        capsys.readouterr()
        return main(list(map(str, arguments))), *capsys.readouterr()

    return run


@pytest.fixture
def run_steglib(run_python):
    """Runs a command in a process of its own, as people do: exit code, stdout, stderr."""

    def run(*arguments):
        done = run_python("-m", "steglib", *arguments)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def keys(tmp_path):
    """The key's file, which ends with a line break, and another's."""
    paths = tmp_path / "key.txt", tmp_path / "other.txt"
    paths[0].write_bytes(KEY + b"\n")
    paths[1].write_bytes(b"wrong")
    return paths
