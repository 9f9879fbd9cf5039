"""What other training labels gain, for a page and a terminal: Table IV of typed_descriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.reporting.text import NONE, clean, difference, interval, score

CAPTION: Final = (
    "threshold macro-F1, pooled and as the mean over batches of 32, without the labels and with "
    "them; relative gain in percent, its 95 % intervals over seeds and over clips"
)
_SUMMARIES: Final = {
    "mean_of_gains": "mean of gains",
    "ratio_of_averages": "ratio of averages",
}
_SCORES: Final = {"pooled": "pooled", "batches": "by 32"}

_Line = tuple[str, str | None]
"""What a row of ``gains/`` is about: its kind, and the encoder where it is of one."""


@dataclass(frozen=True, slots=True)
class GainCell:
    """Scores of one kind as texts: without and with the labels, the gain and its intervals."""

    without: str = NONE
    relabelled: str = NONE
    gain: str = NONE
    seeds: str = NONE
    utterances: str = NONE


@dataclass(frozen=True, slots=True)
class GainRow:
    """An encoder, or what sums all of them up; cells as the columns stand."""

    name: str
    is_summary: bool
    cells: tuple[GainCell, ...]


@dataclass(frozen=True, slots=True)
class GainGroup:
    """A head, the labels that it learned and those that it is measured against."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[GainRow, ...]


def gain_groups(gains: pa.Table) -> tuple[GainGroup, ...]:
    """The rows of ``gains/`` by head, label table and truth."""
    compared: dict[tuple[str, str, str | None], dict[_Line, dict[str, GainCell]]] = {}
    for row in gains.to_pylist():
        lines = compared.setdefault((row["head"], row["labels"], row["truth"]), {})
        lines.setdefault((row["row"], row["encoder"]), {})[row["score"]] = GainCell(
            score(row["without"]),
            score(row["relabelled"]),
            _percent(row["gain"]),
            _ends(row["seeds_low"], row["seeds_high"]),
            _ends(row["utterances_low"], row["utterances_high"]),
        )
    return tuple(
        GainGroup(_title(*key), tuple(_SCORES.values()), tuple(_rows(lines)))
        for key, lines in compared.items()
    )


def _title(head: str, labels: str, truth: str | None) -> str:
    against = "the test labels" if truth is None else f"labels {clean(truth)}"
    return f"{clean(head)} trained from {clean(labels)}, against {against}"


def _rows(lines: Mapping[_Line, Mapping[str, GainCell]]) -> Sequence[GainRow]:
    return [
        GainRow(
            _SUMMARIES.get(kind) or clean(encoder),
            kind in _SUMMARIES,
            tuple(scores.get(name, GainCell()) for name in _SCORES),
        )
        for (kind, encoder), scores in lines.items()
    ]


def _ends(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else interval(_percent(low), _percent(high))


def _percent(share: float) -> str:
    return difference(100 * share, 2)


def terminal_tables(gains: pa.Table) -> list[Table]:
    """A table for every head, label table and truth.

    Args:
        gains: rows of ``gains/``.
    """
    return [_terminal_table(group) for group in gain_groups(gains)]


def _terminal_table(group: GainGroup) -> Table:
    table = Table(title=Text(group.title), caption=CAPTION, box=SIMPLE_HEAD)
    table.add_column("encoder", overflow="fold")
    for name in group.columns:
        table.add_column(name, justify="right", no_wrap=True)
        table.add_column("gain, %", justify="right", no_wrap=True)
    after_encoders = False
    for row in group.rows:
        if row.is_summary and not after_encoders:
            table.add_section()
        after_encoders = row.is_summary
        cells = []
        for cell in row.cells:
            ends = Text(f"\n{cell.seeds}\n{cell.utterances}", style="dim")
            cells += [Text(f"{cell.without}\n{cell.relabelled}"), Text(cell.gain) + ends]
        table.add_row(Text(row.name), *cells)
    return table
