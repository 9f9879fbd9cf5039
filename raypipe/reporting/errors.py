"""The errors table by stage and type, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.reporting.text import clean, count

EXAMPLES_PER_ERROR: Final = 3


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The errors of one stage and type.

    Attributes:
        utterances: that failed.
        examples: the first ones: the name of what failed, and the message.
    """

    stage: str
    error_type: str
    utterances: int
    examples: tuple[tuple[str, str], ...]

    def merge(self, other: ErrorGroup) -> ErrorGroup:
        """Both as one, this one's examples first."""
        examples = (*self.examples, *other.examples)[:EXAMPLES_PER_ERROR]
        return replace(self, utterances=self.utterances + other.utterances, examples=examples)


@dataclass(frozen=True, slots=True)
class ErrorTally:
    """Errors by stage and type, as texts for people, in the order of their first rows."""

    by_kind: Mapping[tuple[str, str], ErrorGroup] = field(default_factory=dict)

    @classmethod
    def of(cls, errors: pa.Table) -> ErrorTally:
        """The errors of a table."""
        tally: dict[tuple[str, str], ErrorGroup] = {}
        for batch in errors.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                kind = clean(row.get("stage"), 40), clean(row.get("error_type"), 60)
                stated = row.get("utterances")
                example = _place(row), clean(row.get("message"), 240)
                group = ErrorGroup(*kind, 1 if stated is None else stated, (example,))
                tally[kind] = tally[kind].merge(group) if kind in tally else group
        return cls(tally)

    def merge(self, other: ErrorTally) -> ErrorTally:
        """The errors of both, this one's examples first."""
        merged = dict(self.by_kind)
        for kind, group in other.by_kind.items():
            merged[kind] = merged[kind].merge(group) if kind in merged else group
        return ErrorTally(merged)

    @property
    def utterances(self) -> int:
        """Number of utterances that ended as an error."""
        return sum(group.utterances for group in self.by_kind.values())

    @property
    def groups(self) -> tuple[ErrorGroup, ...]:
        """Most utterances first."""
        groups = self.by_kind.values()
        return tuple(sorted(groups, key=_rank))


def _rank(group: ErrorGroup) -> tuple[int, str, str]:
    return -group.utterances, group.stage, group.error_type


def error_groups(errors: pa.Table) -> tuple[ErrorGroup, ...]:
    """Errors by stage and type, most utterances first, with the first examples of each."""
    return ErrorTally.of(errors).groups


def _place(row: Mapping[str, object]) -> str:
    """Name of the utterance that failed, or else of the row of the shard, or of the shard."""
    if row.get("utterance_id") is not None:
        return clean(row["utterance_id"], 80)
    parts = [
        f"{name} {clean(row[name], 60)}" for name in ("shard", "row") if row.get(name) is not None
    ]
    return ", ".join(parts) or "unnamed input"


def error_table(errors: ErrorTally) -> Table:
    """Errors by stage and type, most utterances first, each with its first example."""
    table = Table(title="Errors", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    table.add_column("type", overflow="fold")
    table.add_column("utterances", justify="right")
    table.add_column("first example", overflow="fold")
    for group in errors.groups:
        place, message = group.examples[0]
        table.add_row(
            Text(group.stage),
            Text(group.error_type),
            Text(count(group.utterances)),
            Text(clean(f"{place}: {message}")),
        )
    if table.row_count == 0:
        table.add_row(Text("none"), Text(""), Text("0"), Text(""))
    return table
