"""An engine in real processes, which utterances end in every way."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_engine import checked_engine, tagged

from raypipe.errors import (
    CallError,
    ConfigError,
    EngineError,
    LostEngineError,
    ProcessEndedError,
    ProcessKilledError,
    StoppedError,
    UnsupportedError,
)
from raypipe.isolation.child_process import ChildProcess
from raypipe.protocols import Capabilities
from raypipe.records import Failure, Generation, Search
from raypipe.runtime.infer import hosts
from raypipe.runtime.infer import supervised as module
from raypipe.runtime.infer.hosts import LOADS, HostedEngine, OwnProcess
from raypipe.runtime.infer.supervised import (
    MOST_ENDS,
    MOST_VAIN_DOUBTS,
    SupervisedEngine,
    run_engine,
)

SEARCH = Search(2, True, 8)
NAMES = tuple(f"u{number}" for number in range(12))

REASONS = {
    "raise": ("ValueError", "unexpected ValueError: told to raise"),
    "exit": ("process_died", "the engine's process ended with exit code 3"),
    "segfault": ("process_died", "the engine's process was ended by SIGSEGV"),
    "hang": ("timeout", "the engine's process gave no answer within 1 s and was killed"),
    "memory": (
        "memory_limit",
        "the engine's process took more than 0.5 GB of memory and was killed",
    ),
    "wrong_type": ("EngineError", "engine fake answered 'u7' with a str"),
    "too_few": ("EngineError", "engine fake gave 0 answers for 1 utterances, 'u7' the first"),
    "another": ("EngineError", "engine fake answered about 'somebody else' where 'u7' was asked"),
    "surrogate": (
        "EngineError",
        "engine fake, 'u7', greedy 0: half a surrogate in its text, which no table takes",
    ),
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.time, "sleep", lambda _: None)


def in_processes(limit_s: float = 600, memory_gb: float | None = None, **options: Any) -> Any:
    make = partial(HostedEngine, partial(checked_engine, **options))
    return SupervisedEngine(partial(ChildProcess, make, memory_gb=memory_gb), limit_s)


def same(replies: Sequence[Generation | Failure], others: Sequence[Generation | Failure]) -> bool:
    return [pickle.dumps(one) for one in replies] == [pickle.dumps(one) for one in others]


@pytest.mark.parametrize("deed", REASONS)
def test_a_poison_utterance_is_a_failure_and_all_others_are_answered(
    deed: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    engine = in_processes(
        8 if deed == "hang" else 600,
        0.5 if deed == "memory" else None,
        poison={"u7": deed},
        log=str(log),
    )
    with engine.audio_cache():
        replies = engine.generate(tagged(*NAMES), SEARCH)
    (failure,) = [reply for reply in replies if isinstance(reply, Failure)]
    assert failure == Failure("u7", "engine", *REASONS[deed])
    assert not failure.is_refusal
    good = [name for name in NAMES if name != "u7"]
    answered = [reply for reply in replies if isinstance(reply, Generation)]
    assert same(answered, checked_engine().generate(tagged(*good), SEARCH))
    # The engine is loaded again only where its process has ended.
    ended = REASONS[deed][0] in ("process_died", "timeout", "memory_limit")
    assert log.read_text().splitlines().count("load") == (4 if ended else 1)


def test_the_inputs_of_an_utterance_are_asked_about_together(tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine = in_processes(poison={"u1": "raise"}, log=str(log))
    inputs = tagged("u0", "u0", "u1", "u1", "u1", "u2")
    replies = engine.generate(inputs, SEARCH)
    assert [reply.utterance_id for reply in replies] == [item.utterance_id for item in inputs]
    assert [isinstance(reply, Failure) for reply in replies] == [False] * 2 + [True] * 3 + [False]
    assert "u1 u1 u1" in log.read_text().splitlines()


class Scripted:
    """A host whose calls do what a list says: raise an error, or answer with utterances' ids."""

    renewable = True

    def __init__(self, script: list[Any], log: list[Any]) -> None:
        self.script, self.log = script, log
        log.append("load")
        first = script.pop(0) if script and isinstance(script[0], list) else []
        if first:
            raise first[0]

    def call(self, method: str, *arguments: Any, **limits: Any) -> Any:
        if method == "capabilities":
            return Capabilities(beams=True, emotion_logits=False, token_logprobs=False)
        if method == "forget":
            return None
        names = [tagged.utterance_id for tagged in arguments[0]]
        self.log.append((names, limits["limit_s"]))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return names

    def end(self) -> None:
        self.log.append("end")


