"""What other training labels gain, for a terminal: Table IV of typed_descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
from rich.table import Table
from rich.text import Text

from raypipe.reporting.text import NONE, clean, difference, score

_SUMMARIES: Final = {
    "mean_of_gains": "mean of gains",
    "ratio_of_averages": "ratio of averages",
}
_SCORES: Final = {"pooled": "threshold F1", "batches": "mean over 32s"}


def gains_tables(gains: pa.Table) -> Iterator[Table]:
    """A table for every head, label table and truth: scores without and with it, and the gain.

    Args:
        gains: rows of ``gains/``.
    """
    compared: dict[tuple[str, str, str | None], dict[tuple[str, str | None], Any]] = {}
    for row in gains.to_pylist():
        lines = compared.setdefault((row["head"], row["labels"], row["truth"]), {})
        lines.setdefault((row["row"], row["encoder"]), {})[row["score"]] = row
    for (head, labels, truth), lines in compared.items():
        against = "the test labels" if truth is None else f"labels {clean(truth)}"
        table = Table(
            "encoder",
            title=Text(f"{clean(head)} trained from {clean(labels)}, against {against}"),
            caption="without, with and relative gain in percent; 95 % intervals over seeds | clips",
        )
        for name in _SCORES.values():
            table.add_column(name, justify="right", no_wrap=True)
            table.add_column("gain", justify="right", no_wrap=True)
        before = "encoder"
        for (kind, encoder), scores in lines.items():
            if before == "encoder" != kind:
                table.add_section()
            before = kind
            cells = [cell for name in _SCORES for cell in _cells(scores.get(name))]
            table.add_row(Text(_SUMMARIES.get(kind, clean(encoder))), *cells)
        yield table


def _cells(row: Mapping[str, Any] | None) -> tuple[str, str]:
    if row is None:
        return NONE, NONE
    ends = " | ".join(
        NONE if low is None else f"{_percent(low)}, {_percent(high)}"
        for low, high in (
            (row["seeds_low"], row["seeds_high"]),
            (row["utterances_low"], row["utterances_high"]),
        )
    )
    scores = f"{score(row['without'])} {score(row['relabelled'])}"
    return scores, f"{_percent(row['gain'])}\n{ends}"


def _percent(share: float) -> str:
    return difference(100 * share, 2)
