"""An ingest with tasks that run here, one by one; with Ray in tests/runtime/test_ingest."""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_folder import CLIP
from ray.exceptions import RayTaskError, WorkerCrashedError
from rich.console import Console

from raypipe.errors import AccountingError, FingerprintError, ShardError, StoreError
from raypipe.runtime.ingest import job
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.shards import ShardIndex, read_index, read_shard
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes


class Here:
    """As much of Ray as an ingest uses: streams of results of tasks, the last task's first."""

    def __init__(self) -> None:
        self.most = 0

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def wait(self, streams: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(streams))
        return [streams[-1]], streams[:-1]

    def get(self, result: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    fake = Here()

    @contextmanager
    def session(address: str | None = None) -> Iterator[None]:
        yield

    monkeypatch.setattr(job, "ray", fake)
    monkeypatch.setattr(job, "_task", lambda function: SimpleNamespace(remote=function))
    monkeypatch.setattr(job, "ray_session", session)
    return fake


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Seven clips: one is missing, and the votes of one are a tie, which the policy leaves out."""
    lines = []
    for number in range(7):
        name = f"c{number}.wav"
        if number != 3:
            (tmp_path / name).write_bytes(CLIP)
        votes = ["anger", "sadness" if number == 5 else "anger"]
        row = {"id": f"c{number}", "audio": name, "votes": votes}
        lines.append(json.dumps(row))
    path = tmp_path / "clips.jsonl"
    path.write_text("\n".join(lines))
    return path


def config(manifest: Path, output: Path, **changes: Any) -> IngestConfig:
    return IngestConfig.model_validate(
        {
            "corpus": "manifest",
            "source": str(manifest),
            "output": str(output),
            "label_set": ["anger", "sadness"],
            "rows_per_shard": 2,
            "votes": {"clips": "plurality"},
            **changes,
        }
    )


def ingest(manifest: Path, output: Path, **changes: Any) -> ShardIndex:
    return job.ingest(config(manifest, output, **changes), console=Console(file=io.StringIO()))


def test_shards_stand_in_order_whichever_task_ends_first(manifest: Path, tmp_path: Path) -> None:
    index = ingest(manifest, tmp_path / "out")
    place = Location.parse(str(tmp_path / "out"))
    assert index == read_index(place)
    names = [entry.name for entry in index.shards]
    assert names == [f"shard-00000{number}.parquet" for number in range(len(names))]
    ids = [row.utterance_id for entry in index.shards for row in read_shard(place, entry)]
    assert ids == ["c0", "c1", "c2", "c4", "c6"]
    assert (index.rows, index.failures, index.excluded) == (5, 1, 1)
    assert index.votes == 10
    assert (place.exists("ingest_errors.parquet"), place.exists("ingest_excluded.parquet")) == (
        True,
        True,
    )


def test_the_index_is_the_last_thing_that_is_written(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise StoreError("the storage went away")

    monkeypatch.setattr(job, "write_failures", fails)
    with pytest.raises(StoreError):
        ingest(manifest, tmp_path / "out")
    assert not (tmp_path / "out" / "shards.json").exists()
    assert (tmp_path / "out" / "ingest.json").exists()


def test_an_interrupted_ingest_goes_on_to_the_same_bytes(manifest: Path, tmp_path: Path) -> None:
    ingest(manifest, tmp_path / "whole")
    ingest(manifest, tmp_path / "out")
    for name in ("shards.json", "shard-000001.parquet", "ingest_errors.parquet"):
        (tmp_path / "out" / name).unlink()
    ingest(manifest, tmp_path / "out")

    def files(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_finished_ingest_changes_no_object(manifest: Path, tmp_path: Path) -> None:
    def written() -> dict[str, int]:
        paths = (tmp_path / "out").iterdir()
        return {path.name: path.stat().st_mtime_ns for path in paths if path.is_file()}

    ingest(manifest, tmp_path / "out")
    before = written()
    assert {"shards.json", "ingest_errors.parquet"} <= before.keys()
    ingest(manifest, tmp_path / "out")
    assert written() == before


@pytest.mark.parametrize("gone", [None, "shard-000001.parquet", "ingest_errors.parquet"])
def test_ray_is_started_only_where_something_is_left_to_do(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str | None
) -> None:
    whole = ingest(manifest, tmp_path / "out")
    started: list[str | None] = []
    session = job.ray_session

    def counted(address: str | None) -> AbstractContextManager[None]:
        started.append(address)
        return session(address)

    monkeypatch.setattr(job, "ray_session", counted)
    if gone is not None:
        (tmp_path / "out" / gone).unlink()
    assert ingest(manifest, tmp_path / "out") == whole
    assert len(started) == (gone is not None)
    assert gone is None or (tmp_path / "out" / gone).exists()


def test_no_more_tasks_are_under_way_than_asked_for(
    manifest: Path, tmp_path: Path, here: Here
) -> None:
    ingest(manifest, tmp_path / "out", rows_per_shard=1, workers=2)
    assert here.most == 2
    ingest(manifest, tmp_path / "more", rows_per_shard=1)
    assert here.most == 4  # twice the CPUs


def test_another_ingest_is_refused_by_the_setting_that_differs(
    manifest: Path, tmp_path: Path
) -> None:
    ingest(manifest, tmp_path / "out")
    with pytest.raises(FingerprintError, match="rows_per_shard was 2, is now 3"):
        ingest(manifest, tmp_path / "out", rows_per_shard=3)


def test_a_result_that_is_lost_is_noticed(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = job._written_shards
    monkeypatch.setattr(job, "_written_shards", lambda *arguments: written(*arguments)[1:])
    with pytest.raises(AccountingError, match="7 inputs were listed and "):
        ingest(manifest, tmp_path / "out")
    assert not (tmp_path / "out" / "shards.json").exists()


def results(*streams: Any, workers: int | None = None) -> list[tuple[int, Any]]:
    jobs = (
        (number, lambda stream=stream: iter(deque(stream)), f"shard-{number}")
        for number, stream in enumerate(streams)
    )
    return list(job._results(jobs, workers))


def test_every_result_of_every_stream_comes_with_its_number() -> None:
    assert sorted(results(["a", "b"], [], ["c"], workers=1)) == [(0, "a"), (0, "b"), (2, "c")]
    assert results() == []


def test_a_task_s_own_error_is_told_and_not_ray_s() -> None:
    own = ShardError("votes.csv is no table")
    wrapped = RayTaskError("task", "a long stack", own).as_instanceof_cause()
    with pytest.raises(ShardError) as told:
        results([wrapped])
    assert told.value is own


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that are not waited for."""
    pauses: list[float] = []
    monkeypatch.setattr(job, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


def test_a_task_that_is_lost_on_its_way_is_started_again(slept: list[float]) -> None:
    begun = iter([["a", WorkerCrashedError()], [WorkerCrashedError()], ["a", "b"]])
    jobs = iter([(0, lambda: iter(deque(next(begun))), "shard-0")])
    assert list(job._results(jobs, 1)) == [(0, "a"), (0, "b")]
    assert slept == [2.0, 4.0]


def test_a_task_that_died_is_named(slept: list[float]) -> None:
    with pytest.raises(ShardError, match="shard-1: a worker failed: WorkerCrashedError"):
        results(["a"], [WorkerCrashedError()])


def test_settings_are_all_that_decides_what_the_shards_hold(manifest: Path, tmp_path: Path) -> None:
    ingest(manifest, tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "ingest.json").read_text())["settings"]
    assert settings["labels"] == ["anger", "sadness"]
    assert settings["policy"]["clips"] == "plurality"
    assert {"workers", "output", "source", "storage"}.isdisjoint(settings)


def test_tables_of_one_name_and_a_damaged_one_cost_nothing_else(tmp_path: Path) -> None:
    audio = [{"bytes": CLIP, "path": path} for path in ("001.wav", "001.wav", None)]
    made = pa.table({"audio": audio, "emotion": ["anger"] * 3})
    for folder in ("a", "b", "c"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        pq.write_table(made, tmp_path / "in" / folder / "0.parquet")
    damaged = tmp_path / "in/b/0.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    index = ingest(tmp_path / "in", tmp_path / "out", corpus="parquet", votes={})
    place = Location.parse(str(tmp_path / "out"))
    ids = [row.utterance_id for entry in index.shards for row in read_shard(place, entry)]
    assert ids == ["001", "a/0/001-2", "0-3", "c/0/001", "c/0/001-2", "c/0/0-3"]
    assert (index.rows, index.failures) == (6, 1)
    [failure] = from_parquet_bytes(place.read("ingest_errors.parquet")).to_pylist()
    assert (failure["error_type"], "cannot be read beyond row 0" in failure["message"]) == (
        "bad_container",
        True,
    )
