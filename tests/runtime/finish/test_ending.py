"""The end of a job is written into its record, whichever it is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from raypipe.errors import (
    ClusterError,
    ErrorShareError,
    ShardError,
    StoppedError,
    StoreError,
    TerminatedError,
)
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.ray import again
from raypipe.store.location import Location
from raypipe.store.run_record import RECORD, RunCounts, RunRecord, read_record


@pytest.fixture
def tables(tmp_path: Path) -> Location:
    return Location.parse(str(tmp_path))


RUNNING = RunRecord(
    name="job",
    run="r",
    status="running",
    fingerprint="f",
    generation_fingerprint="f",
    input_fingerprint="i",
    labels=("anger",),
    config={},
    seed=0,
    versions={},
    started="2026-01-01T00:00:00+00:00",
)


def test_a_job_whose_cluster_is_gone_says_so_before_its_process_ends(
    tables: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(again.os, "_exit", ended.append)
    with failures_recorded(tables, RUNNING):
        again._end("the head of the cluster is gone")
    record = read_record(tables)
    assert (record.status, record.reason) == ("stopped", "the head of the cluster is gone")
    assert ended == [1]
    again._end("of another one")
    assert read_record(tables) == record


def test_a_finished_job_says_when_and_how_long() -> None:
    counts = RunCounts(input=2, predicted=2, errors=0, strategies={})
    record = finished_now(RUNNING, time.monotonic() - 5, counts=counts)
    assert (record.status, record.counts) == ("finished", counts)
    assert record.finished is not None
    assert record.seconds is not None
    assert 5.0 <= record.seconds < 6.0


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (StoppedError("the budget is spent"), "stopped", "the budget is spent"),
        (ErrorShareError("too many failed"), "stopped", "too many failed"),
        (ClusterError("nodes come and go"), "stopped", "nodes come and go"),
        (ShardError("a part is missing"), "failed", "a part is missing"),
        (KeyError("one\ntwo"), "failed", "unexpected KeyError: 'one\\ntwo'"),
    ],
)
def test_why_a_job_ended_early_is_recorded_and_raised(
    tables: Location, error: Exception, status: str, reason: str
) -> None:
    with (
        pytest.raises(type(error)) as caught,
        failures_recorded(tables, RUNNING, lambda: {"requests": 3}),
    ):
        raise error
    assert caught.value is error
    record = read_record(tables)
    assert (record.status, record.reason) == (status, reason)
    assert record.api_usage == {"requests": 3}


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt("stopped at 1 of 3"), TerminatedError()])
def test_a_job_that_was_told_to_stop_is_not_running(
    tables: Location, interrupt: KeyboardInterrupt
) -> None:
    with pytest.raises(type(interrupt)), failures_recorded(tables, RUNNING):
        raise interrupt
    record = read_record(tables)
    told = str(interrupt) or "stopped; the same command continues"
    assert (record.status, record.reason) == ("stopped", told)


def test_a_record_that_cannot_be_written_hides_nothing(
    tables: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("no space")

    monkeypatch.setattr(Location, "write", refuse)
    with pytest.raises(ShardError, match="missing"), failures_recorded(tables, RUNNING):
        raise ShardError("a part is missing")


def test_a_job_that_goes_well_is_left_alone(tables: Location) -> None:
    with failures_recorded(tables, RUNNING):
        pass
    assert not tables.exists(RECORD)
