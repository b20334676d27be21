"""Work in several processes; this file is also the command that does it, to be interrupted."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from steglib import workers

PREPARED = []


def prepare():
    PREPARED.append("once")


def double(number):
    if number < 0:
        raise ValueError(f"{number} is below zero")
    return 2 * number, os.getpid(), PREPARED


def die():
    os._exit(1)


def begin_and_wait(folder, number):
    """Leaves a file when it begins, and another if it may clean up."""
    (folder / f"begun-{number}").touch()
    try:
        time.sleep(60)
    finally:
        (folder / f"cleaned-{number}").touch()


def main(folder):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    jobs = [(folder, number) for number in range(8)]
    with workers.running(begin_and_wait, jobs, 2, prepare) as futures:
        for future in futures:
            future.result()


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_each_job_has_its_result_or_its_error(two_cores):
    with workers.running(double, [(1,), (-1,), (3,)], 4, prepare) as futures:
        (first, process, prepared), (last, other, _) = futures[0].result(), futures[2].result()
        with pytest.raises(ValueError, match="-1 is below zero"):
            futures[1].result()
    assert (first, last) == (2, 6) and os.getpid() not in (process, other)
    assert prepared == ["once"] and not PREPARED


def test_at_most_so_many_processes(two_cores):
    for count, most in ((1, 1), (4, 2)):
        with workers.running(double, [(i,) for i in range(6)], count, prepare) as futures:
            assert len({future.result()[1] for future in futures}) <= most


def test_a_process_that_dies_is_an_error_of_its_jobs():
    """As one that the system kills for its memory."""
    with workers.running(die, [(), ()], 1, prepare) as futures:
        for future in futures:
            with pytest.raises(BrokenProcessPool):
                future.result(timeout=30)


# Ends


@pytest.fixture
def command(tmp_path):
    """This file as a process whose two processes have begun; they share its output."""
    with subprocess.Popen(
        [sys.executable, __file__, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_until(lambda: len(begun(tmp_path)) == min(2, os.cpu_count()), process)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until(holds, process):
    deadline = time.monotonic() + 60
    while not holds():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def numbers(folder, what):
    return sorted(path.name.split("-")[1] for path in folder.glob(f"{what}-*"))


begun = functools.partial(numbers, what="begun")


def test_processes_end_with_the_first(tmp_path, command):
    """Else they would live on, and keep its output open."""
    before = begun(tmp_path)
    command.kill()
    command.communicate(timeout=60)  # which waits until all have closed it
    assert command.returncode == -signal.SIGKILL
    assert begun(tmp_path) == before and not numbers(tmp_path, "cleaned")


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_processes_clean_up_and_begin_nothing_else(tmp_path, command, kill, number, code):
    """Whether one is told to stop, or, as by a terminal, all of them."""
    before = begun(tmp_path)
    kill(command.pid, number)
    command.communicate(timeout=60)
    assert command.returncode == code
    assert begun(tmp_path) == numbers(tmp_path, "cleaned") == before


if __name__ == "__main__":
    main(Path(sys.argv[1]))
