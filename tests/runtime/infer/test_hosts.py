from __future__ import annotations

import pickle
import time
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from child_worker import Worker
from fake_engine import checked_engine, tagged

from raypipe.errors import CallError, LostEngineError, ProcessEndedError, StoppedError
from raypipe.isolation.child_process import ChildProcess
from raypipe.records import Failure, Search
from raypipe.runtime.infer.hosts import Host, HostedEngine, OwnProcess, RenewedHost, failure_of

SEARCH = Search(2, True, 8)


def test_an_engine_in_this_process_is_called_as_one_elsewhere() -> None:
    host = OwnProcess(Worker)
    assert host.call("echo", 1, limit_s=1e-9, keep=True) == 1
    with pytest.raises(CallError, match=r"^unexpected ValueError: two lines$") as caught:
        host.call("fail", ValueError("two\nlines"))
    assert caught.value.code == "ValueError"
    with pytest.raises(StoppedError, match="spent"):
        host.call("fail", StoppedError("spent"))
    assert not host.renewable
    host.end()
    assert host.call("echo", 2) == 2


def test_a_hosted_engine_answers_as_it_does_alone() -> None:
    engine = checked_engine()
    hosted = HostedEngine(checked_engine)
    assert hosted.capabilities() == engine.capabilities
    inputs = tagged("u1", "u2")
    # In bytes, as arrays are not compared by `==`.
    assert pickle.dumps(hosted.ask(inputs, SEARCH, False)) == pickle.dumps(
        engine.generate(inputs, SEARCH)
    )


class Caching:
    """Notes when its audio cache begins and ends."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    @contextmanager
    def audio_cache(self) -> Any:
        self.notes.append("begin")
        yield
        self.notes.append("end")

    def generate(self, inputs: Any, search: Search) -> list[Any]:
        self.notes.append("ask")
        return []


def test_the_audio_cache_lasts_until_it_is_to_forget() -> None:
    notes: list[str] = []
    hosted = HostedEngine(partial(Caching, notes))
    hosted.forget()
    hosted.ask([], SEARCH, False)
    for _ in range(2):
        hosted.ask([], SEARCH, True)
        hosted.ask([], SEARCH, True)
        hosted.forget()
    assert notes == ["ask", *["begin", "ask", "ask", "end"] * 2]


def test_what_ends_a_process_is_made_again_in_another_one() -> None:
    host = RenewedHost(partial(ChildProcess, Worker))
    assert not host.is_loaded
    assert host.call("echo", 1) == 1
    assert host.renewable
    with pytest.raises(ProcessEndedError, match="exit code 3"):
        host.call("do", "exit")
    assert not host.is_loaded
    assert host.call("echo", 2) == 2
    host.drop()
    assert not host.renewable


def test_an_object_that_takes_too_long_to_load_is_not_made_again() -> None:
    begun: list[int] = []

    def start() -> Host:
        begun.append(1)
        return ChildProcess(partial(time.sleep, 3600), load_limit_s=0.2)

    why = "its process gave no answer within 0.2 s and was killed while it was loaded"
    with pytest.raises(LostEngineError, match=rf"^{why}$"):
        RenewedHost(start).load()
    assert begun == [1]


def test_what_is_in_this_process_stays() -> None:
    host = RenewedHost(partial(OwnProcess, Worker))
    host.load()
    host.drop()
    assert host.is_loaded
    assert not host.renewable


def test_a_failure_says_what_happened_to_whom() -> None:
    died = ProcessEndedError("process_died", "was ended by SIGSEGV")
    assert failure_of("u1", "decode", died, "the frontend's") == Failure(
        "u1", "decode", "process_died", "the frontend's process was ended by SIGSEGV"
    )
    raised = CallError("ValueError", "unexpected ValueError: x")
    assert failure_of(None, "read", raised, "the frontend's") == Failure(
        None, "read", "ValueError", "unexpected ValueError: x"
    )
