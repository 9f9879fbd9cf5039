"""The summary of an ingest: what is shown adds up."""

from __future__ import annotations

import io

from rich.console import Console

from raypipe.records import Failure
from raypipe.reporting.ingest import ingest_table
from raypipe.shards.index import ShardEntry, ShardIndex
from raypipe.store.tables import errors_table

INDEX = ShardIndex(
    dataset="crema[bold]-d\x1b[31m",
    labels=("anger", "sadness"),
    rows=7_000,
    failures=3,
    excluded=1,
    duration_s=3_725.0,
    votes=63_000,
    audio="flac",
    kept_original={"OGG/VORBIS": 2, "WAV/FLOAT": 1_001},
    shards=(
        ShardEntry(name="shard-00000.parquet", rows=6_500, bytes=60_000_000),
        ShardEntry(name="shard-00001.parquet", rows=500, bytes=4_500_000),
    ),
    fingerprint="5e0c9a3f7d21",
)


def shown(index: ShardIndex, *reasons: str) -> str:
    failures = [(None, Failure(None, "ingest", reason, "m")) for reason in reasons]
    table = errors_table(failures, run="ingest", shard=None, shard_rows=1)
    log = io.StringIO()
    Console(file=log, width=100).print(ingest_table(index, table if reasons else None, None))
    return " ".join(log.getvalue().split())


def test_found_is_written_and_failed_and_left_out() -> None:
    text = shown(INDEX, "truncated", "missing_audio", "truncated")
    assert "clips found 7,004 " in text
    assert "written 7,000 1 h 2 min" in text
    assert "failed 3 truncated 2 missing_audio 1" in text
    assert "left out by the policy 1" in text
    assert "votes in the label set 63,000 anger, sadness" in text
    assert "kept as found, not FLAC 1,003 2 OGG/VORBIS, 1,001 WAV/FLOAT" in text
    assert "shards 2 64.5 MB" in text


def test_names_from_a_corpus_are_plain_text() -> None:
    text = shown(INDEX)
    assert "\x1b" not in text
    assert "crema[bold]-d" in text


def test_nothing_is_said_of_flac_where_none_was_asked_for() -> None:
    assert "FLAC" not in shown(INDEX.model_copy(update={"audio": "original", "kept_original": {}}))
