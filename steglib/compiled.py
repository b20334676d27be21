"""Loops over numbers, compiled: the few that cannot be operations on whole arrays."""

import numba


def compiled(function):
    """Decorates what takes numbers and arrays: it is compiled when first called, and kept on disk.

    Threads run it at once. It adds and multiplies as Python does, in its order, on every machine.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder may be written to
        return numba.njit(nogil=True)(function)
