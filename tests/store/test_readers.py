"""Tables as other programs read them, with the settings that those come with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from in_process import LABELS, InProcess

from raypipe.store.objects import object_table

PROMPTS = ["plain", "second+other"]
# One of every kind: keys of the path, texts, lists, lists of lists, structs, maps, numbers, nulls.
COLUMNS = {
    "predictions": [
        *("utterance_id", "model", "prompt", "strategy", "labels", "probs", "covariance"),
        *("valid", "n_votes", "js", "split", "escalated", "audio_marks"),
    ],
    "generations": [
        *("utterance_id", "model", "prompt", "labels", "votes", "hypotheses", "emotion_logits"),
        *("duration_s", "batch_size", "error_type"),
    ],
    "metrics": ["model", "prompt", "strategy", "metric", "value", "ci_low", "n", "labels"],
    "errors": ["model", "prompt", "stage", "row", "message", "refusal"],
}


@pytest.fixture
def output(in_process: InProcess) -> Path:
    """A run of two prompts, one of its utterances without an answer."""
    options = {"fail": ["greedy"], "fail_ids": ["u2"]}
    in_process.finished(
        strategies=["greedy", "w_bon", "token"],
        prompts=[{"name": name} for name in PROMPTS],
        model={"engine": "fake", "path": "none", "name": "fake", "options": options},
    )
    return in_process.folder / "out"


def plain(value: Any) -> Any:
    """A value as Python has it, whatever a reader makes of lists, structs, maps and nulls."""
    if hasattr(value, "asDict"):  # Spark's row, a tuple with names
        value = value.asDict()
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


def by_pandas(folder: str, columns: list[str]) -> list[dict[str, Any]]:
    frame = pd.read_parquet(folder)
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*(frame[c] for c in columns), strict=True)
    ]


def by_pyarrow(folder: str, columns: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder).select(columns).to_pylist()
    return rows


def by_pyarrow_dataset(folder: str, columns: list[str]) -> list[dict[str, Any]]:
    dataset = pyarrow.dataset.dataset(folder, partitioning="hive")
    rows: list[dict[str, Any]] = dataset.to_table(columns=columns).to_pylist()
    return rows


def by_duckdb(folder: str, columns: list[str]) -> list[dict[str, Any]]:
    answer = duckdb.sql(f"SELECT {', '.join(columns)} FROM '{folder}/**/*.parquet'")
    rows: list[dict[str, Any]] = answer.to_arrow_table().to_pylist()
    return rows


def by_polars(folder: str, columns: list[str]) -> list[dict[str, Any]]:
    polars = pytest.importorskip("polars")
    rows: list[dict[str, Any]] = polars.read_parquet(folder).select(columns).to_dicts()
    return rows


def by_spark(folder: str, columns: list[str]) -> list[dict[str, Any]]:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, which is not here")
    sql = pytest.importorskip("pyspark.sql", reason="PySpark, 0.4 GB, is not installed")
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    for address in ("spark.driver.bindAddress", "spark.driver.host"):
        builder = builder.config(address, "127.0.0.1")
    session = builder.getOrCreate()
    frame = session.read.parquet(folder).select(columns)
    return [row.asDict() for row in frame.collect()]


READERS = {
    "pandas": by_pandas,
    "pyarrow": by_pyarrow,
    "pyarrow.dataset": by_pyarrow_dataset,
    "DuckDB": by_duckdb,
    "Polars": by_polars,
    "Spark": by_spark,
}


@pytest.mark.filterwarnings("ignore")  # of the readers
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_table_is_read_as_it_is(
    output: Path, reader: Callable[[str, list[str]], list[dict[str, Any]]]
) -> None:
    """The oracle is every file by itself: its columns, and the names in its metadata."""
    for table in ("predictions", "generations", "errors"):
        paths = sorted((output / table).rglob("*.parquet"))
        assert len(paths) == len(PROMPTS)
        files = [object_table(path.read_bytes()).select(COLUMNS[table]) for path in paths]
        expected = [plain(row) for file in files for row in file.to_pylist()]
        read = [plain(row) for row in reader(str(output / table), COLUMNS[table])]
        assert sorted(read, key=str) == sorted(expected, key=str)
        assert {row["prompt"] for row in read} == set(PROMPTS)
        if table == "predictions":
            assert all(row["labels"] == list(LABELS.names) for row in read)
            assert any(row["covariance"] is not None for row in read)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_metrics_are_read_as_they_are(
    in_process: InProcess, reader: Callable[[str, list[str]], list[dict[str, Any]]]
) -> None:
    data = in_process.reduced(in_process.finished(strategies=["greedy", "w_bon"]))
    expected = [plain(row) for row in object_table(data).select(COLUMNS["metrics"]).to_pylist()]
    read = reader(str(in_process.folder / "out/metrics"), COLUMNS["metrics"])
    assert [plain(row) for row in read] == expected