def scripted(*script: Any, limit_s: float = 80) -> tuple[SupervisedEngine, list[Any]]:
    log: list[Any] = []
    return SupervisedEngine(partial(Scripted, list(script), log), limit_s), log


DIED = ProcessEndedError("process_died", "ended with exit code 3")
RAISED = CallError("ValueError", "unexpected ValueError: x")


def names_of(log: list[Any]) -> list[Any]:
    return [step if isinstance(step, str) else step[0] for step in log]


def test_a_part_has_its_share_of_the_time_but_an_eighth_at_least() -> None:
    engine, log = scripted(DIED, DIED)
    engine.generate(tagged(*NAMES), SEARCH)
    limits = {len(step[0]): step[1] for step in log if not isinstance(step, str)}
    assert limits[12] == 80
    assert limits[4] == pytest.approx(80 / 3)
    assert limits[1] == 10


def test_after_a_process_was_killed_the_same_is_asked_once_more() -> None:
    """Answers in parts may differ in their last bits from those of the whole."""
    killed = ProcessKilledError("process_died", "was ended by SIGKILL")
    engine, log = scripted(killed)
    assert engine.generate(tagged("u0", "u1"), SEARCH) == ["u0", "u1"]
    assert names_of(log) == ["load", ["u0", "u1"], "end", "load", ["u0", "u1"]]
    engine, log = scripted(killed, killed)
    assert engine.generate(tagged("u0", "u1"), SEARCH) == ["u0", "u1"]
    assert names_of(log)[-3:] == ["load", ["u0"], ["u1"]]


def test_what_does_not_fail_again_leaves_no_error() -> None:
    for error in (DIED, RAISED, EngineError("odd")):
        engine, _ = scripted(error, error)
        assert engine.generate(tagged(*NAMES), SEARCH) == list(NAMES)


def test_nobody_is_blamed_for_what_was_left_in_a_process() -> None:
    """As after an error of a GPU: every call raises until the process is another one."""
    engine, log = scripted(RAISED, RAISED)
    assert engine.generate(tagged("u0", "u1", "u2"), SEARCH) == ["u0", "u1", "u2"]
    calls = ["load", ["u0", "u1", "u2"], ["u0"], "end", "load", ["u0"], ["u1"], ["u2"]]
    assert names_of(log) == calls


class BrokenDevice(Scripted):
    """After an utterance of its poison, everything raises until the process is another one."""

    is_broken = False

    def call(self, method: str, *arguments: Any, **limits: Any) -> Any:
        names = [tagged.utterance_id for tagged in arguments[0]] if method == "ask" else []
        self.is_broken |= not {"u0", "u1", "u9"}.isdisjoint(names)
        if self.is_broken and method == "ask":
            raise RAISED
        return super().call(method, *arguments, **limits)


def test_nor_after_an_utterance_that_broke_it_by_itself() -> None:
    engine = SupervisedEngine(partial(BrokenDevice, [], []), 80)
    replies = engine.generate(tagged(*NAMES), SEARCH)
    blamed = [reply.utterance_id for reply in replies if isinstance(reply, Failure)]
    assert blamed == ["u0", "u1", "u9"]


def test_an_engine_that_always_raises_is_not_loaded_for_ever() -> None:
    engine, log = scripted(*[RAISED] * 1000)
    replies = engine.generate(tagged(*NAMES), SEARCH)
    assert all(isinstance(reply, Failure) for reply in replies)
    assert names_of(log).count("load") == 1 + MOST_VAIN_DOUBTS


@pytest.mark.parametrize("error", [StoppedError("spent"), ConfigError("x"), UnsupportedError("y")])
def test_what_no_utterance_is_to_blame_for_is_raised(error: Exception) -> None:
    engine, log = scripted(error)
    with pytest.raises(type(error), match=str(error)):
        engine.generate(tagged(*NAMES), SEARCH)
    assert len(log) == 2


