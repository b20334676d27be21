"""What is left when a command is told to stop, or killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from shell import names, pixels


@pytest.fixture
def slow_command(tmp_path, pairs):
    """Starts to hide in a large cover, and waits until it is at it."""
    cover, secret = tmp_path / "cover.png", tmp_path / "secret.png"
    tiles = np.tile(pairs[0][0], (24, 32, 1))  # 3 megapixels
    Image.fromarray(tiles).save(cover, compress_level=1)
    picture = Image.fromarray(tiles[:512, :512])
    picture.putalpha(99)
    picture.save(secret)
    started = []

    def start(*covers, output):
        process = subprocess.Popen(
            [sys.executable, "-m", "steglib", "hide", *covers, secret, "-o", output],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # `make test &`
        )
        started.append(process)
        assert "flattened" in process.stdout.readline()
        return process

    yield cover, start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_part(folder, process):
    while not list(folder.glob(".*.part")):
        assert process.poll() is None
        time.sleep(0.001)


def test_interrupt_leaves_nothing(tmp_path, slow_command):
    cover, start = slow_command
    process = start(cover, output=tmp_path / "stego.png")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == "steglib: interrupted\n"
    assert process.returncode == 130 and names(tmp_path) == ["cover.png", "secret.png"]


@pytest.mark.parametrize("wait", [0.1, 0.4, 0.8, 1.2, 1.6])
def test_interrupt_of_a_command_that_begins(tmp_path, slow_command, wait):
    cover, _ = slow_command
    covers = [cover, *(shutil.copy(cover, tmp_path / f"cover{i}.png") for i in range(1, 8))]
    process = subprocess.Popen(
        [sys.executable, "-m", "steglib", "hide", *covers, tmp_path / "secret.png", "-o",
         tmp_path / "stegos"], stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=10)[1] in ("", "steglib: interrupted\n")
    assert process.returncode in (130, -signal.SIGINT)


def test_processes_end_with_the_first(tmp_path, slow_command):
    """Else they would live on, and keep its output open."""
    cover, start = slow_command
    other = shutil.copy(cover, tmp_path / "other.png")
    process = start(cover, other, output=tmp_path / "stegos")
    time.sleep(1)
    process.kill()
    process.communicate(timeout=10)  # ends when all have closed it


@pytest.mark.parametrize("kill", [os.killpg, os.kill])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_of_several(tmp_path, slow_command, kill, number, code):
    """A terminal or `timeout` tells all processes, `kill` one: none goes on with its work."""
    cover, start = slow_command
    covers = [cover, *(shutil.copy(cover, tmp_path / f"cover{i}.png") for i in (1, 2, 3))]
    process = start(*covers, output=tmp_path / "stegos")
    wait_for_part(tmp_path / "stegos", process)
    kill(process.pid, number)
    error = process.communicate(timeout=10)[1]
    assert error == "steglib: interrupted\n" * (code == 130) and process.returncode == code
    done = names(tmp_path / "stegos")
    assert len(done) <= 2  # at most what two processes were writing
    for name in done:
        assert pixels(tmp_path / "stegos" / name).shape == (1536, 2048, 3)


def test_interrupt_and_kill_while_writing(tmp_path, slow_command):
    cover, start = slow_command
    stego = tmp_path / "stego.png"
    process = start(cover, output=stego)
    wait_for_part(tmp_path, process)
    process.kill()
    process.communicate()
    assert not stego.exists()
    (part,) = tmp_path.glob(".*.part")
    part.unlink()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = start(cover, output=stego)
        wait_for_part(tmp_path, process)
        process.send_signal(number)
        error = process.communicate()[1]
        assert error == "steglib: interrupted\n" * (code == 130) and process.returncode == code
    assert names(tmp_path) == ["cover.png", "secret.png"]
