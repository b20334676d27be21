"""The commands on a Dask cluster: what they write and say, and what is left when workers die."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clusters import wait_until
from PIL import Image
from shell import KEY, assert_refused, names, pixels

from steglib import load_model, progress, workers
from steglib.tool import batches, jobs, places


@pytest.fixture
def photos(tmp_path, pairs, monkeypatch):
    """The working folder, with three covers and a secret; and names relative to it."""
    monkeypatch.chdir(tmp_path)
    Path("covers").mkdir()
    for i in range(3):
        Image.fromarray(pairs[0][i]).save(f"covers/{i}.png")
    Image.fromarray(pairs[1][0][:40, :40]).save("secret.png")
    Path("key.txt").write_bytes(KEY)
    return tmp_path


def test_what_is_done_and_said_is_the_same_as_here(photos, cluster, steglib):
    said = []
    for place in ([], ["--cluster", cluster.address]):
        commands = (
            ["hide", "covers", "secret.png", "-o", "stegos"],
            ["reveal", "stegos", "secret.png", "-o", "back"],
            ["hide", "covers/1.png", "secret.png", "-o", "one.png", "--base", "3"],
            ["reveal", "one.png", "-o", "back.png"],
            ["hide", "covers", "--text", "Meet me at noon.", "-o", "texts"],
            ["reveal", "texts", "-o", "read"],
        )
        said.append([steglib(*command, *place) for command in commands])
        assert names(Path("stegos")) == names(Path("back")) == names(Path("covers"))
        assert names(Path("read")) == [f"{i}.txt" for i in range(3)]
        assert Path("read/2.txt").read_text() == "Meet me at noon."
        assert not list(Path().rglob(".*"))
        for name in ("stegos", "back", "texts", "read"):
            Path(name).rename(f"{name}-{len(said)}")
        for name in ("one", "back"):
            Path(f"{name}.png").rename(f"{name}-{len(said)}.png")
    assert said[0] == said[1]
    for path in Path().glob("*-1/*"):
        other = Path(str(path).replace("-1/", "-2/"))
        assert path.read_bytes() == other.read_bytes(), path
    assert Path("one-1.png").read_bytes() == Path("one-2.png").read_bytes()


def test_workers_that_live_on_read_a_secret_anew(photos, cluster, steglib):
    place = "--force", "--cluster", cluster.address
    for shade in (50, 200):
        Image.new("RGB", (40, 40), (shade, shade, shade)).save("secret.png")
        assert steglib("hide", "covers", "secret.png", "-o", "stegos", *place)[0] == 0
        for stego in Path("stegos").iterdir():
            assert np.abs(load_model("residue").reveal(pixels(stego)) - float(shade)).max() < 5


def test_a_key_reaches_the_workers(photos, cluster, steglib):
    place = "--cluster", cluster.address
    hide = ["hide", "covers/0.png", "secret.png", "-o", "stego.png", "--key-file", "key.txt"]
    assert steglib(*hide, *place)[0] == 0
    result = steglib("reveal", "stego.png", "-o", "back.png", *place)
    assert_refused(result, 3, "steglib: stego.png: ")
    assert steglib("reveal", "stego.png", "-o", "back.png", "--key-file", "key.txt", *place)[0] == 0
    assert np.abs(pixels("back.png").astype(int) - pixels("secret.png")).mean() < 2
    result = steglib("reveal", "secret.png", "-o", "x.png", "--key-file", "key.txt", *place)
    assert_refused(result, 3, "steglib: secret.png: ")
    assert not any(KEY in log.read_bytes() for log in cluster.folder.glob("*.log"))


def test_no_file_is_overwritten(photos, cluster, steglib):
    place = "--cluster", cluster.address
    Path("back").mkdir()
    for name, text in (("notes.txt", "hidden"), ("back/notes.txt", "mine")):
        Path(name).write_text(text)
    assert steglib("hide", "covers/0.png", "notes.txt", "-o", "stego.png", *place)[0] == 0
    result = steglib("reveal", "stego.png", "-o", "back", *place)
    assert_refused(result, 2, "steglib: back/notes.txt exists already", "--force")
    assert names(Path("back")) == ["notes.txt"] and Path("back/notes.txt").read_text() == "mine"
    assert steglib("reveal", "stego.png", "-o", "back", "--force", *place)[0] == 0
    assert names(Path("back")) == ["notes.txt"] and Path("back/notes.txt").read_text() == "hidden"


def test_what_is_refused(photos, steglib, monkeypatch):
    place = "--cluster", "tcp://127.0.0.1:1"
    for command in (
        ["hide", "-", "secret.png", "-o", "stego.png"],
        ["hide", "covers/0.png", "-", "-o", "stego.png"],
        ["hide", "covers/0.png", "secret.png", "-o", "-"],
        ["reveal", "-", "-o", "back.png"],
        ["reveal", "covers/0.png", "-o", "-"],
    ):
        assert_refused(steglib(*command, *place), 2, "do not reach a cluster: name files")
    monkeypatch.setattr(batches.workers, "PATIENCE", 1)
    for command in (["hide", "covers", "secret.png"], ["reveal", "covers"]):
        assert_refused(steglib(*command, "-o", "new", *place), 2, "No Dask scheduler answers at")
        assert not names(photos / "new")


def assert_whole(stegos, count):
    assert len(stegos) == count
    hider, secret = load_model("residue"), pixels("secret.png")
    for stego in stegos:
        assert np.abs(hider.reveal(pixels(stego)).astype(int) - secret).mean() < 2
    assert not list(Path().rglob(".*"))


def tell(cover, output, settings):
    return [f"{os.getpid()} {id(settings.hider())} {workers.THREADS} {progress.BARS}"]


def test_a_worker_loads_a_hider_once_and_is_modest(photos, cluster):
    sources, settings = places.expand([Path("covers")]) * 3, jobs.Settings("residue")
    outputs = [Path(f"{i}.png") for i in range(len(sources))]
    with batches.started(tell, sources, outputs, settings, cluster.address) as results:
        told = {result()[0] for result in results}
    assert len(told) == len({line.split()[0] for line in told}) <= 2
    assert all(line.endswith(" 1 False") for line in told)


def hide_and_die_once(cover, output, settings):
    """The first worker is killed when it has written all, or half, and nobody heard of it."""
    lines = jobs.hide(cover, output, settings)
    died = cover.with_suffix(".died")
    if not died.exists():
        died.touch()
        if cover.stem == "2":
            output.rename(output.with_name(".0123456789abcdef.part"))
        os.kill(os.getpid(), signal.SIGKILL)
    return lines


def test_a_file_that_a_worker_wrote_before_it_died_is_no_hindrance(photos, cluster):
    output, settings = Path("stego.png"), jobs.Settings("residue", secret=Path("secret.png"))
    for cover in (Path("covers/1.png"), Path("covers/2.png")):
        cluster.have_workers(2)
        work = hide_and_die_once, places.expand([cover]), [output], settings, cluster.address
        with batches.started(*work) as (result,):
            assert result()[-1].startswith("stego.png: 64×64 pixels, cover PSNR")
        assert len([worker for worker in cluster.workers if worker.poll() is None]) == 1
        assert_whole([output], 1)
        output.unlink()


@pytest.fixture
def long_command(photos, cluster):
    """Hides in 40 covers, and has done a few."""
    for i in range(3, 40):
        os.link(f"covers/{i % 3}.png", f"covers/{i}.png")
    command = ["hide", "covers", "secret.png", "-o", "stegos", "--cluster", cluster.address]
    with subprocess.Popen(
        [sys.executable, "-m", "steglib", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # `make test &`
    ) as process:
        wait_until(lambda: len(list(Path("stegos").glob("*.png"))) > 2)
        yield process
        process.kill()


def test_a_killed_worker_loses_nothing(cluster, long_command):
    cluster.workers[0].kill()
    said, error = long_command.communicate(timeout=60)
    assert (long_command.returncode, error) == (0, "")
    assert said.count("40×40 pixels") == 0 and said.count("64×64 pixels, cover PSNR") == 40
    assert_whole(list(Path("stegos").iterdir()), 40)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_leaves_what_is_done(cluster, long_command, number, code):
    long_command.send_signal(number)
    assert long_command.communicate(timeout=20)[1] == "steglib: interrupted\n" * (code == 130)
    assert long_command.returncode == code
    done = list(Path("stegos").iterdir())
    assert 2 < len(done) < 40
    assert_whole(done, len(done))
