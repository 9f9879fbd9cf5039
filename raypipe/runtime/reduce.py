"""The reduce on Ray: from ``predictions/`` to ``metrics/`` and the report.

Two passes over the predictions, each a Ray task per group of shards: the first gathers what bins
and baselines need of the whole corpus, the second the sums behind every metric and interval.
The states are exact sums, so the same predictions give the same bytes on any cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, TypeVar

import pyarrow as pa
import ray
from rich.console import Console

from raypipe.labels import LabelSet
from raypipe.metrics.reduce import CorpusSummary, MetricState, metrics_table
from raypipe.report.write import html_report
from raypipe.runtime.plan import Plan
from raypipe.store.location import Location
from raypipe.store.query import table_dataset
from raypipe.store.tables import from_parquet_bytes, to_parquet_bytes

SHARDS_PER_TASK = 16
REPORT = "report.html"

State = TypeVar("State")


def reduce_run(plan: Plan, record: dict[str, Any], console: Console) -> pa.Table:
    """Compute and write ``metrics/`` and ``report.html`` of a run whose shards are all done."""
    context, settings = plan.context, plan.config.metrics
    names = [context.object_name("predictions", task.entry.name) for task in plan.tasks]
    groups = [names[at : at + SHARDS_PER_TASK] for at in range(0, len(names), SHARDS_PER_TASK)]

    def summarise(table: pa.Table) -> CorpusSummary:
        return CorpusSummary.from_table(table, context.labels)

    with console.status("reducing to metrics"):
        summary = CorpusSummary.merge_all(list(_states(groups, context.tables, summarise)))
        _ = summary.frame  # worked out once here, not in every task
        shared = ray.put(summary)

        def measure(table: pa.Table) -> MetricState:
            return MetricState.from_table(
                table,
                ray.get(shared),
                context.labels,
                replicates=settings.replicates,
                seed=settings.seed,
                per_speaker=settings.per_speaker,
            )

        state = reduce(MetricState.merge, _states(groups, context.tables, measure))
        metrics = metrics_table(state.finish())
    data = to_parquet_bytes(metrics, {"raypipe.fingerprint": context.prediction_fingerprint})
    context.tables.write(context.object_name("metrics", "metrics.parquet"), data)
    write_report(context.tables, record, context.labels)
    return metrics


def _states(
    groups: list[list[str]], tables: Location, make: Callable[[pa.Table], State]
) -> Iterator[State]:
    """``make`` over every group's rows in Ray tasks; the states in the groups' order."""

    def state_of(names: list[str]) -> State:
        return make(pa.concat_tables([from_parquet_bytes(tables.read(name)) for name in names]))

    task = ray.remote(num_cpus=0.5)(state_of)
    for waiting in [task.remote(group) for group in groups]:
        state: State = ray.get(waiting)
        yield state


def write_report(tables: Location, record: dict[str, Any], labels: LabelSet) -> None:
    """Write ``report.html`` from the tables as they stand."""
    metrics = table_dataset(tables, "metrics")
    errors = table_dataset(tables, "errors")
    assert metrics is not None
    assert errors is not None
    page = html_report(
        record, metrics.to_table(), _batches(tables, "predictions"), errors.to_table(), labels
    )
    tables.write(REPORT, page.encode())


def _batches(tables: Location, table: str) -> Iterator[pa.Table]:
    dataset = table_dataset(tables, table)
    assert dataset is not None
    for batch in dataset.to_batches(batch_size=4096):
        yield pa.Table.from_batches([batch])
