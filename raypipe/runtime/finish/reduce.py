"""The reduce on Ray: from ``predictions/`` to ``metrics/`` and the report.

Two passes over the predictions, each a Ray task per group of shards: the first gathers what bins
and baselines need of the whole corpus, the second the sums behind every metric and interval.
The states are exact sums, so the same predictions give the same bytes on any cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TypeVar

import pyarrow as pa
import ray

from raypipe.config import MetricsConfig
from raypipe.labels import LabelSet
from raypipe.metrics.columns import held_in
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState
from raypipe.records import OWN_LABELS, LabelTable
from raypipe.reporting.console import Console
from raypipe.runtime.finish.counts import ModelPrompt
from raypipe.runtime.finish.labels import NO_TABLES, TruthTables, read_table, relabelled_rows
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.finish.report import write_report
from raypipe.runtime.ray.tasks import in_order
from raypipe.store.location import Location
from raypipe.store.metric_tables import metrics_table
from raypipe.store.objects import object_bytes, read_object
from raypipe.store.run_record import RunRecord
from raypipe.store.schemas import UTTERANCE_METRICS

SHARDS_PER_TASK = 16

# Every metric is worked out again from the distributions themselves.
_UNREAD = (
    *("run", "dataset", "labels", "parse_rule", "invalid_reason", "dropped_share"),
    *("predicted", "covariance", "duration_s", "audio_marks", "facts"),
    *UTTERANCE_METRICS,
)

State = TypeVar("State")


def reduce_tables(
    tables: Location,
    cells: Mapping[ModelPrompt, Sequence[str]],
    record: RunRecord,
    console: Console,
    *,
    labels: LabelSet,
    settings: MetricsConfig,
    compared: frozenset[tuple[str, str]] | None = None,
    truth: TruthTables = NO_TABLES,
) -> None:
    """Compute and write ``metrics/`` and ``report.html`` from ``predictions/`` objects.

    Args:
        tables: where the objects lie, and where the metrics go.
        cells: names of the objects by model and prompt.
        record: the run record; its fingerprint becomes the metrics'.
        console: where progress goes.
        labels: of the corpus.
        settings: of the bootstrap.
        compared: pairs of strategies with a paired difference; None for all.
        truth: label tables that stand instead of the corpus's labels or beside them; those beside
            measure everything once more, in rows that follow those of the predictions' labels.
    """
    measured = [(OWN_LABELS, truth.instead is None)]
    measured += [(read_table(table), False) for table in truth.beside]
    with console.status("reducing to metrics"):
        for (model, prompt), predictions in cells.items():
            metrics = [
                metrics_table(
                    _metrics(tables, predictions, labels, settings, compared, table, votes),
                    table.name or None,
                )
                for table, votes in measured
            ]
            data = object_bytes(
                pa.concat_tables(metrics),
                model=model,
                prompt=prompt,
                fingerprint=record.fingerprint,
            )
            tables.write(f"metrics/{partition(model, prompt)}/metrics.parquet", data)
    write_report(tables, record, labels)


def _metrics(
    tables: Location,
    predictions: Sequence[str],
    labels: LabelSet,
    settings: MetricsConfig,
    compared: frozenset[tuple[str, str]] | None,
    truth: LabelTable,
    votes: bool,
) -> list[MetricRow]:
    groups = [
        predictions[at : at + SHARDS_PER_TASK] for at in range(0, len(predictions), SHARDS_PER_TASK)
    ]

    other_labels = ray.put(truth)

    def summarise(table: pa.Table) -> CorpusSummary:
        rows = relabelled_rows(table, ray.get(other_labels))
        return CorpusSummary.from_table(rows, labels, settings.slices)

    unread = [name for name in _UNREAD if name not in held_in(settings.slices)]
    summary = CorpusSummary.merge_all(list(_states(groups, tables, unread, summarise)))
    _ = summary.frame  # worked out once here, not in every task
    shared = ray.put(summary)

    def measure(table: pa.Table) -> MetricState:
        return MetricState.from_table(
            relabelled_rows(table, ray.get(other_labels)),
            ray.get(shared),
            labels,
            replicates=settings.replicates,
            seed=settings.seed,
            drawn=settings.draw,
            per_speaker=settings.per_speaker,
            compared=compared,
            annotator_labels=settings.annotator_labels,
            are_votes=votes,
        )

    state = reduce(MetricState.merge, _states(groups, tables, unread, measure))
    return state.finish()


def _states(
    groups: Sequence[Sequence[str]],
    tables: Location,
    unread: Sequence[str],
    make: Callable[[pa.Table], State],
) -> Iterator[State]:
    """``make`` over every group's rows in Ray tasks; the states in the groups' order."""

    def state_of(names: Sequence[str]) -> State:
        parts = [read_object(tables, name, without=unread) for name in names]
        return make(pa.concat_tables(parts))

    return in_order(ray.remote(num_cpus=0.5)(state_of), groups)
