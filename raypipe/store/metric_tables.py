"""What the reduce gives, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import pyarrow as pa

from raypipe.metrics.exact import SCALE
from raypipe.metrics.reduce import MetricRow, MetricState
from raypipe.store.schemas import METRICS
from raypipe.store.strict import table_from_columns

CONFUSION = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "prompt", "strategy", "slice")),
        ("truth", pa.string()),  # the plurality
        ("predicted", pa.string()),
        ("count", pa.float64()),
    ]
)
"""One row per model, prompt, strategy, slice and pair of labels."""


def metrics_table(rows: Iterable[MetricRow], labels: str | None = None) -> pa.Table:
    """Rows as the ``metrics/`` table.

    Args:
        rows: of the reduce.
        labels: name of the label table that was measured against; None for the corpus's own.
    """
    listed = list(rows)
    names = [field.name for field in fields(MetricRow)]
    columns: dict[str, list[object]] = {
        name: [getattr(row, name) for row in listed] for name in names
    }
    columns["labels"] = [labels] * len(listed)
    return table_from_columns(columns, METRICS)


def confusion_table(state: MetricState) -> pa.Table:
    """Confusion counts by model, prompt, strategy and slice.

    Counts are whole, but where predictions give several labels the largest share: each of those
    has an equal part of the utterance, as all labels have under ``uniform``.
    """
    names = state.labels.names
    rows = [
        (*key, truth, predicted, state.confusion[key][i, j] / SCALE)
        for key in sorted(state.confusion)
        for i, truth in enumerate(names)
        for j, predicted in enumerate(names)
    ]
    columns = dict(zip(CONFUSION.names, zip(*rows, strict=True), strict=True)) if rows else {}
    return table_from_columns(columns or {name: [] for name in CONFUSION.names}, CONFUSION)
