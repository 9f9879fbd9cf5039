"""Summary printed at the end of an ingest, by the command line and in a job's log."""

from __future__ import annotations

import pyarrow as pa

from raypipe.corpora.manifest import NOTHING_AFTER
from raypipe.reporting.console import Console
from raypipe.reporting.errors import ErrorTally, error_table
from raypipe.reporting.ingest import ingest_table
from raypipe.runtime.ingest.plan import PreparedIngest, read_request
from raypipe.shards import INGEST_ERRORS, INGEST_EXCLUDED, ShardIndex, has_labels
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes

_TORN = ("bad_gzip", "bad_tar")
"""Reasons of failures that stand for all the rest of a file."""


def show_ingest(index: ShardIndex, shards: Location, console: Console) -> None:
    """Print the summary, the first failures of every kind, and where all of them are."""
    failures = _table(shards, INGEST_ERRORS, index.failures)
    excluded = _table(shards, INGEST_EXCLUDED, index.excluded)
    console.print(ingest_table(index, failures, excluded))
    if failures is not None:
        console.print(error_table(ErrorTally.of(failures)))
        console.print(f"all failures: {shards.uri}/{INGEST_ERRORS}", markup=False, soft_wrap=True)
    if excluded is not None:
        console.print(f"left out: {shards.uri}/{INGEST_EXCLUDED}", markup=False, soft_wrap=True)
    console.print(
        f"{index.rows} utterances in {len(index.shards)} shards, {index.failures} failures, "
        f"{index.excluded} left out, in {shards.uri}",
        markup=False,
        soft_wrap=True,
    )


def ingest_faults(index: ShardIndex, shards: Location, prepared: PreparedIngest) -> list[str]:
    """Why what was written is no usable corpus, or not a whole one, in words; none where it is.

    Args:
        index: of the corpus.
        shards: where it lies.
        prepared: how it was made.
    """
    if index.rows == 0:
        return [
            f"the corpus is empty: none of {index.failures + index.excluded} inputs became an "
            f"utterance, {index.failures} failed and {index.excluded} were left out"
        ]
    torn = _torn(_table(shards, INGEST_ERRORS, index.failures))
    if has_labels(shards, index):
        return torn
    config = prepared.config
    request = read_request(config, prepared.labels, prepared.policy)
    unused = prepared.source.unused_columns(request)
    columns = f"; columns not used: {', '.join(map(repr, unused))}" if unused else ""
    return [
        *torn,
        f"no utterance has a vote or a soft label, so nothing can be compared{columns}; labels are "
        "read from votes, soft_label, emotion, label, labels or emo",
    ]


def _torn(failures: pa.Table | None) -> list[str]:
    """Files of a corpus that could not be read to their end."""
    if failures is None:
        return []
    return [
        f"the corpus is not whole: {row['message']}"
        for row in failures.select(["error_type", "message"]).to_pylist()
        if row["error_type"] in _TORN or row["message"].endswith(NOTHING_AFTER)
    ]


def _table(shards: Location, name: str, rows: int) -> pa.Table | None:
    return from_parquet_bytes(shards.read(name)) if rows else None
