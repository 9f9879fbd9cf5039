"""Columns that are forgotten or misspelt are errors, in rows, in columns and in structs."""

from __future__ import annotations

import re
import time

import pyarrow as pa
import pytest

from raypipe.metrics.reduce import MetricRow
from raypipe.store.metric_tables import metrics_table
from raypipe.store.schemas import GENERATIONS, METRICS, with_metadata
from raypipe.store.strict import table_from_columns, table_from_rows

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        (
            "votes",
            pa.list_(pa.struct([("annotator", pa.string()), ("labels", pa.list_(pa.string()))])),
        ),
        ("place", pa.struct([("row", pa.int32()), ("inner", pa.struct([("x", pa.float64())]))])),
        ("tags", pa.list_(pa.string())),
    ]
)
ROW = {
    "name": "a",
    "votes": [{"annotator": "p", "labels": ["joy"]}],
    "place": {"row": 3, "inner": {"x": 1.0}},
    "tags": ["t"],
}
EMPTY: dict[str, object] = {"name": None, "votes": None, "place": None, "tags": None}


def test_whole_rows_are_what_from_pylist_makes_of_them() -> None:
    schema = with_metadata(SCHEMA, {"key": "value"})
    rows = [
        ROW,
        EMPTY,
        ROW | {"votes": [], "place": {"row": None, "inner": None}},
        ROW | {"votes": ({"labels": (), "annotator": None}, None)},
    ]
    table = table_from_rows(rows, schema)
    assert table.equals(pa.Table.from_pylist(rows, schema=schema), check_metadata=True)
    assert table_from_rows([], schema).schema.equals(schema, check_metadata=True)


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in ROW.items() if key != name}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (without("tags"), "row 1: no column tags"),
        (ROW | {"tag": []}, "row 1: unknown column tag"),
        (without("tags") | {"tag": []}, "row 1: no column tags; unknown column tag"),
        (ROW | {"votes": [{"annotator": "p"}]}, "votes: no column labels"),
        (
            ROW | {"votes": [None, {"annotator": "p", "labels": [], "typed": "x"}]},
            "votes: unknown column typed",
        ),
        (ROW | {"place": {"row": 1}}, "place: no column inner"),
        (ROW | {"place": {"row": 1, "inner": {"y": 1.0}}}, "place.inner: no column x; unknown"),
    ],
)
def test_a_missing_or_unknown_column_is_named(row: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        table_from_rows([ROW, row], SCHEMA)


def test_columns_are_those_of_the_schema_in_any_order() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    table = table_from_columns({"b": ["x", None], "a": [1, 2]}, schema)
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", None]}
    with pytest.raises(ValueError, match="no column b; unknown column c"):
        table_from_columns({"a": [1], "c": ["x"]}, schema)
    with pytest.raises(pa.ArrowInvalid):
        table_from_columns({"a": [1], "b": []}, schema)


def test_the_metrics_table_is_written_by_its_schema() -> None:
    row = MetricRow("m", "p", "greedy", "all", "js", None, 0.5, None, None, 3, 1)
    table = metrics_table([row])
    assert table.schema.equals(METRICS)
    assert table.to_pylist()[0]["n_invalid"] == 1


def test_the_check_costs_little() -> None:
    """A few per cent are measured; the bound leaves room for a busy machine."""
    fields = {field.name: None for field in GENERATIONS}
    hypothesis = {field.name: None for field in GENERATIONS.field("hypotheses").type.value_type}
    hypothesis |= {"token_ids": list(range(60)), "token_logprobs": [0.5] * 60, "text": "{}"}
    rows = [
        fields
        | {name: "x" for name in ("run", "model", "prompt")}
        | {"hypotheses": [dict(hypothesis) for _ in range(6)]}
        for _ in range(300)
    ]

    def seconds(strict: bool) -> float:
        start = time.process_time()
        if strict:
            table_from_rows(rows, GENERATIONS)
        else:
            pa.Table.from_pylist(rows, schema=GENERATIONS)
        return time.process_time() - start

    plain, strict = zip(*((seconds(False), seconds(True)) for _ in range(5)), strict=True)
    assert min(strict) < 1.5 * min(plain)
