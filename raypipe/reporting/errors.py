"""The errors table by stage and type, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.reporting.text import clean, count

EXAMPLES_PER_ERROR: Final = 3


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The errors of one stage and type."""

    stage: str
    error_type: str
    utterances: int
    examples: tuple[tuple[str, str], ...]


def error_groups(errors: pa.Table) -> tuple[ErrorGroup, ...]:
    """Errors by stage and type, most utterances first, with the first examples of each."""
    groups: dict[tuple[str, str], tuple[list[int], list[tuple[str, str]]]] = {}
    for batch in errors.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            key = (clean(row.get("stage"), 40), clean(row.get("error_type"), 60))
            total, examples = groups.setdefault(key, ([0], []))
            stated = row.get("utterances")
            total[0] += 1 if stated is None else stated
            if len(examples) < EXAMPLES_PER_ERROR:
                examples.append((_place(row), clean(row.get("message"), 240)))
    kinds = [
        ErrorGroup(stage, kind, total[0], tuple(examples))
        for (stage, kind), (total, examples) in groups.items()
    ]
    return tuple(sorted(kinds, key=lambda group: (-group.utterances, group.stage)))


def _place(row: Mapping[str, object]) -> str:
    """Name of the utterance that failed, or else of the row of the shard, or of the shard."""
    if row.get("utterance_id") is not None:
        return clean(row["utterance_id"], 80)
    parts = [
        f"{name} {clean(row[name], 60)}" for name in ("shard", "row") if row.get(name) is not None
    ]
    return ", ".join(parts) or "unnamed input"


def error_total(errors: pa.Table) -> int:
    """Number of utterances that ended as an error."""
    if "utterances" not in errors.column_names:
        return int(errors.num_rows)
    return int(pc.sum(errors["utterances"]).as_py() or 0)


def error_table(errors: pa.Table) -> Table:
    """Errors by stage and type, most utterances first, each with its first example."""
    table = Table(title="Errors", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    table.add_column("type", overflow="fold")
    table.add_column("utterances", justify="right")
    table.add_column("first example", overflow="fold")
    for group in error_groups(errors):
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
