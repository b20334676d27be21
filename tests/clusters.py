"""Dask clusters on this machine, of real processes, which tests may kill."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent
HOST = "127.0.0.1"
# What workers import: steglib, and the work that tests give them.
PLACES = TESTS.parent, TESTS, TESTS / "tool", TESTS.parent / "notebooks"


class Cluster:
    """A scheduler and workers of one thread each; a job may kill one worker, but not two."""

    def __init__(self, folder: Path):
        self.folder, self.workers = folder, []
        file = folder / "scheduler.json"
        options = [
            "--host",
            HOST,
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            file,
            "--idle-timeout",
            300,
        ]
        failures = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        self.scheduler = self._start("scheduler", *options, **failures)
        wait_until(lambda: file.is_file() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]

    def _start(self, what, *options, **environment):
        places = os.pathsep.join([environment.pop("before", ""), *map(str, PLACES)])
        with open(self.folder / f"{what}.log", "a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, options)],
                env={
                    **os.environ,
                    "PYTHONPATH": places.strip(os.pathsep),
                    "STEGLIB_HOME": str(self.folder),
                    **environment,
                },
                stdout=log,
                stderr=log,
                cwd=self.folder,  # whoever leaves paths relative finds nothing
            )

    def start_worker(self, threads: int = 1, **environment) -> subprocess.Popen:
        """One more. It ends with the scheduler. What is to be imported `before` others, it is."""
        options = ["--host", HOST, "--nthreads", threads, "--no-nanny", "--no-dashboard"]
        options += ["--local-directory", self.folder]
        worker = self._start("worker", self.address, *options, **environment)
        self.workers.append(worker)
        return worker

    def have_workers(self, count: int = 2) -> None:
        """Starts as many as are missing, ends the last of too many, and waits for that."""
        for worker in self.workers[count:]:
            worker.kill()
            worker.wait()
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        for _ in range(count - len(self.workers)):
            self.start_worker()
        wait_until(lambda: self.alive() == len(self.workers) == count)

    def alive(self) -> int:
        """How many workers the scheduler knows."""
        from distributed import Client

        with Client(self.address, timeout=20, set_as_default=False) as client:
            return len(client.scheduler_info(n_workers=-1)["workers"])

    def end(self) -> None:
        for process in (self.scheduler, *self.workers):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def wait_until(holds, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
