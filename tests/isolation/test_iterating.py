"""Iterators in another process: what comes before the item at fault is given, however it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest
from child_worker import counted, pids, poisoned, weigh

from raypipe.errors import CallError, CorpusError, ProcessEndedError
from raypipe.isolation import iterating
from raypipe.isolation.iterating import IterationHost, iterated_apart


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    while iterating._idle:
        iterating._idle.pop().end()


def given(make: partial[Iterator[int]], limit_s: float = 60.0) -> Iterator[int]:
    return iterated_apart(make, weight=weigh, limit_s=limit_s, memory_gb=1.0)


def test_items_are_those_of_the_iterator() -> None:
    assert list(given(partial(counted, 20))) == list(range(20))
    assert list(given(partial(counted, 0))) == []


def test_one_process_serves_one_iterator_after_the_other() -> None:
    first, second = list(given(partial(pids, 5))), list(given(partial(pids, 5)))
    assert {*first} == {*second} != {os.getpid()}
    left = given(partial(counted, 20))
    assert next(left) == 0
    del left  # in the middle: the process is free for another
    assert {*given(partial(pids, 1))} == {*first}


def test_two_at_once_have_a_process_each() -> None:
    one, other = given(partial(pids, 9)), given(partial(pids, 9))
    assert next(one) != next(other)
    assert len({*one} | {*other}) == 2
    assert len(iterating._idle) == 1


def test_a_process_that_died_while_it_waited_costs_nothing() -> None:
    [pid] = given(partial(pids, 1))
    os.kill(pid, signal.SIGKILL)
    assert list(given(partial(counted, 3))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("deed", "code", "words"),
    [
        ("segfault", "process_died", "SIGSEGV"),
        ("exit", "process_died", "exit code"),
        ("hang", "timeout", "no answer within 1 s"),
        ("fill", "memory_limit", "more than 1 GB"),
    ],
)
def test_all_before_the_item_at_fault_are_given(deed: str, code: str, words: str) -> None:
    rows: list[int] = []
    with pytest.raises(ProcessEndedError, match=words) as caught:
        rows.extend(given(partial(poisoned, 4, deed), 1.0 if deed == "hang" else 60.0))
    assert caught.value.code == code
    assert rows == [0, 1, 2, 3]


def test_errors_come_after_the_items_before_them() -> None:
    rows: list[int] = []
    with pytest.raises(CorpusError, match="is damaged"):
        rows.extend(given(partial(poisoned, 4, "refuse")))
    assert rows == [0, 1, 2, 3]
    with pytest.raises(CallError, match="nobody foresaw"):
        list(given(partial(poisoned, 0, "raise")))


def test_a_host_hands_on_what_is_ready() -> None:
    host: IterationHost[int] = IterationHost()
    host.begin(partial(counted, 5), weigh, 1)
    assert host.more(singly=True) == ([1], False, None)
    assert host.more(singly=False) == ([2, 3, 4], False, None)
    assert host.more(singly=False) == ([], True, None)
    host.begin(slow, weigh, 0)
    started = time.monotonic()
    assert len(host.more(singly=False)[0]) == 1
    assert time.monotonic() - started < 5


def slow() -> Iterator[int]:
    for number in range(2):
        time.sleep(0.6)
        yield number
