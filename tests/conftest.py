import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from clusters import Cluster
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from PIL import Image

from steglib import load_images, load_pairs, paths
from steglib.channels import seal as sealing


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A fresh home, in which nothing is cached and no run exists."""
    folder, sample = tmp_path / "home", paths.sample_dir()
    monkeypatch.setenv("STEGLIB_HOME", str(folder))
    monkeypatch.setattr(paths, "_PACKAGE_PARENT", tmp_path / "checkout")  # it may hold real data
    monkeypatch.setattr(paths, "sample_dir", lambda: sample)
    for name in ("STEGLIB_DATA", "STEGLIB_KAGGLE", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def pairs():
    """Eight covers and secrets of the sample's val split."""
    return load_pairs(load_images("sample", "val").images, 8, seed=0)


@pytest.fixture(scope="session")
def tiny_imagenet(tmp_path_factory):
    """A folder in Tiny ImageNet's official layout: 3 classes, one file in greyscale."""
    root = tmp_path_factory.mktemp("data") / "tiny-imagenet-200"
    rng = np.random.default_rng(0)
    wnids = ["n03", "n01", "n02"]

    def save(path, mode="RGB"):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64))
        picture.convert(mode).save(path)

    for wnid in wnids:
        for i in range(16):
            mode = "L" if (wnid, i) == ("n01", 0) else "RGB"
            save(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", mode)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("no picture")
    rows = []
    for i in range(12):
        save(root / "val" / "images" / f"val_{i}.JPEG")
        rows.append(f"val_{i}.JPEG\t{wnids[i % 3]}\t0\t0\t9\t9\n")
        save(root / "test" / "images" / f"test_{i}.JPEG")
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    (root / "wnids.txt").write_text("\n".join(wnids))
    (root / "words.txt").write_text("n01\ttench, Tinca tinca\nn02\tcat\nn03\tdog\nn99\tother\n")
    return root


@pytest.fixture(scope="session")
def any_cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()


@pytest.fixture
def cluster(any_cluster):
    """A cluster of two workers."""
    any_cluster.have_workers(2)
    return any_cluster


@pytest.fixture
def run_python():
    """Runs `python ARGUMENTS` in a process of its own."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, **{k: str(v) for k, v in environment.items()}},
            capture_output=True,
            text=True,
            timeout=1800,
        )

    return run


@pytest.fixture
def quick_scrypt(monkeypatch):
    """scrypt with an 8192nd of the work, and the same salts in each run of a test."""
    drawn = np.random.default_rng(0).bytes
    monkeypatch.setattr(sealing, "os", SimpleNamespace(urandom=drawn))
    monkeypatch.setattr(sealing, "Scrypt", lambda n, **others: Scrypt(n=n >> 13, **others))
