"""Work in several processes; this file is also the command that does it, to be interrupted."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from clusters import Cluster

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


def die_once(folder):
    """The first try is killed at the end, before anybody hears that it is done."""
    (folder / f"tried-{os.getpid()}").touch()
    if len(list(folder.iterdir())) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def wait_for(file):
    while not file.exists():
        time.sleep(0.01)


def begin_and_wait_for(file, folder, number):
    (folder / f"begun-{number}").touch()
    wait_for(file)


def overlap(folder):
    """How many do this in this process at this time."""
    mine = folder / f"{threading.get_ident()}"
    mine.touch()
    time.sleep(0.1)
    count = len(list(folder.iterdir()))
    mine.unlink()
    return count


def main(folder, address=None):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    jobs = [(folder, number) for number in range(8)]
    work = begin_and_wait
    if address:
        work = functools.partial(begin_and_wait_for, folder / "go")
    with workers.running(work, jobs, 2, prepare, address) as futures:
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


# On a cluster


def test_a_cluster_does_each_job(cluster):
    jobs = [(i,) for i in range(-1, 9)]
    with workers.running(double, jobs, 1, prepare, cluster.address) as (wrong, *futures):
        with pytest.raises(ValueError, match="-1 is below zero"):
            wrong.result(timeout=30)
        found = [future.result(timeout=30) for future in futures]
    assert [number for number, *_ in found] == list(range(0, 18, 2))
    assert {process for _, process, _ in found} <= {worker.pid for worker in cluster.workers}
    assert all(prepared == ["once"] for *_, prepared in found) and not PREPARED


def test_a_job_whose_worker_dies_is_done_by_another(tmp_path, cluster):
    with workers.running(die_once, [(tmp_path,)], 1, prepare, cluster.address) as (future,):
        last = future.result(timeout=30)
    first, second = sorted(tmp_path.iterdir(), key=lambda path: path.name == f"tried-{last}")
    assert first.name != second.name == f"tried-{last}"


def test_a_job_that_kills_every_worker_is_given_up(cluster):
    with workers.running(die, [()], 1, prepare, cluster.address) as (future,):
        error = future.exception(timeout=30)
    assert isinstance(error, BrokenExecutor)
    assert str(error) == "2 workers died at it, one after the other: give them more memory."


def test_a_worker_with_several_threads_does_one_job_at_a_time(tmp_path, any_cluster):
    any_cluster.have_workers(0)
    any_cluster.start_worker(threads=3)
    any_cluster.have_workers(1)
    with workers.running(overlap, [(tmp_path,)] * 6, 1, prepare, any_cluster.address) as futures:
        assert [future.result(timeout=30) for future in futures] == [1] * 6
    any_cluster.have_workers(0)


def test_interrupt_cancels_what_has_not_begun(tmp_path, cluster):
    with subprocess.Popen(
        [sys.executable, __file__, tmp_path, cluster.address],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: len(begun(tmp_path)) == 2, process)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1].endswith("KeyboardInterrupt\n")
    before = begun(tmp_path)
    (tmp_path / "go").touch()
    with workers.running(double, [(1,), (2,)], 1, prepare, cluster.address) as futures:
        assert all(future.result(timeout=30) for future in futures)
    assert begun(tmp_path) == before


def refused(address, folder=None):
    with (
        pytest.raises(BrokenExecutor) as raised,
        workers.running(double, [(1,)], 1, prepare, address, folder) as (future,),
    ):
        future.result(timeout=30)
    return str(raised.value)


def test_a_cluster_that_cannot_be_used_says_why(cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    for wrong in (
        "nonsense",
        "127.0.0.1:8786",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999",
        "x://y:1",
    ):
        assert refused(wrong).startswith(f"{wrong!r} is no address of a cluster: one looks like")
    nobody = refused("tcp://127.0.0.1:1")
    assert nobody.startswith("No Dask scheduler answers at tcp://127.0.0.1:1 within 1 seconds: ")
    assert "certificates: name them in Dask's configuration" in refused("tls://127.0.0.1:1")
    unseen = refused(cluster.address, tmp_path / "elsewhere")
    assert f"sees no folder {tmp_path / 'elsewhere'}: share it" in unseen
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refused(cluster.address) == (
        'A cluster needs distributed: pip install "steglib[cluster]"'
    )


OTHER = """import importlib.metadata
known = importlib.metadata.version
importlib.metadata.version = lambda name: VERSION if name == "steglib" else known(name)
"""
NONE = """import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "steglib":
            raise ModuleNotFoundError("No module named 'steglib'", name="steglib")
sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize("version, has", [(None, "no steglib"), ("0.0.9", "steglib 0.0.9")])
def test_a_worker_of_another_version(tmp_path, cluster, version, has):
    (tmp_path / "sitecustomize.py").write_text(OTHER.replace("VERSION", repr(version)))
    cluster.start_worker(before=str(tmp_path))
    cluster.have_workers(3)
    said = refused(cluster.address)
    assert said.startswith("The worker tcp://") and f" has {has}: install 0.1.0 there" in said


def test_a_worker_without_steglib_that_came_late(tmp_path, any_cluster):
    """Or whose steglib is broken: the others were asked before."""
    any_cluster.have_workers(0)
    (tmp_path / "sitecustomize.py").write_text(NONE)
    any_cluster.start_worker(before=str(tmp_path))
    any_cluster.have_workers(1)
    said = refused(any_cluster.address)
    any_cluster.have_workers(0)  # no other test wants this one
    assert "has no steglib: install it" in said


def test_a_cluster_without_workers_and_one_that_is_lost(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    mine = Cluster(tmp_path)
    try:
        assert "has no workers: start some, dask worker tcp://" in refused(mine.address)
        mine.have_workers(1)
        file = tmp_path / "never"
        with (
            pytest.raises(BrokenExecutor, match="was lost: start it, and run the command again"),
            workers.running(wait_for, [(file,)] * 3, 1, prepare, mine.address) as futures,
        ):
            mine.scheduler.kill()
            futures[0].result(timeout=30)
    finally:
        mine.end()
    assert capfd.readouterr() == ("", "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
