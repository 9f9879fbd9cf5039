"""Requests to object storage that a run makes for each of its shards, seen by a proxy."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import Faults
from in_process import LABELS, InProcess, utterance

from raypipe.runtime.infer import pipeline
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.store.run_record import write_record

FEW, MANY = 2, 6


class InBucket(InProcess):
    """A run whose shards and tables lie in a bucket."""

    def __init__(self, bucket: Location) -> None:
        super().__init__(Path(bucket.uri))
        self._place = bucket

    @property
    def tables(self) -> Location:
        return self._place.child("out")

    def write_to_bucket(self, shards: int) -> None:
        rows = [utterance(f"u{number}") for number in range(3 * shards)]
        write_shards(rows, self._place.child("shards"), LABELS, rows_per_shard=3, source="test")

    def objects(self) -> dict[str, bytes]:
        name = "metrics/model=fake/prompt=distribution/metrics.parquet"
        return {name: self.tables.read(name)}  # no others, which are counted

    def document(self, **changes: Any) -> dict[str, Any]:
        return super().document(**changes) | {"input": {"shards": f"{self._place.uri}/shards"}}


def requests(runs: InBucket, shards: int, faults: Faults) -> Counter[str]:
    """Of a run from its plan to its report, by method and folder."""
    runs.write_to_bucket(shards)
    faults.seen.clear()
    plan = runs.plan(strategies=["greedy", "w_bon"])
    (model_run,) = plan.model_runs
    runs._answer(model_run, model_run.pending)
    write_record(plan.context.tables, pipeline._record(plan, datetime.now(UTC)))
    runs.reduced(plan)
    folders = ((method, path.partition("?")[0].split("/")[2:4]) for method, path in faults.seen)
    return Counter(f"{method} {'/'.join(parts)}" for method, parts in folders)


def test_a_shard_costs_at_most_six_requests(
    fake_engine: None, s3: Any, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", faults.endpoint)
    # What few utterances and first answers on the page cost does not grow with the run.
    monkeypatch.setattr("raypipe.reporting.run.choosing.PER_RULE", 0)
    monkeypatch.setattr("raypipe.runtime.finish.report.MOST_ROWS", 1)
    seen = [
        requests(InBucket(Location.parse(f"s3://{s3.new_bucket()}")), shards, faults)
        for shards in (FEW, MANY)
    ]
    more = {
        kind: (number - seen[0][kind]) / (MANY - FEW) for kind, number in sorted(seen[1].items())
    }
    # One shard is read once, its answers and predictions are written and the latter read thrice.
    assert more["GET out/predictions"] == 3
    assert more["PUT out/generations"] == more["PUT out/predictions"] == 1
    assert sum(more.values()) <= 6, more
