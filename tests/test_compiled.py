import numba

from steglib.compiled import compiled


def triangle(n):
    total = 0
    for i in range(n + 1):
        total += i
    return total


def test_compiled():
    assert compiled(triangle)(100) == 5050


def test_compiled_where_nothing_can_be_kept(monkeypatch):
    """As in a container that may not be written to."""
    njit = numba.njit

    def refuse(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", refuse)
    assert compiled(triangle)(100) == 5050
