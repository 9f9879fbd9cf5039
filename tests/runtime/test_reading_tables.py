"""Ray Data reads a run's tables as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import ray

from raypipe.labels import LABEL_SETS
from raypipe.store.location import Location
from raypipe.store.query import query


@pytest.mark.parametrize("table", ["predictions", "generations", "metrics"])
def test_ray_data_reads_a_table(finished: Path, table: str) -> None:
    rows = ray.data.read_parquet(str(finished / table)).take_all()
    expected = query(Location.parse(str(finished)), f"FROM {table}").to_pylist()
    assert len(rows) == len(expected) > 0
    assert {row["model"] for row in rows} == {"tiny-alm"}
    assert {row["prompt"] for row in rows} == {"distribution"}
    assert {*rows[0]} == {*expected[0]}
    if table == "predictions":
        names = {tuple(row["labels"]) for row in rows}
        assert names == {LABEL_SETS["crema-d-6"].names}
        by_key = {(row["utterance_id"], row["strategy"]): row for row in rows}
        for row in expected:
            read = by_key[row["utterance_id"], row["strategy"]]
            np.testing.assert_array_equal(
                np.stack(read["covariance"]) if row["covariance"] else None, row["covariance"]
            )
