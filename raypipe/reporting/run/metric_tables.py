"""Every metric of the metrics table for every approach, known to the report or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raypipe.reporting.names import better, metric_rank, number_format, title
from raypipe.reporting.run.scores import Approach, Scores
from raypipe.reporting.run.tables import TableCell, estimate_cell
from raypipe.reporting.text import clean


@dataclass(frozen=True, slots=True)
class MetricTableRow:
    """One metric and its values, aligned with the table's columns.

    Attributes:
        title: of the metric; its name where the report knows no title.
        metric: name in the metrics table.
        better: ``lower``, ``higher``, or empty where neither is known to be better.
    """

    title: str
    metric: str
    better: str
    cells: tuple[TableCell, ...]


@dataclass(frozen=True, slots=True)
class MetricTable:
    """All metrics of one model and prompt.

    Attributes:
        heading: model and prompt; empty where there is only one pair.
        columns: names of the strategies, then of the references.
        notes: what a reader has to know of the values.
    """

    heading: str
    columns: tuple[str, ...]
    rows: tuple[MetricTableRow, ...]
    notes: tuple[str, ...] = ()


def metric_tables(scores: Scores, slice_name: str = "all") -> tuple[MetricTable, ...]:
    """One table for every model and prompt; the best strategy is marked where one can be told."""
    names = sorted(scores.metrics(slice_name), key=metric_rank)
    groups = scores.groups()
    listening = [group for group in groups if not group.approaches[0].is_reference]
    tables = []
    for group in listening or groups:
        strategies = group.approaches
        constant = () if not listening else scores.references(strategies[0])
        tables.append(
            MetricTable(
                group.title,
                tuple(scores.short_name(approach) for approach in (*strategies, *constant)),
                tuple(_row(scores, name, strategies, constant, slice_name) for name in names),
                scores.notes(strategies, names, slice_name),
            )
        )
    return tuple(tables)


def _row(
    scores: Scores,
    metric: str,
    strategies: Sequence[Approach],
    constant: Sequence[Approach],
    slice_name: str,
) -> MetricTableRow:
    form = number_format(metric)
    best = scores.best_of(strategies, metric, slice_name)
    best_value = None
    if best is not None:
        printed = {
            estimate_cell(scores.get(approach, metric, slice_name), form).value
            for approach in strategies
        }
        # Where all print alike none is better than another.
        if len(printed) > 1:
            best_value = estimate_cell(scores.get(best, metric, slice_name), form).value
    cells = []
    for approach in (*strategies, *constant):
        cell = estimate_cell(scores.get(approach, metric, slice_name), form)
        is_best = cell.value == best_value and approach in strategies
        cells.append(TableCell(cell.value, cell.interval, is_best))
    return MetricTableRow(clean(title(metric)), clean(metric), better(metric) or "", tuple(cells))
