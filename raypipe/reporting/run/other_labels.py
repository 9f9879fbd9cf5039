"""Scores of a run under label tables beside those under the corpus's own labels."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.reporting.names import PRIMARY, headline_metrics, number_format, title
from raypipe.reporting.run.headline import with_interval
from raypipe.reporting.run.scores import Approach, Scores
from raypipe.reporting.run.tables import TableCell, estimate_cell
from raypipe.reporting.text import clean
from raypipe.store.run_record import RunRecord


@dataclass(frozen=True, slots=True)
class OtherLabelsRow:
    """One approach under one set of labels.

    Attributes:
        heading: name of the approach that begins with this row; empty where none does.
        labels: whose they are.
        n: utterances behind the first score; None where there is none.
        cells: aligned with the table's columns.
    """

    heading: str
    labels: str
    n: int | None
    cells: tuple[TableCell, ...]


@dataclass(frozen=True, slots=True)
class OtherLabelsTable:
    """Headline scores by approach, those under other labels below those under the own ones.

    Attributes:
        own: what the labels of the predictions are called.
        tables: names of the label tables.
    """

    own: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[OtherLabelsRow, ...]


def table_names(metrics: pa.Table) -> tuple[str, ...]:
    """Names of the label tables that a metrics table has rows of, in its order."""
    if "labels" not in metrics.column_names:
        return ()
    names = pc.unique(metrics["labels"].cast(pa.string())).to_pylist()
    return tuple(name for name in names if name is not None)


def own_title(run: RunRecord) -> str:
    """What the labels in ``predictions/`` are called: the corpus's own, or a label table's."""
    instead = [table.name for table in run.label_tables or () if table.place == "instead"]
    return clean(instead[0]) if instead else "own labels"


def other_labels_table(metrics: pa.Table, own: Scores, run: RunRecord) -> OtherLabelsTable | None:
    """Headline scores under every set of labels; None where there are none but the own.

    Args:
        metrics: rows of ``metrics/``, those under other labels included.
        own: of the same rows, under the labels of the predictions.
        run: that they are of.
    """
    names = table_names(metrics)
    if not names:
        return None
    called = own_title(run)
    under = {called: own} | {clean(name): Scores(metrics, name) for name in names}
    columns = headline_metrics()
    rows = []
    for approach in own.approaches:
        heading = own.name(approach)
        for labels, scores in under.items():
            rows.append(_row(heading, labels, scores, approach, columns))
            heading = ""
    titles = tuple(title(metric) for metric in columns)
    return OtherLabelsTable(called, tuple(map(clean, names)), titles, tuple(rows))


def _row(
    heading: str, labels: str, scores: Scores, approach: Approach, columns: tuple[str, ...]
) -> OtherLabelsRow:
    estimates = [scores.get(approach, metric) for metric in columns]
    first = scores.get(approach, PRIMARY)
    return OtherLabelsRow(
        heading,
        labels,
        None if first is None else first.n,
        tuple(
            estimate_cell(estimate, number_format(metric))
            for metric, estimate in zip(columns, estimates, strict=True)
        ),
    )


def other_labels_lines(metrics: pa.Table, run: RunRecord) -> list[str]:
    """For every label table a line: the best strategy's score under it and under the own labels."""
    own = Scores(metrics)
    best = own.best()
    before = None if best is None else own.get(best, PRIMARY)
    lines = []
    for name in table_names(metrics):
        scores = Scores(metrics, name)
        after = None if best is None else scores.get(best, PRIMARY)
        if best is not None and before is not None and after is not None:
            lines.append(
                f"against labels {clean(name)}: {title(PRIMARY)} of {own.name(best)} "
                f"{with_interval(after)}, against {own_title(run)} {with_interval(before)}"
            )
    return lines
