"""Parquet in memory: the same bytes every time, and no flipped bit passes for data."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.errors import ShardError
from raypipe.store.parquet import from_parquet_bytes, to_parquet_bytes


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "utterance_id": [f"clip-{number}" for number in range(40)],
            "audio": [rng.bytes(600) for _ in range(40)],
            "probs": [list(rng.dirichlet(np.ones(6))) for _ in range(40)],
            "nested": [[{"logits": [[1.5, 2.5]], "text": "ü"}, None], None] * 20,
        }
    )


def test_the_same_table_gives_the_same_bytes(table: pa.Table) -> None:
    first = to_parquet_bytes(table, {"run": "1"})
    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7)])
    assert to_parquet_bytes(table, {"run": "1"}) == first
    assert to_parquet_bytes(pieces, {"run": "1"}) == first
    assert to_parquet_bytes(table, {"run": "2"}) != first


def test_tables_and_metadata_come_back(table: pa.Table) -> None:
    named = table.replace_schema_metadata({"kept": "é"})
    back = from_parquet_bytes(to_parquet_bytes(named, {"run": "1"}))
    assert back.equals(table)
    assert back.schema.metadata == {b"kept": "é".encode(), b"run": b"1"}


def test_columns_can_be_left_out_at_any_depth(table: pa.Table) -> None:
    data = to_parquet_bytes(table.replace_schema_metadata({"kept": "é"}), {})
    part = from_parquet_bytes(data, without=("audio", "nested.list.element.logits", "prob"))
    assert part.column_names == ["utterance_id", "probs", "nested"]
    assert part.schema.metadata[b"kept"].decode() == "é"
    assert part["nested"].to_pylist() == [[{"text": "ü"}, None], None] * 20
    assert part["probs"].equals(table["probs"])


def test_any_other_reader_understands_the_encodings(table: pa.Table) -> None:
    data = to_parquet_bytes(table, {})
    import duckdb

    with duckdb.connect() as connection:
        connection.register("read", pq.read_table(io.BytesIO(data)))
        assert connection.execute("SELECT count(*) FROM read").fetchone() == (40,)
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert columns["audio"].compression == "UNCOMPRESSED"
    # Those that Spark 3 reads with the settings it comes with.
    known = {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
    assert {name for column in columns.values() for name in column.encodings} <= known


def test_no_flipped_bit_changes_a_row_silently(table: pa.Table) -> None:
    good = to_parquet_bytes(table, {"run": "1"})
    rng = np.random.default_rng(1)
    detected = 0
    for bit in rng.choice(len(good) * 8, 400, replace=False):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            back = from_parquet_bytes(bytes(damaged))
        except ShardError:
            detected += 1
        else:
            # Only the footer's notes about the data, which no reader here uses, have no checksum.
            assert back.equals(table)
    assert detected > 350


@pytest.mark.parametrize("cut", [0, 1, 4, 100, -1, -8])
def test_a_cut_file_is_refused(table: pa.Table, cut: int) -> None:
    with pytest.raises(ShardError, match="not a whole Parquet file"):
        from_parquet_bytes(to_parquet_bytes(table, {})[:cut])


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ShardError, match="not a whole Parquet file"):
        from_parquet_bytes(b"<html>404</html>" * 10)


_COUNTS_THREADS = """
import os, pathlib, sys
from raypipe.store.parquet import from_parquet_bytes
data = pathlib.Path(sys.argv[1]).read_bytes()
before = len(os.listdir("/proc/self/task"))
from_parquet_bytes(data)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_no_thread_keeps_the_bytes_when_python_ends(table: pa.Table, tmp_path: Path) -> None:
    """A thread of Arrow's that drops Python's bytes at the very end aborts the process."""
    (tmp_path / "table.parquet").write_bytes(to_parquet_bytes(table, {}))
    shown = subprocess.run(
        [sys.executable, "-c", _COUNTS_THREADS, tmp_path / "table.parquet"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == ["0"]
