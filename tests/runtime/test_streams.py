"""Rows of a stream of Ray Data."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pytest
import ray
import ray.data

from raypipe.runtime.ray.streams import rows_of

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Doubling:
    """A stage with an actor."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        numbers = [2 * number for number in batch["item"].to_pylist()]
        if numbers == [198]:
            raise ValueError("the last one")
        return pa.table({"item": numbers})


def doubled(count: int) -> ray.data.Dataset:
    source = ray.data.from_items(list(range(count)), override_num_blocks=count)
    return source.map_batches(
        Doubling,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=0.5,
    )


def test_every_row_comes_once() -> None:
    assert sorted(row["item"] for row in rows_of(doubled(40))) == list(range(0, 80, 2))


def test_the_actors_of_a_stream_that_nobody_asks_any_more_end() -> None:
    rows: Any = rows_of(doubled(99))
    next(rows)
    rows.close()
    ended_by = time.monotonic() + 30
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < ended_by
        time.sleep(0.2)


def test_what_a_stage_raises_is_raised() -> None:
    with pytest.raises(ray.exceptions.RayTaskError, match="the last one"):
        list(rows_of(doubled(100)))