def test_an_engine_that_always_ends_is_given_up() -> None:
    engine, log = scripted(*[DIED] * 1000)
    with pytest.raises(LostEngineError, match=f"ended {MOST_ENDS} times in succession; .*code 3"):
        engine.generate(tagged(*(f"u{number}" for number in range(400))), SEARCH)
    assert names_of(log).count("load") == MOST_ENDS + 1


def test_so_is_one_that_no_longer_answers_what_it_did() -> None:
    engine, log = scripted(None, *[DIED] * 1000)
    engine.generate(tagged("good"), SEARCH)
    with pytest.raises(LostEngineError, match="did not answer what it had answered before"):
        engine.generate(tagged(*(f"u{number}" for number in range(400))), SEARCH)
    assert names_of(log)[-1] == "end"
    assert names_of(log)[-2] == ["good"]


def test_any_number_of_poison_utterances_is_set_aside_if_others_are_answered() -> None:
    engine, _ = scripted(None, *[DIED] * MOST_ENDS, None, *[DIED] * 5)
    engine.generate(tagged("good"), SEARCH)
    names = [f"u{number}" for number in range(400)]
    replies = engine.generate(tagged(*names), SEARCH)
    failed = [reply for reply in replies if isinstance(reply, Failure)]
    assert len(failed) > 10
    assert [reply for reply in replies if isinstance(reply, str)] == [
        name for name in names if name not in {failure.utterance_id for failure in failed}
    ]


def test_an_engine_that_ends_while_it_is_loaded_is_tried_again_but_not_for_ever() -> None:
    engine, log = scripted([DIED], [DIED], [])
    assert engine.capabilities.beams
    assert log == ["load"] * 3
    with pytest.raises(LostEngineError, match=f"exit code 3 while it was loaded, .* {LOADS} times"):
        scripted(*[[DIED]] * 10)


def test_one_that_says_why_it_cannot_be_loaded_is_believed() -> None:
    for error in (ConfigError("no such file"), RAISED):
        with pytest.raises(type(error), match=str(error)):
            scripted([error], [])


def test_one_that_was_loaded_before_may_have_to_wait_for_memory() -> None:
    engine, log = scripted([], DIED, [CallError("OutOfMemoryError", "GPU is full")], [])
    assert engine.generate(tagged("u0", "u1"), SEARCH) == ["u0", "u1"]
    assert names_of(log).count("load") == 3
    engine, _ = scripted([], DIED, *[[CallError("OutOfMemoryError", "GPU is full")]] * 10)
    with pytest.raises(LostEngineError, match="GPU is full"):
        engine.generate(tagged("u0", "u1"), SEARCH)


def test_an_engine_in_this_process_blames_whoever_raises() -> None:
    make = partial(HostedEngine, partial(checked_engine, poison={"u0": "raise", "u1": "raise"}))
    engine = SupervisedEngine(partial(OwnProcess, make), 600)
    replies = engine.generate(tagged("u0", "u1", "u2"), SEARCH)
    assert [isinstance(reply, Failure) for reply in replies] == [True, True, False]


def test_endpoints_and_debuggers_have_the_engine_in_this_process(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def host_of(**changes: Any) -> object:
        started: list[Any] = []
        monkeypatch.setattr(
            module, "SupervisedEngine", lambda start, limit_s: started.append((start, limit_s))
        )
        config = in_process.config(**changes)
        run_engine(config, in_process.context().emotion_tokens, [SEARCH])
        ((start, limit_s),) = started
        return start.func, start.keywords, limit_s

    assert host_of() == (ChildProcess, {"memory_gb": None, "load_limit_s": 7200}, 3600)
    limits = {"engine_memory_gb": 8, "call_timeout_s": 60, "load_timeout_s": 90}
    assert host_of(resources=limits) == (ChildProcess, {"memory_gb": 8, "load_limit_s": 90}, 60)
    assert host_of(resources={"isolate": False})[0] is OwnProcess
    endpoint = {"engine": "openai", "path": "gpt", "api": {"preset": "gpt-4o"}}
    assert host_of(model=endpoint)[0] is OwnProcess
