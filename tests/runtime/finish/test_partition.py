"""Names of models and prompts as folders, and back."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from raypipe.runtime.finish.partition import model_folder, partition

NAMES = ["tiny-alm", "a b", "a/b=c", "100%", "%20", "wärmer", "a+b", "x?y&z#", "7", "..", "."]


def test_plain_names_are_plain_folders() -> None:
    assert partition("tiny-alm", "distribution+cot") == "model=tiny-alm/prompt=distribution+cot"
    assert model_folder("a b") == "model=a b"


@pytest.mark.parametrize("name", NAMES)
def test_a_partition_is_two_folders(name: str) -> None:
    parts = partition(name, name).split("/")
    assert len(parts) == 2
    assert partition(name, "p").startswith(f"{model_folder(name)}/")


@pytest.mark.parametrize("name", NAMES)
def test_arrow_and_duckdb_read_the_names_that_were_written(name: str, tmp_path: Path) -> None:
    folder = tmp_path / partition(name, name)
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1]}), folder / "part.parquet")
    keys = pa.schema([("model", pa.string()), ("prompt", pa.string())])
    hive = pyarrow.dataset.partitioning(keys, flavor="hive")
    (row,) = pyarrow.dataset.dataset(tmp_path, partitioning=hive).to_table().to_pylist()
    assert row == {"x": 1, "model": name, "prompt": name}
    files = f"{tmp_path}/**/*.parquet"
    rows = duckdb.execute(
        "SELECT model::VARCHAR, prompt::VARCHAR FROM read_parquet(?, hive_partitioning = true)",
        [files],
    ).fetchall()
    assert rows == [(name, name)]


def test_different_names_have_different_folders() -> None:
    assert len({partition(name, "p") for name in NAMES}) == len(NAMES)
