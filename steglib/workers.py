"""Work on several files at a time, in processes that stop when this one is told to, or dies.

And how many threads may work on one picture.
"""

import contextlib
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import active_children, get_context, parent_process

from threadpoolctl import threadpool_limits

THREADS = min(4, os.cpu_count() or 1)  # for parts of one picture, each some 100 MB
# Signals that end a process: from `kill`, and from a terminal that is closed.
ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
STOPPED = threading.Event()  # in one of the processes: it was told to


@contextlib.contextmanager
def threads():
    """A pool of threads for one picture; NumPy's own would only wait for each other."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as pool:
        yield pool


@contextlib.contextmanager
def running(work, jobs, count: int, prepare):
    """Starts `work(*job)` for every job; gives a list of `concurrent.futures.Future`.

    KeyboardInterrupt and SystemExit, as they come from signals, end the processes: after their
    cleaning up, but without what they have not finished or begun.

    Args:
        work, jobs: can be pickled.
        count: processes at most.
        prepare: function that each process calls first.
    """
    count = min(len(jobs), os.cpu_count() or 1, count)
    with ProcessPoolExecutor(count, get_context("spawn"), _begin, (prepare,)) as pool:
        try:
            with _signals_later():
                futures = [pool.submit(_unless_stopped, work, job) for job in jobs]
            yield futures
        except (KeyboardInterrupt, SystemExit):
            for process in active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)
            raise


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


def _begin(prepare):
    prepare()
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


def _unless_stopped(work, job):
    """As a process gets its next job even after it was told to stop."""
    if STOPPED.is_set():
        sys.exit(143)
    return work(*job)
