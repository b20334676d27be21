"""Work on several files at a time: in processes that stop when this one does, or on a cluster.

And how many threads may work on one picture.
"""

import contextlib
import functools
import logging
import os
import pickle
import signal
import sys
import threading
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from multiprocessing import active_children, get_context, parent_process
from urllib.parse import urlsplit

from threadpoolctl import ThreadpoolController

from steglib import progress

THREADS = min(4, os.cpu_count() or 1)  # for parts of one picture, each some 100 MB
# Signals that end a process: from `kill`, and from a terminal that is closed.
ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
STOPPED = threading.Event()  # in one of the processes: it was told to
ALONE = threading.Lock()  # who works: a cluster may give a process threads, libraries share state
PATIENCE = 5  # seconds, for a cluster to answer
# Who logs what happens to a connection: what a person must know of it, errors say.
CHATTER = "distributed", "distributed.client", "tornado.application", "asyncio"
CLUSTER = (  # help for an option
    "work on a Dask cluster, whose scheduler has this address, tcp://host:port; its workers, of "
    "one thread each, must have this steglib, and see files under the same names as this machine"
)


@contextlib.contextmanager
def threads():
    """A pool of threads for one picture; NumPy's own would only wait for each other."""
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        yield pool


@functools.cache
def _libraries():
    """Those with threads of their own; to find them takes milliseconds."""
    return ThreadpoolController()


def be_modest():
    """For one of several processes: one thread, no progress bars."""
    global THREADS
    THREADS, progress.BARS = 1, False


@contextlib.contextmanager
def running(work, jobs, count: int, prepare, cluster: str | None = None, folder=None):
    """Starts `work(*job)` for every job; gives a list of `concurrent.futures.Future`.

    KeyboardInterrupt and SystemExit, as they come from signals, end the processes: after their
    cleaning up, but without what they have not finished or begun. On a cluster, jobs that have
    begun go on, and nobody waits for them. There, a job is done again if its worker dies, so that
    doing it twice, even at the same time, must do no harm.

    Args:
        work, jobs: can be pickled.
        count: processes at most; a cluster has as many as it has.
        prepare: function that each process calls first.
        cluster: address of the scheduler of a Dask cluster, "tcp://…" or "tls://…", to work there.
        folder: with a cluster, one that all its workers must see.

    Raises:
        BrokenExecutor: the cluster cannot be used, and why; or it is lost before all is done. As
            the error of a job: its processes died.
    """
    count = min(len(jobs), os.cpu_count() or 1, count)
    with _on_cluster(cluster, folder) if cluster else _in_processes(count) as submit:
        with _signals_later():
            futures = [submit(_do, prepare, work, job) for job in jobs]
        yield futures


def results(work, jobs, prepare, cluster: str, folder=None):
    """What `work(*job)` returns, for every job in order, done as by `running` on a cluster."""
    with running(work, list(jobs), 1, prepare, cluster, folder) as futures:
        for future in futures:
            yield future.result()


def then(future: Future, finish) -> Future:
    """A future for what `finish(future)` returns, which is called as soon as `future` is done."""
    finished = Future()

    def pass_on(future):
        try:
            finished.set_result(finish(future))
        except BaseException as error:
            finished.set_exception(error)

    future.add_done_callback(pass_on)
    return finished


@contextlib.contextmanager
def _in_processes(count):
    with ProcessPoolExecutor(count, get_context("spawn"), _begin) as pool:
        try:
            yield pool.submit
        except (KeyboardInterrupt, SystemExit):
            for process in active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)
            raise


@contextlib.contextmanager
def _on_cluster(address, folder):
    with _connected(address) as client:
        _check_workers(client, folder)
        pool = client.get_executor(pure=False)
        try:
            yield functools.partial(_submit, pool)
        except CancelledError as error:
            remedy = "start it, and run the command again"
            raise BrokenExecutor(f"The cluster at {address} was lost: {remedy}.") from error


def _submit(pool, work, *arguments):
    import cloudpickle

    # As bytes in a function: so the scheduler needs no steglib, and no log shows a key.
    pickled = cloudpickle.dumps((work, arguments))

    def call():
        work, arguments = pickle.loads(pickled)
        return work(*arguments)

    return then(pool.submit(call), _result)


def _result(future):
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        died = f"{error.allowed_failures + 1} workers died at it, one after the other"
        raise BrokenExecutor(f"{died}: give them more memory.") from error
    except ModuleNotFoundError as error:  # on a worker that came after the others were asked
        if error.name != "steglib":
            raise
        raise BrokenExecutor("A worker that came late has no steglib: install it there.") from error


def _connected(address):
    """Dask's client of a cluster that has workers."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        remedy = 'pip install "steglib[cluster]"'
        raise BrokenExecutor(f"A cluster needs {error.name}: {remedy}") from error
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("tcp", "tls") or not (parts.hostname and parts.port):
            raise ValueError
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except ValueError as error:
        reason = f"{address!r} is no address of a cluster: one looks like tcp://host:8786"
        raise BrokenExecutor(f"{reason}.") from error
    except TypeError as error:
        remedy = "name them in Dask's configuration, distributed.comm.tls"
        raise BrokenExecutor(f"{address} needs certificates: {remedy}.") from error
    except OSError as error:
        reason = f"No Dask scheduler answers at {address} within {PATIENCE} seconds"
        raise BrokenExecutor(f"{reason}: start one, or correct the address.") from error
    try:
        client.wait_for_workers(1, PATIENCE)
    except OSError as error:  # which a TimeoutError is
        client.close()
        remedy = f"start some, dask worker {address} --nthreads 1"
        raise BrokenExecutor(f"The cluster at {address} has no workers: {remedy}.") from error
    return client


def _check_workers(client, folder):
    versions = client.get_versions(packages=["steglib"])
    wanted = _versions(versions["client"])
    for worker, found in versions["workers"].items():
        for name, version in _versions(found).items():
            if wanted[name] and version != wanted[name]:
                has = f"has {name} {version}" if version else f"has no {name}"
                remedy = f"install {wanted[name]} there, as here"
                raise BrokenExecutor(f"The worker {worker} {has}: {remedy}.")
    if folder is not None:
        for worker, sees in client.run(os.path.isdir, str(folder), on_error="ignore").items():
            if not sees:
                remedy = "share it with all workers, under the same name"
                raise BrokenExecutor(f"The worker {worker} sees no folder {folder}: {remedy}.")


def _versions(machine):
    """Of what must be the same: of Python, on which functions as bytes depend, the first two."""
    found = machine["packages"]
    return {"python": ".".join(found["python"].split(".")[:2]), "steglib": found["steglib"]}


@contextlib.contextmanager
def _signals_later():
    """Signals wait until all processes have started: one that gets only half of what it needs
    would complain. The processes never get any interrupt: this one is to end them."""
    came, handlers = [], {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *ENDS):
            handlers[number] = signal.signal(number, lambda number, _: came.append(number))
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; the processes inherit it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _begin():
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in ENDS:
        signal.signal(number, _stop)


def _end_with_parent():
    parent_process().join()
    os._exit(1)


def _stop(number, _):
    if not STOPPED.is_set():  # a second signal must not stop the cleaning up
        STOPPED.set()
        sys.exit(128 + number)


def _do(prepare, work, job):
    if STOPPED.is_set():  # a process gets its next job even then
        sys.exit(143)
    with ALONE:
        _prepare_once(prepare)
        return work(*job)


@functools.cache
def _prepare_once(prepare):
    prepare()
