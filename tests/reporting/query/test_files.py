"""Answers to SQL for other programs, read back by them."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.errors import ConfigError
from raypipe.reporting.query.files import csv_bytes, json_lines, parquet_bytes

ROWS = {
    "text": ['a "b",\nc', None, ""],
    "probs": [[0.1, 1 / 3], [], None],
    "votes": [[{"annotator": "x", "labels": ["anger"]}], None, []],
    "facts": pa.array([[("age", "31")], None, []], pa.map_(pa.string(), pa.string())),
    "n": pa.array([Decimal(7), Decimal(2**70), None], pa.decimal128(38, 0)),
    "share": [0.5, math.nan, None],
    "weights": [b"\x00\xff", None, b""],
    "at": [datetime(2026, 1, 2, tzinfo=UTC), None, None],
    "valid": [True, False, None],
}
ANSWER = pa.table(ROWS)


def test_json_holds_every_value() -> None:
    rows = json.loads("\n".join(json_lines(ANSWER)))
    assert [row["text"] for row in rows] == ROWS["text"]
    assert [row["probs"] for row in rows] == ROWS["probs"]
    assert [row["votes"] for row in rows] == ROWS["votes"]
    assert [row["facts"] for row in rows] == [{"age": "31"}, None, {}]
    assert [row["n"] for row in rows] == [7, 2**70, None]
    assert [row["share"] for row in rows] == [0.5, "NaN", None]
    assert [row["weights"] for row in rows] == ["AP8=", None, ""]
    assert [row["at"] for row in rows] == ["2026-01-02T00:00:00+00:00", None, None]
    assert [row["valid"] for row in rows] == [True, False, None]


def test_json_has_a_line_per_row_and_none_for_none() -> None:
    assert len(list(json_lines(ANSWER))) == 3 + 2
    assert json.loads("\n".join(json_lines(ANSWER.slice(0, 0)))) == []


def test_csv_holds_lists_as_json() -> None:
    read = csv.DictReader(io.StringIO(csv_bytes(ANSWER).decode(), newline=""))
    rows = list(read)
    assert [row["text"] for row in rows] == ['a "b",\nc', "", ""]
    assert json.loads(rows[0]["probs"]) == [0.1, 1 / 3]
    assert json.loads(rows[0]["votes"]) == ANSWER["votes"][0].as_py()
    assert [row["n"] for row in rows] == ["7", str(2**70), ""]
    assert [row["probs"] for row in rows[1:]] == ["[]", ""]
    assert [row["facts"] for row in rows] == ['{"age": "31"}', "", "{}"]
    assert [row["weights"] for row in rows] == ["AP8=", "", ""]
    assert rows[0]["at"] == "2026-01-02T00:00:00+00:00"


def test_parquet_holds_the_answer_itself() -> None:
    read = pq.read_table(io.BytesIO(parquet_bytes(ANSWER)))
    assert read.schema.names == ANSWER.schema.names
    assert str(read.to_pylist()) == str(ANSWER.to_pylist())  # NaN is not equal to itself


def test_columns_of_one_name_are_refused_where_one_would_be_lost() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert csv_bytes(twice).decode() == '"a","a"\n1,2\n'
    with pytest.raises(ConfigError, match="several columns are called a"):
        list(json_lines(twice))
    with pytest.raises(ConfigError, match="several columns are called a"):
        parquet_bytes(twice)


FORMULAS = [
    *("=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")'),
    *(" =1", "\n=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(A1)"),
]


def test_csv_has_no_cell_that_a_spreadsheet_computes() -> None:
    answer = pa.table(
        {
            "=text": FORMULAS,
            "large": pa.array(FORMULAS, pa.large_string()),
            "list": [[formula] for formula in FORMULAS],
        }
    )
    head, *rows = csv.reader(io.StringIO(csv_bytes(answer).decode(), newline=""))
    assert head == ["'=text", "large", "list"]
    for formula, (text, large, listed) in zip(FORMULAS, rows, strict=True):
        assert text == large == f"'{formula}"
        assert json.loads(listed) == [formula]


def test_csv_leaves_numbers_as_they_are() -> None:
    numbers = pa.table(
        {
            "n": [-1, 2],
            "share": [-0.5, -math.inf],
            "sum": pa.array([Decimal(-7), Decimal(7)], pa.decimal128(38, 0)),
        }
    )
    _, *rows = csv.reader(io.StringIO(csv_bytes(numbers).decode()))
    assert [[float(cell) for cell in row] for row in rows] == [[-1, -0.5, -7], [2, -math.inf, 7]]


def test_json_holds_formulas_and_control_characters_verbatim_but_prints_none() -> None:
    texts = [*FORMULAS, "\x1b[31m", "a\x9b2Jb", "\x7f", "\u202e", "\u2028", "é"]
    lines = "\n".join(json_lines(pa.table({"text": texts})))
    assert [row["text"] for row in json.loads(lines)] == texts
    assert all(line.isprintable() for line in lines.split("\n"))
