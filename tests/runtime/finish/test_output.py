"""Whose tables a place holds: this run's, another one's, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raypipe.errors import FingerprintError, ShardError
from raypipe.runtime.finish.output import existing, refuse_another_run
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes
from raypipe.store.run_record import RunRecord, write_record

OURS, THEIRS = "a" * 64, "b" * 64
CONFIG = {"decoding": {"beam_count": 3}, "output": "here"}


def record(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "name": "run",
        "run": OURS[:12],
        "status": "running",
        "fingerprint": OURS,
        "generation_fingerprint": OURS,
        "identity": {"model m": "1", "prompt p": "2"},
        "labels": ("anger", "sadness"),
        "config": CONFIG,
        "seed": 0,
        "versions": {"raypipe": "0.1.4"},
        "started": "2024-01-01T00:00:00+00:00",
        **changes,
    }
    return RunRecord(**values)


def refusal(place: Location, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "fingerprint": OURS,
        "config": CONFIG,
        "identity": {"model m": "1", "prompt p": "2"},
        **changes,
    }
    with pytest.raises(FingerprintError) as refused:
        refuse_another_run(place, **arguments)
    return str(refused.value)


def test_an_empty_place_and_this_very_run_s_are_fine(place: Location) -> None:
    refuse_another_run(place, OURS, CONFIG, {})
    write_record(place, record())
    refuse_another_run(place, OURS, {"anything": "else"}, {})


def test_another_run_is_refused_with_what_differs(place: Location) -> None:
    write_record(place, record())
    message = refusal(
        place,
        fingerprint=THEIRS,
        config={"decoding": {"beam_count": 5}, "output": "there"},
        identity={"model m": "1", "prompt p": "3"},
    )
    assert message == (
        f"{place.uri} holds another run (fingerprint aaaaaaaaaaaa, this run's is bbbbbbbbbbbb): "
        "decoding.beam_count was 3, is now 5; prompt p differs. Choose another output."
    )


def test_where_nothing_recorded_differs_the_rest_is_guessed_in_words(place: Location) -> None:
    write_record(place, record())
    message = refusal(place, fingerprint=THEIRS)
    assert "the shards, the model or a prompt differs" in message


@pytest.mark.parametrize(
    ("status", "words"),
    [("finished", "a run"), ("running", "an unfinished run"), ("stopped", "an unfinished run")],
)
def test_a_run_of_an_older_version_is_not_continued(
    place: Location, status: str, words: str
) -> None:
    write_record(place, record(version=1, status=status))
    message = refusal(place)
    assert message == (
        f"{place.uri} holds {words} of raypipe 0.1.4, whose tables this version reads but does not "
        "continue. Choose another output."
    )


def test_a_record_that_is_none_is_no_empty_place(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    place.write("run.json", b"{")
    with pytest.raises(ShardError, match=r"run\.json is not JSON"):
        refuse_another_run(place, OURS, CONFIG, {})


def written(place: Location, name: str, fingerprint: str) -> None:
    rows = pa.table({"x": [1]})
    data = object_bytes(rows, model="m", prompt="p", fingerprint=fingerprint)
    place.write_new(f"errors/model=m/prompt=p/{name}", data, fingerprint)


def test_finished_objects_are_those_of_the_partition(place: Location) -> None:
    assert existing(place, "errors", "model=m/prompt=p", OURS) == set()
    for name in ("shard-0.parquet", "shard-1.parquet"):
        written(place, name, OURS)
    assert existing(place, "errors", "model=m/prompt=p", OURS) == {
        "shard-0.parquet",
        "shard-1.parquet",
    }
    assert existing(place, "errors", "model=m/prompt=q", OURS) == set()


def test_objects_of_another_run_are_refused(place: Location) -> None:
    written(place, "shard-0.parquet", THEIRS)
    with pytest.raises(FingerprintError, match=r"holds errors of another run \(.*bbbbbbbbbbbb"):
        existing(place, "errors", "model=m/prompt=p", OURS)
