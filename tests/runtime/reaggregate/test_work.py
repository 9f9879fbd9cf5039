"""One shard of a reaggregation, read and written in this process."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bench.compare_runs import ANOTHER_PROCESSOR, compare_objects
from in_process import InProcess, utterance

from raypipe.runtime.finish import aggregation
from raypipe.runtime.reaggregate.plan import Changes, plan_reaggregation
from raypipe.runtime.reaggregate.work import ReaggregationWork, ShardOfModel, reaggregate_part
from raypipe.store.location import Location
from raypipe.store.query import query

VERSION_1 = Path(__file__).parents[2] / "data" / "version_1" / "run"
FIRST = ShardOfModel("fake", "shard-000000.parquet")


def work_on(run: Location, output: Path, **changes: Any) -> ReaggregationWork:
    return plan_reaggregation(
        run.uri, Changes.of(**changes), output=str(output), endpoint=None
    ).work


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    """A finished run with a failed utterance, two prompts and their mean."""
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(4)))
    return finished(runs)


def finished(runs: InProcess) -> InProcess:
    options = {"fail": ["greedy"], "fail_ids": ["u2"]}
    runs.finished(
        strategies=["greedy", "token", "w_bon"],
        prompts=[{"name": "a"}, {"name": "b"}],
        ensembles=[{"name": "both"}],
        model={"engine": "fake", "path": "none", "name": "fake", "options": options},
    )
    return runs


def objects(place: Location) -> dict[str, bytes]:
    return {name: place.read(name) for name in place.list(".parquet")}


def test_where_nothing_changes_the_bytes_are_those_of_the_run(
    run: InProcess, tmp_path: Path
) -> None:
    work = work_on(run.tables, tmp_path / "made")
    assert reaggregate_part(FIRST, work) is None
    of_run = {
        name: data for name, data in run.objects().items() if not name.startswith("generations/")
    }
    assert objects(work.output) == of_run
    assert len(of_run) == 6


def test_changed_settings_give_the_bytes_of_a_run_with_them(run: InProcess, tmp_path: Path) -> None:
    work = work_on(run.tables, tmp_path / "made", strategies=["w_bon"], tau=[3.0])
    assert reaggregate_part(FIRST, work) is None
    other = InProcess(tmp_path / "other", shards=run.shards)
    options = {"fail": ["greedy"], "fail_ids": ["u2"]}
    other.finished(
        strategies=["w_bon"],
        aggregation={"tau": 3.0},
        prompts=[{"name": "a"}, {"name": "b"}],
        ensembles=[{"name": "both"}],
        model={"engine": "fake", "path": "none", "name": "fake", "options": options},
    )
    expected = {
        name: data for name, data in other.objects().items() if not name.startswith("generations/")
    }
    assert objects(work.output) == expected


def test_the_run_is_only_read(run: InProcess, tmp_path: Path) -> None:
    before = run.objects()
    assert reaggregate_part(FIRST, work_on(run.tables, tmp_path / "made", tau=[1.0, 2.0])) is None
    assert run.objects() == before


def test_done_twice_it_is_done_once(run: InProcess, tmp_path: Path) -> None:
    work = work_on(run.tables, tmp_path / "made")
    assert reaggregate_part(FIRST, work) is None
    before = objects(work.output)
    assert reaggregate_part(FIRST, work) is None
    assert objects(work.output) == before


def test_logits_are_read_only_where_a_strategy_looks_at_them(
    run: InProcess, tmp_path: Path
) -> None:
    with_logits = work_on(run.tables, tmp_path / "a", strategies=["token"])
    without = work_on(run.tables, tmp_path / "b", strategies=["greedy", "w_bon"])
    assert "emotion_logits" not in with_logits.unread
    assert "emotion_logits" in without.unread
    adaptive = work_on(run.tables, tmp_path / "c", strategies=["adaptive"], cheap=["token"])
    assert "emotion_logits" not in adaptive.unread


@pytest.mark.parametrize("table", ["generations", "errors"])
def test_what_is_missing_or_damaged_is_told_and_nothing_is_written(
    run: InProcess, tmp_path: Path, table: str
) -> None:
    work = work_on(run.tables, tmp_path / "made")
    name = FIRST.object_name(table, "b")
    path = Path(run.tables.uri) / name
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 4, len(data) // 2):  # some bytes of a file decide nothing
        data[at] ^= 1
    path.write_bytes(data)
    told = reaggregate_part(FIRST, work)
    assert told is not None
    assert str(path) in told
    path.unlink()
    told = reaggregate_part(FIRST, work)
    assert told is not None
    assert name in told
    assert objects(work.output) == {}


def test_generations_of_another_run_are_told(run: InProcess, tmp_path: Path) -> None:
    work = replace(work_on(run.tables, tmp_path / "made"), generation_fingerprint="0" * 64)
    told = reaggregate_part(FIRST, work)
    assert told is not None
    assert "is of another run (fingerprint " in told
    assert "run.json says 000000000000" in told


def test_a_file_that_names_no_labels_is_told(run: InProcess, tmp_path: Path) -> None:
    work = work_on(run.tables, tmp_path / "made")
    path = Path(run.tables.uri) / FIRST.object_name("generations", "a")
    rows = pq.ParquetFile(path).read()
    kept = {
        key: value
        for key, value in (rows.schema.metadata or {}).items()
        if key != b"raypipe.labels"
    }
    pq.write_table(rows.replace_schema_metadata(kept), path)
    told = reaggregate_part(FIRST, work)
    assert told is not None
    assert "labels anger, disgust, fear, happiness, neutral, sadness" in told


@pytest.mark.parametrize("shard", ["shard-000000.parquet", "shard-000001.parquet"])
def test_a_shard_of_version_1_is_read_as_version_1_had_read_it(tmp_path: Path, shard: str) -> None:
    part = ShardOfModel("tiny-alm", shard)
    work = work_on(Location.parse(str(VERSION_1)), tmp_path / "made")
    assert reaggregate_part(part, work) is None
    name = part.object_name("predictions", "distribution")
    made = tmp_path / "made" / name
    wrong, rows, columns = compare_objects(VERSION_1 / name, made, "predictions", ANOTHER_PROCESSOR)
    assert wrong == []
    assert columns > 5
    assert rows == 2 * 5
    assert not (tmp_path / "made" / "errors").exists()  # version 1 wrote an object without a row


def test_what_cannot_be_read_this_time_is_an_error_of_this_time(
    run: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = aggregation.predict_variants, itertools.count()

    def breaks(*args: Any) -> Any:
        if next(calls) % 3 == 1:  # the second of three answered utterances, under each prompt
            raise ZeroDivisionError("division by zero")
        return real(*args)

    def ids(place: Location, table: str) -> list[str]:
        rows = query(place, f"SELECT DISTINCT utterance_id FROM {table} ORDER BY 1")
        return list(rows.column("utterance_id").to_pylist())

    with monkeypatch.context() as patch:
        patch.setattr(aggregation, "predict_variants", breaks)
        work = work_on(run.tables, tmp_path / "broken", strategies=["greedy"])
        assert reaggregate_part(FIRST, work) is None
        broken_run = finished(InProcess(tmp_path / "other", shards=run.shards))
    for place in (work.output, broken_run.tables):
        assert ids(place, "errors") == ["u1", "u2"]
        assert ids(place, "predictions") == ["u0", "u3"]
    mended = work_on(broken_run.tables, tmp_path / "mended", strategies=["greedy"])
    assert reaggregate_part(FIRST, mended) is None
    assert ids(mended.output, "errors") == ["u2"]
    assert ids(mended.output, "predictions") == ["u0", "u1", "u3"]
