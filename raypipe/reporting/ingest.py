"""Summary of an ingest for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.reporting.errors import error_groups
from raypipe.reporting.text import clean, count, duration
from raypipe.shards import ShardIndex

_MB = 1e6


def ingest_table(index: ShardIndex, failures: pa.Table | None, excluded: pa.Table | None) -> Table:
    """Table of counts that add up: found = written + failed + left out.

    Args:
        index: of the corpus.
        failures: ``ingest_errors.parquet``; None if nothing failed.
        excluded: ``ingest_excluded.parquet``; None if nothing was left out.
    """
    table = Table(title=Text(f"Ingest of {clean(index.dataset)}"), box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for name, value, note in _rows(index, failures, excluded):
        table.add_row(Text(name), Text(value), Text(note, style="dim"))
    return table


def _rows(
    index: ShardIndex, failures: pa.Table | None, excluded: pa.Table | None
) -> Iterator[tuple[str, str, str]]:
    clips = index.rows + index.failures + index.excluded
    yield "clips found", count(clips), ""
    yield "written", count(index.rows), duration(index.duration_s or 0.0)
    yield "failed", count(index.failures), ""
    yield from _reasons(failures)
    yield "left out by the policy", count(index.excluded), ""
    yield from _reasons(excluded)
    yield "votes in the label set", count(index.votes or 0), ", ".join(index.labels)
    kept = index.kept_original
    if index.audio == "flac" and kept:
        yield "kept as found, not FLAC", count(sum(kept.values())), _counts(kept)
    size = sum(shard.bytes or 0 for shard in index.shards)
    yield "shards", count(len(index.shards)), f"{size / _MB:,.1f} MB"


def _reasons(table: pa.Table | None) -> Iterator[tuple[str, str, str]]:
    if table is not None:
        for group in error_groups(table):
            yield f"  {group.error_type}", count(group.utterances), ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count(number)} {clean(kind)}" for kind, number in counts.items())
