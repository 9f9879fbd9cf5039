"""A stream that is started again, over streams that are made up."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess, utterance
from ray.exceptions import ActorDiedError, NodeDiedError, RayTaskError
from rich.console import Console

from raypipe.errors import ClusterError, ConfigError, ShardError
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.infer import streaming
from raypipe.runtime.infer.shard_work import ShardSummary
from raypipe.runtime.infer.streaming import summaries
from raypipe.runtime.ray import losses
from raypipe.runtime.ray.losses import ClusterChangedError

SHARDS = 6


class MadeUpStreams:
    """What every stream does before its shards are done: a number of them, then an error."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = InProcess(folder)
        runs.write(*(utterance(f"u{number}") for number in range(SHARDS)), rows_per_shard=1)
        self.model_run = runs.plan().model_runs[0]
        self.faults: list[tuple[int, Exception]] = []
        self.begun: list[list[str]] = []
        self.done: set[str] = set()
        self.console = Console(file=io.StringIO(), width=200)
        monkeypatch.setattr(streaming, "_once", self._once)
        monkeypatch.setattr(streaming, "replanned", self._replanned)
        monkeypatch.setattr(streaming, "required", lambda *_: {})
        monkeypatch.setattr(losses, "check_resources", self._check)
        monkeypatch.setattr(losses, "time", self)
        self.now = 100.0
        self.room_at = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _check(self) -> None:
        if self.now < self.room_at:
            raise ConfigError("the run asks for 1.75 CPUs, the cluster has 0")

    def _replanned(self, model_run: Any) -> Any:
        return replace(model_run, done=frozenset(self.done))

    def _once(self, model_run: Any, progress: RunProgress) -> Iterator[ShardSummary]:
        names = [task.entry.name for task in model_run.pending]
        self.begun.append(names)
        until, fault = self.faults.pop(0) if self.faults else (len(names), None)
        for name in names[:until]:
            self.done.add(name)
            progress.advance(1, 0)
            yield ShardSummary(name, 1, 0)
        if fault is not None:
            raise fault

    def all(self) -> list[str]:
        with RunProgress(SHARDS, 0, self.console, interval_s=0.0) as progress:
            found = [summary.shard for summary in summaries(self.model_run, progress, self.console)]
        return found

    @property
    def said(self) -> str:
        return self.console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def made_up(fake_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpStreams:
    return MadeUpStreams(tmp_path, monkeypatch)


def test_an_undisturbed_stream_is_made_once(made_up: MadeUpStreams) -> None:
    assert len(made_up.all()) == SHARDS
    assert [len(names) for names in made_up.begun] == [SHARDS]


def test_after_a_loss_what_is_left_is_streamed_anew(made_up: MadeUpStreams) -> None:
    made_up.faults = [
        (2, NodeDiedError("node 7 is gone")),
        (3, ClusterChangedError("there is room for 1 more model actors")),
    ]
    found = made_up.all()
    assert len(found) == len(set(found)) == SHARDS
    assert [len(names) for names in made_up.begun] == [6, 4, 1]
    assert "a node or a worker was lost (NodeDiedError); going on" in made_up.said
    assert "room for 1 more model actors; going on" in made_up.said
    assert made_up.said.splitlines()[-1].startswith("6/6 utterances")


def test_losses_without_any_progress_end_it(made_up: MadeUpStreams) -> None:
    made_up.faults = [(0, NodeDiedError("gone")) for _ in range(20)]
    with pytest.raises(ClusterError, match=r"^6 times in a row the cluster lost .*NodeDiedError"):
        made_up.all()
    assert len(made_up.begun) == 6


def test_progress_between_losses_lets_it_go_on(made_up: MadeUpStreams) -> None:
    made_up.faults = [(0, NodeDiedError("gone"))] * 5 + [(1, NodeDiedError("gone"))]
    made_up.faults += [(0, NodeDiedError("gone"))] * 4
    assert len(made_up.all()) == SHARDS


def test_nodes_that_replace_the_lost_ones_are_waited_for(made_up: MadeUpStreams) -> None:
    made_up.faults = [(1, NodeDiedError("gone"))]
    made_up.room_at = 100.0 + 1500
    assert len(made_up.all()) == SHARDS
    assert made_up.said.count("waiting for nodes: the run asks for 1.75 CPUs") == 1


def test_they_are_not_waited_for_for_ever(made_up: MadeUpStreams) -> None:
    made_up.faults = [(1, NodeDiedError("gone"))]
    made_up.room_at = 1e9
    with pytest.raises(ConfigError, match="the cluster has 0"):
        made_up.all()


def raised(error: Exception) -> Exception:
    made: Exception = RayTaskError("task", "a long stack", error).as_instanceof_cause()
    return made


def test_what_a_stage_raises_is_told_at_once(made_up: MadeUpStreams) -> None:
    made_up.faults = [(1, raised(ShardError("shard 3 is damaged")))]
    with pytest.raises(ShardError, match=r"^shard 3 is damaged$"):
        made_up.all()
    made_up.faults = [(1, raised(ValueError("nobody foresaw\nthis")))]
    with pytest.raises(ClusterError, match=r"^a worker failed: ValueError: nobody foresaw this$"):
        made_up.all()
    assert len(made_up.begun) == 2


def test_an_actor_that_cannot_be_made_is_no_loss(made_up: MadeUpStreams) -> None:
    stack = "Traceback\n  File x\nraypipe.errors.ConfigError: model.engine: unknown"
    made_up.faults = [(0, ActorDiedError(RayTaskError("__init__", stack, ValueError("x"))))]
    with pytest.raises(ClusterError, match=r"ConfigError: model\.engine: unknown$"):
        made_up.all()
    assert len(made_up.begun) == 1
