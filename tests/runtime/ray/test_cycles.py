"""No cycle is searched for meanwhile, and every one is found afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from raypipe.runtime.ray.cycles import cycles_left


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_a_cycle_stays_until_the_end() -> None:
    with cycles_left():
        assert not gc.isenabled()
        knot = weakref.ref(Knot())
        kept = [[] for _ in range(gc.get_threshold()[0] * 2)]  # enough to be looked through
        assert knot() is not None
    assert gc.isenabled()
    del kept
    gc.collect()
    assert knot() is None


def test_who_does_not_search_does_not_begin_to() -> None:
    gc.disable()
    try:
        with cycles_left():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_error_does_not_end_the_search() -> None:
    with pytest.raises(ZeroDivisionError), cycles_left():
        _ = 1 / 0
    assert gc.isenabled()


def test_the_search_goes_on_after_the_last_of_several_threads() -> None:
    first, second = cycles_left(), cycles_left()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
