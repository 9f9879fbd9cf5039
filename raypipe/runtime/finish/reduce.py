"""The reduce: from ``predictions/`` to counts, ``metrics/`` and the report.

Two passes over the predictions, each a Ray task per group of objects: the first counts them and
gathers what the report, bins and baselines need of the whole corpus, the second the sums behind
every metric and interval. All are exact sums, so the same predictions give the same bytes on any
cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pyarrow as pa

from raypipe.config import MetricsConfig
from raypipe.labels import LabelSet
from raypipe.metrics.columns import held_in
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState
from raypipe.metrics.summary import CorpusFrame
from raypipe.records import OWN_LABELS, LabelTable
from raypipe.reporting.console import Console
from raypipe.runtime.finish.fold_tasks import fold_in_tasks
from raypipe.runtime.finish.folds import Folding
from raypipe.runtime.finish.groups import ObjectGroup, groups_of, read_rows
from raypipe.runtime.finish.labels import NO_TABLES, TruthTables, read_table, relabelled_rows
from raypipe.runtime.finish.partition import ModelPrompt, partition
from raypipe.runtime.finish.report import write_report
from raypipe.runtime.finish.tally import CellTally, CountedCell, errors_in
from raypipe.store.location import Location
from raypipe.store.metric_tables import metrics_table
from raypipe.store.objects import object_bytes
from raypipe.store.run_record import RunRecord
from raypipe.store.schemas import UTTERANCE_METRICS

# Every metric is worked out again from the distributions themselves.
_UNREAD = (
    *("labels", "dropped_share", "predicted", "covariance", "duration_s", "audio_marks", "facts"),
    *UTTERANCE_METRICS,
)
_ONLY_COUNTED = ("run", "dataset", "parse_rule", "invalid_reason")

_Tables = tuple[LabelTable, ...]
_Frames = tuple[CorpusFrame, ...]


def count_cells(
    tables: Location,
    cells: Mapping[ModelPrompt, Sequence[str]],
    run: str,
    console: Console,
    *,
    labels: LabelSet,
    settings: MetricsConfig,
    truth: TruthTables = NO_TABLES,
    fold: Folding = fold_in_tasks,
) -> dict[ModelPrompt, CountedCell]:
    """The first pass: what the committed objects hold.

    Args:
        tables: where the objects lie.
        cells: names of the ``predictions/`` objects by model and prompt.
        run: id of the run whose rows count.
        console: where progress goes.
        labels: of the corpus.
        settings: of the bootstrap.
        truth: see :func:`reduce_tables`.
        fold: carries it out.
    """
    unread = _unread(settings)

    def make(group: ObjectGroup, known: _Tables) -> tuple[CellTally, tuple[CorpusSummary, ...]]:
        rows = read_rows(tables, group.predictions, unread)
        tally = CellTally.of_predictions(rows, run, labels).merge(errors_in(tables, group, run))
        return tally, tuple(
            CorpusSummary.from_table(relabelled_rows(rows, table), labels, settings.slices)
            for table in known
        )

    def merge(
        left: tuple[CellTally, tuple[CorpusSummary, ...]],
        right: tuple[CellTally, tuple[CorpusSummary, ...]],
    ) -> tuple[CellTally, tuple[CorpusSummary, ...]]:
        pairs = zip(left[1], right[1], strict=True)
        return left[0].merge(right[0]), tuple(one.merge(other) for one, other in pairs)

    def finish(whole: tuple[CellTally, tuple[CorpusSummary, ...]]) -> tuple[CellTally, _Frames]:
        return whole[0].counted(), tuple(summary.frame for summary in whole[1])

    counted = {}
    with console.status("counting"):
        for cell, names in cells.items():
            groups = groups_of(tables, cell, names)
            tally, frames = fold(groups, make, merge, finish, _label_tables(truth))
            counted[cell] = CountedCell(tuple(groups), tally, frames)
    return counted


def reduce_tables(
    tables: Location,
    cells: Mapping[ModelPrompt, CountedCell],
    record: RunRecord,
    console: Console,
    *,
    labels: LabelSet,
    settings: MetricsConfig,
    compared: frozenset[tuple[str, str]] | None = None,
    truth: TruthTables = NO_TABLES,
    fold: Folding = fold_in_tasks,
) -> None:
    """Compute and write ``metrics/`` and ``report.html`` from ``predictions/`` objects.

    Args:
        tables: where the objects lie, and where the metrics go.
        cells: what :func:`count_cells` found, with the same settings.
        record: the run record; its fingerprint becomes the metrics'.
        console: where progress goes.
        labels: of the corpus.
        settings: of the bootstrap.
        compared: pairs of strategies with a paired difference; None for all.
        truth: label tables that stand instead of the corpus's labels or beside them; those beside
            measure everything once more, in rows that follow those of the predictions' labels.
        fold: carries it out.
    """
    known = _label_tables(truth)
    measure = partial(_measure, tables, labels, settings, compared, truth.instead is None)
    with console.status("reducing to metrics"):
        for (model, prompt), cell in cells.items():
            rows = fold(cell.groups, measure, _merge, _finish, (known, cell.frames))
            metrics = [
                metrics_table(own, table.name or None)
                for own, table in zip(rows, known, strict=True)
            ]
            data = object_bytes(
                pa.concat_tables(metrics),
                model=model,
                prompt=prompt,
                fingerprint=record.fingerprint,
            )
            tables.write(f"metrics/{partition(model, prompt)}/metrics.parquet", data)
        write_report(tables, record, labels, cells, fold)


def _label_tables(truth: TruthTables) -> _Tables:
    """What everything is measured against, the predictions' own labels first."""
    return (OWN_LABELS, *(read_table(table) for table in truth.beside))


def _unread(settings: MetricsConfig) -> list[str]:
    return [name for name in _UNREAD if name not in held_in(settings.slices)]


def _measure(
    tables: Location,
    labels: LabelSet,
    settings: MetricsConfig,
    compared: frozenset[tuple[str, str]] | None,
    own_are_votes: bool,
    group: ObjectGroup,
    shared: tuple[_Tables, _Frames],
) -> tuple[MetricState, ...]:
    """The sums of a group of objects, under every set of labels."""
    sliced = held_in(settings.slices)
    unread = [*_unread(settings), *(name for name in _ONLY_COUNTED if name not in sliced)]
    rows = read_rows(tables, group.predictions, unread)
    return tuple(
        MetricState.from_table(
            relabelled_rows(rows, table),
            frame,
            labels,
            replicates=settings.replicates,
            seed=settings.seed,
            drawn=settings.draw,
            per_speaker=settings.per_speaker,
            compared=compared,
            annotator_labels=settings.annotator_labels,
            are_votes=own_are_votes and number == 0,
        )
        for number, (table, frame) in enumerate(zip(*shared, strict=True))
    )


def _merge(
    left: tuple[MetricState, ...], right: tuple[MetricState, ...]
) -> tuple[MetricState, ...]:
    return tuple(one.merge(other) for one, other in zip(left, right, strict=True))


def _finish(states: tuple[MetricState, ...]) -> list[list[MetricRow]]:
    return [state.finish() for state in states]
