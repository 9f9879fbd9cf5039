"""Frontends in real processes, which clips end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from fake_engine import offer_in
from in_process import InProcess

from raypipe.errors import LostEngineError
from raypipe.records import Failure
from raypipe.runtime.infer import hosts
from raypipe.runtime.infer.models import make_frontend
from raypipe.runtime.infer.plan import ModelRun
from raypipe.runtime.infer.preparing import PreparedShard, prepare_shard
from raypipe.runtime.infer.supervised_preparing import SupervisedPreparing


@pytest.fixture
def fake(in_process: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """Six utterances, and an engine that other processes know, too."""
    site = tmp_path / "site"
    site.mkdir()
    offer_in(site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(hosts.time, "sleep", lambda _: None)
    return in_process


def planned(fake: InProcess, clips: dict[str, str] | None = None, **changes: Any) -> ModelRun:
    model = {"engine": "fake", "path": "none", "name": "fake", "options": {"clips": clips or {}}}
    return fake.plan(model=model, **changes).model_runs[0]


def undisturbed(run: ModelRun) -> PreparedShard:
    return prepare_shard(run.tasks[0], run.context, make_frontend(run.config.model))


def test_a_shard_is_made_ready_as_in_this_process(fake: InProcess) -> None:
    run = planned(fake)
    prepared = SupervisedPreparing(run.config, run.context).prepare(run.tasks[0])
    assert prepared == undisturbed(run)


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("segfault", "the frontend's process was ended by SIGSEGV"),
        ("exit", "the frontend's process ended with exit code 3"),
    ],
)
def test_a_clip_that_ends_the_process_costs_only_itself(
    fake: InProcess, deed: str, message: str
) -> None:
    run = planned(fake, {"u2": deed})
    rows = SupervisedPreparing(run.config, run.context).prepare(run.tasks[0]).rows
    expected = undisturbed(planned(fake)).rows
    assert rows.utterances == expected.utterances
    failure = rows.windows[2]
    assert isinstance(failure, Failure)
    assert (failure.utterance_id, failure.stage) == ("u2", "decode")
    assert failure.error_type == "process_died"
    assert failure.message == message
    assert not failure.is_refusal
    assert rows.heard_s[2] is None
    for at in (0, 1, 3, 4, 5):
        assert rows.windows[at] == expected.windows[at]
        assert rows.heard_s[at] == expected.heard_s[at]


def test_a_shard_that_ends_whoever_reads_it_costs_only_itself(
    fake: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(fake)
    preparing = SupervisedPreparing(run.config, run.context)
    monkeypatch.setattr(preparing, "_host", Ends())
    prepared = preparing.prepare(run.tasks[0])
    assert prepared.shard_failure == Failure(
        None, "read", "process_died", "the frontend's process ended with exit code 9"
    )
    assert prepared.rows.utterances == ()


class Ends:
    """A host whose process ends whatever it is asked."""

    def call(self, method: str, *arguments: Any, **limits: Any) -> Any:
        raise hosts.ProcessEndedError("process_died", "ended with exit code 9")


def test_repeated_ids_stay_what_they_are_in_parts(fake: InProcess) -> None:
    run = planned(fake, {"u1": "exit"})
    task = dataclasses.replace(run.tasks[0], repeated={4: "elsewhere"})
    rows = SupervisedPreparing(run.config, run.context).prepare(task).rows
    kinds = [each.error_type if isinstance(each, Failure) else None for each in rows.windows]
    assert kinds == [None, "process_died", None, None, "duplicate_id", None]


def test_frontends_that_cannot_be_loaded_end_the_run(
    fake: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise hosts.ProcessEndedError("process_died", "ended with exit code 9")

    monkeypatch.setattr("raypipe.runtime.infer.supervised_preparing.ChildProcess", never)
    run = planned(fake)
    with pytest.raises(LostEngineError, match="exit code 9 while it was loaded"):
        SupervisedPreparing(run.config, run.context).prepare(run.tasks[0])
