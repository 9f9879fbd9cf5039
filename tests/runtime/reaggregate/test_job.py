"""A whole reaggregation with tasks that run here; with Ray in tests/runtime/test_reaggregate."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from in_process import TASKS_RUN_HERE, InProcess, in_order_here, reduce_here, utterance
from rich.console import Console

from raypipe.errors import ShardError
from raypipe.runtime.finish import report
from raypipe.runtime.reaggregate import job
from raypipe.runtime.reaggregate.plan import Changes
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.store.run_record import RunRecord, read_record


@pytest.fixture(autouse=True)
def _tasks_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def session(address: str | None = None) -> Iterator[None]:
        yield

    monkeypatch.setattr(job, "ray", TASKS_RUN_HERE)
    monkeypatch.setattr(job, "in_order", in_order_here)
    reduce_here(monkeypatch, job)
    monkeypatch.setattr(job, "ray_session", session)
    # Its charts take a second each time, and have their own tests.
    monkeypatch.setattr(report, "tallied_report", lambda *_, **__: "a report")


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(8)), rows_per_shard=1)
    runs.finished(strategies=["greedy", "w_bon"])
    return runs


def again(run: InProcess, output: Path, **changes: Any) -> RunRecord:
    quiet = Console(file=io.StringIO())
    changed = Changes.of(**{"replicates": 100, **changes})
    return job.reaggregate(run.tables.uri, changed, output=str(output), console=quiet)


def rows(output: Path, sql: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = query(Location.parse(str(output)), sql).to_pylist()
    return answer


def test_a_reaggregation_is_a_run_directory_that_says_what_it_was_made_from(
    run: InProcess, tmp_path: Path
) -> None:
    record = again(run, tmp_path / "made")
    original = read_record(run.tables)
    assert record == read_record(Location.parse(str(tmp_path / "made")))
    assert (record.status, record.version) == ("finished", 2)
    assert record.fingerprint == original.fingerprint
    assert record.counts == original.counts
    assert record.made_from is not None
    assert (record.made_from.run, record.made_from.location) == (original.run, run.tables.uri)
    assert record.made_from.versions == original.versions
    assert (tmp_path / "made" / "report.html").read_text() == "a report"
    assert rows(tmp_path / "made", "SELECT count(*) AS n FROM metrics")[0]["n"] > 0


def test_a_sweep_says_what_its_names_stand_for(run: InProcess, tmp_path: Path) -> None:
    record = again(run, tmp_path / "made", strategies=["w_bon"], tau=[0.5, 2.0], sub_beams=[1])
    names = ["w_bon[beams=1of3,tau=0.5]", "w_bon[beams=1of3,tau=2]"]
    settings = rows(tmp_path / "made", "SELECT strategy, rule, tau, sub_beams FROM settings")
    assert settings == [
        {"strategy": name, "rule": "w_bon", "tau": tau, "sub_beams": 1}
        for name, tau in zip(names, (0.5, 2.0), strict=True)
    ]
    assert record.settings is not None
    assert [*record.settings] == names
    assert record.settings[names[0]]["tau"] == 0.5
    assert record.config["aggregation"]["tau"] == [0.5, 2.0]
    assert record.config["aggregation"]["sub_beams"] == [1]
    assert {*record.done_counts.strategies} == {*names}


def test_a_swept_threshold_stands_in_its_own_section(run: InProcess, tmp_path: Path) -> None:
    record = again(run, tmp_path / "made", strategies=["adaptive"], threshold=[0.5, 2.0])
    assert record.config["adaptive"]["threshold"] == [0.5, 2.0]
    assert "threshold" not in record.config["aggregation"]


def test_a_finished_one_is_not_done_again(
    run: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = again(run, tmp_path / "made")
    monkeypatch.setattr(job, "_predict_and_reduce", lambda *_: pytest.fail("it was done already"))
    assert again(run, tmp_path / "made") == first


def test_what_is_missing_of_a_finished_one_is_made_again(run: InProcess, tmp_path: Path) -> None:
    again(run, tmp_path / "made")
    path = sorted((tmp_path / "made" / "predictions").rglob("*.parquet"))[2]
    data = path.read_bytes()
    path.unlink()
    again(run, tmp_path / "made")
    assert path.read_bytes() == data


def test_other_replicates_are_reduced_again_from_the_same_predictions(
    run: InProcess, tmp_path: Path
) -> None:
    first = again(run, tmp_path / "made")
    before = Location.parse(str(tmp_path / "made" / "predictions")).sizes()
    second = again(run, tmp_path / "made", replicates=150)
    assert second.fingerprint == first.fingerprint
    assert second.config["metrics"]["replicates"] == 150
    assert Location.parse(str(tmp_path / "made" / "predictions")).sizes() == before


def test_every_shard_that_cannot_be_read_is_told_at_the_end(run: InProcess, tmp_path: Path) -> None:
    damaged = sorted((Path(run.tables.uri) / "generations").rglob("*.parquet"))[1:]
    for path in damaged:
        path.write_bytes(b"damaged")
    with pytest.raises(ShardError) as told:
        again(run, tmp_path / "made")
    lines = str(told.value).splitlines()
    assert [line.split(": ")[0] for line in lines[:5]] == [str(path) for path in damaged[:5]]
    assert lines[5:] == ["and 2 more"]
    output = Location.parse(str(tmp_path / "made"))
    assert read_record(output).status == "failed"
    assert len(output.child("predictions").list()) == 1  # the whole one was read all the same
