"""What another run says of tested clips is copied, its other clips are left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from in_process import InProcess

from raypipe.errors import ConfigError
from raypipe.runtime.heads.beside import copy_predictions, other_run
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.store.run_record import LabelsUsed, read_record, write_record

TESTED = {"shard-000000.parquet": frozenset({"u0", "u2", "u5"})}


def test_tested_clips_are_copied_with_their_errors(in_process: InProcess) -> None:
    in_process.finished()
    record = read_record(in_process.tables)
    other = other_run(in_process.tables, record)
    place = Location.parse(str(in_process.folder / "copies"))
    [(cell, copy)] = copy_predictions(other, place, TESTED, run="mine", fingerprint="f").items()
    assert cell == ("fake", "distribution")
    assert set(copy.strategies) == {"greedy", "token", "token_softmax", "bon", "w_bon"}
    rows = query(place, "SELECT run, utterance_id, strategy, probs FROM predictions").to_pylist()
    assert {row["run"] for row in rows} == {"mine"}
    assert {row["utterance_id"] for row in rows} == {"u0", "u2", "u5"}
    original = query(
        in_process.tables,
        "SELECT utterance_id, strategy, probs FROM predictions "
        "WHERE utterance_id IN ('u0', 'u2', 'u5')",
    ).to_pylist()
    assert [{**row, "run": "mine"} for row in original] == rows or len(original) == len(rows)


def test_a_run_over_other_shards_is_refused(in_process: InProcess, tmp_path: Path) -> None:
    in_process.finished()
    record = read_record(in_process.tables)
    elsewhere = record.changed(input_fingerprint="other")
    with pytest.raises(ConfigError, match="other shards"):
        other_run(in_process.tables, elsewhere)
    with pytest.raises(ConfigError, match="is not a run"):
        other_run(Location.parse(str(tmp_path / "nothing")), record)
    used = LabelsUsed(name="t", place="instead", table="/t", fingerprint="f", entries=1, matched=1)
    write_record(in_process.tables, record.changed(label_tables=(used,)))
    assert other_run(in_process.tables, record, "f").record.label_tables == (used,)
    with pytest.raises(ConfigError, match="measured against other labels"):
        other_run(in_process.tables, record)
    write_record(in_process.tables, record)
    assert dataclasses.is_dataclass(other_run(in_process.tables, record))
