"""Tables of explained answers are read as they stand, and what is wrong in them is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up_answers import answers

from raypipe.errors import ConfigError
from raypipe.explain.answers import read_answers, read_gold_rationales
from raypipe.records import ExplainedAnswer


def as_rows(count: int) -> list[dict[str, object]]:
    return [dataclasses.asdict(answer) for answer in answers(count)]


def test_parquet_a_folder_of_it_and_lines_are_the_same(tmp_path: Path) -> None:
    rows = [{**row, "beside": 1} for row in as_rows(6)]
    rows[2] |= {"reason": " ", "transcript": None}
    (tmp_path / "t" / "model=x").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "whole.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:4]), tmp_path / "t/model=x/a.parquet")
    pq.write_table(pa.Table.from_pylist(rows[4:]), tmp_path / "t/model=x/b.parquet")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    expected = answers(6)
    expected[2] = dataclasses.replace(expected[2], reason=None, transcript=None)
    for place in ("whole.parquet", "t", "a.jsonl"):
        assert read_answers(str(tmp_path / place)) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"utterance_id": "u001"}, "line 3: utterance u001 stands there twice"),
        ({"utterance_id": ""}, "line 3: utterance_id is empty"),
        ({"label": 3}, "line 3: label is int, not a text: 3"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    rows = as_rows(3)
    rows[2] |= changes
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(ConfigError, match=message):
        read_answers(str(tmp_path / "a.jsonl"))


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"utterance_id": "u"}')
    (tmp_path / "b.jsonl").write_text("[1]")
    (tmp_path / "c.jsonl").write_text("no")
    (tmp_path / "d.jsonl").write_text("")
    (tmp_path / "e.parquet").write_text("no")
    for name, message in (
        ("a.jsonl", "no column speaker, reference, label, transcript, reason"),
        ("b.jsonl", "holds list"),
        ("c.jsonl", "is not JSON"),
        ("d.jsonl", "holds no answer"),
        ("e.parquet", "not a whole Parquet file"),
        ("missing.parquet", "missing.parquet"),
        ("folder", "neither"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_answers(str(tmp_path / name))


def test_rationales_that_no_teacher_managed_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"utterance_id": "a", "label": "anger", "rationale": "Loud.", "purpose": "test_ii"},
        {"utterance_id": "b", "label": "anger", "rationale": None, "purpose": "test_ii"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    rationales = read_gold_rationales(str(tmp_path / "r.parquet"))
    assert {name: (row.label, row.text) for name, row in rationales.items()} == {
        "a": ("anger", "Loud.")
    }


def test_the_record_has_the_columns_that_are_read() -> None:
    names = [field.name for field in dataclasses.fields(ExplainedAnswer)]
    assert names == ["utterance_id", "speaker", "reference", "label", "transcript", "reason"]
