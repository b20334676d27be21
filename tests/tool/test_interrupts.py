"""What is left when a command is told to stop, or killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import names, pixels

pytestmark = pytest.mark.slow  # what is measured is how quickly a process ends


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


def wait_until(holds, process):
    deadline = time.monotonic() + 60
    while not holds():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)


def wait_for_part(folder, process):
    wait_until(lambda: list(folder.glob(".*.part")), process)


def test_interrupt_leaves_nothing(tmp_path, slow_command):
    cover, start = slow_command
    process = start(cover, output=tmp_path / "stego.png")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == "steglib: interrupted\n"
    assert process.returncode == 130 and names(tmp_path) == ["cover.png", "secret.png"]


def children(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


@pytest.mark.parametrize("moment", ["imports", "folder", "1 child", "2 children", "3 children"])
def test_interrupt_of_a_command_that_begins(tmp_path, slow_command, moment):
    """Of its children, one is Python's own. While it imports, it ends without a word."""
    cover, _ = slow_command
    covers = [cover, *(shutil.copy(cover, tmp_path / f"cover{i}.png") for i in range(1, 8))]
    process = subprocess.Popen(
        [sys.executable, "-m", "steglib", "hide", *covers, tmp_path / "secret.png", "-o",
         tmp_path / "stegos"], stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    if moment == "imports":
        maps = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda: "_multiarray_umath" in maps.read_text(), process)
    elif moment == "folder":
        wait_until((tmp_path / "stegos").is_dir, process)
    else:
        wait_until(lambda: len(children(process)) >= int(moment[0]), process)
    os.killpg(process.pid, signal.SIGINT)
    ended = process.communicate(timeout=10)[1], process.returncode
    assert ended == (
        ("", -signal.SIGINT) if moment == "imports" else ("steglib: interrupted\n", 130)
    )
    assert moment == "imports" or not names(tmp_path / "stegos")


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
