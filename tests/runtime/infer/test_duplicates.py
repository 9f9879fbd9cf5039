"""Utterance ids that stand in a corpus more than once, each told where it stood first."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import LABELS, InProcess, utterance

from raypipe.runtime.infer.duplicates import repeated_ids
from raypipe.shards import ShardEntry, encoded_shard, read_index
from raypipe.store.location import Location


def plain_folder(folder: Path, *shards: list[str]) -> Location:
    """Shards without an index, as another program may write them."""
    place = Location.parse(str(folder))
    for letter, names in zip("abcdef", shards, strict=False):
        data = encoded_shard([utterance(name) for name in names], LABELS, {})
        place.write(f"{letter}.parquet", data)
    return place


def test_later_rows_are_repeated_the_first_one_is_not(tmp_path: Path) -> None:
    place = plain_folder(tmp_path, ["u0", "u1"], ["u2", "u1"], ["u1", "u0", "u3"])
    assert repeated_ids(place, read_index(place)) == {
        "b.parquet": {1: "a.parquet row 1"},
        "c.parquet": {0: "a.parquet row 1", 1: "a.parquet row 0"},
    }


def test_a_folder_without_repetitions_has_none(tmp_path: Path) -> None:
    place = plain_folder(tmp_path, ["u0"], ["u1"])
    assert repeated_ids(place, read_index(place)) == {}


def test_shards_whose_ingest_made_sure_are_not_even_read(tmp_path: Path) -> None:
    runs = InProcess(tmp_path)
    runs.write(utterance("u0"), utterance("u1"))
    place = Location.parse(str(runs.shards))
    index = read_index(place)
    for path in runs.shards.glob("*.parquet"):
        path.unlink()
    assert repeated_ids(place, index) == {}


def test_a_shard_that_cannot_be_read_hides_nothing_of_the_others(tmp_path: Path) -> None:
    place = plain_folder(tmp_path, ["u0"], ["u1"], ["u0"])
    index = read_index(place)
    place.write("b.parquet", b"not Parquet")
    assert repeated_ids(place, index) == {"c.parquet": {0: "a.parquet row 0"}}
    gone = index.model_copy(
        update={"shards": (ShardEntry(name="gone.parquet", rows=1), *index.shards)}
    )
    assert repeated_ids(place, gone) == {"c.parquet": {0: "a.parquet row 0"}}


@pytest.mark.usefixtures("fake_engine")
def test_a_repeated_id_is_an_error_row_that_names_the_first(tmp_path: Path) -> None:
    plain_folder(tmp_path / "shards", ["u0", "u1"], ["u1", "u2"])
    runs = InProcess(tmp_path)
    runs.finished(strategies=["greedy"])
    (error,) = runs.rows("SELECT utterance_id, row, stage, error_type, message FROM errors")
    assert (error["utterance_id"], error["row"], error["stage"]) == ("u1", 0, "read")
    assert error["error_type"] == "duplicate_id"
    assert "a.parquet row 1" in error["message"]
    assert runs.rows("SELECT count(*) AS n FROM predictions") == [{"n": 3}]
