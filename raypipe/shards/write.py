"""Utterances as shards, and what did not become an utterance as tables beside them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from raypipe.errors import ConfigError, FingerprintError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.shards.index import (
    INGEST_ERRORS,
    INGEST_EXCLUDED,
    ShardEntry,
    ShardIndex,
    publish_index,
)
from raypipe.shards.read import RowFailure
from raypipe.store.location import Location
from raypipe.store.parquet import to_parquet_bytes
from raypipe.store.schemas import SHARD, labels_metadata, with_metadata
from raypipe.store.strict import table_from_rows
from raypipe.store.tables import errors_table, utterance_row
from raypipe.votes import Excluded, VotePolicy, labelled

ROWS_PER_SHARD = 200
BYTES_PER_SHARD = 64 << 20


def write_shards(
    utterances: Iterable[Utterance | Failure],
    destination: Location,
    labels: LabelSet,
    *,
    rows_per_shard: int = ROWS_PER_SHARD,
    bytes_per_shard: int = BYTES_PER_SHARD,
    fixed_sentences: bool = False,
    policy: VotePolicy | None = None,
    source: str,
) -> ShardIndex:
    """Write utterances that a program makes one by one as shards, their index last.

    For corpora that lie in files there is :mod:`raypipe.runtime.ingest.job`. Failures are listed in
    ``ingest_errors.parquet``.

    Clips that the policy leaves out are no failures; ``ingest_excluded.parquet`` lists them.

    One shard is held in memory at a time, and 16 bytes of every id. The same input gives the same
    bytes, so an interrupted call is simply repeated; what is there already is compared, never
    replaced.

    Args:
        utterances: what to write, in order. Failures among them are counted and listed; an
            utterance whose id came before becomes one.
        destination: an empty place, or one that holds (part of) this very corpus.
        labels: the label set; an utterance without a soft label gets it from its votes.
        rows_per_shard: largest number of utterances in a shard.
        bytes_per_shard: audio bytes after which a shard is closed.
        fixed_sentences: the speakers were given their sentences.
        policy: how votes become soft labels and which clips stay.
        source: where the utterances come from, in words, for the index.

    Raises:
        FingerprintError: if the destination holds another corpus.
        StoreError: if the storage refuses.
    """
    policy = policy or VotePolicy()
    failures: list[Failure] = []
    excluded: list[Failure] = []
    entries: list[ShardEntry] = []
    datasets: set[str] = set()
    accepted = _accepted(utterances, labels, policy, failures, excluded)
    for number, rows in enumerate(_groups(accepted, rows_per_shard, bytes_per_shard)):
        datasets.update(row.dataset for row in rows)
        entries.append(_write_shard(destination, f"shard-{number:06d}.parquet", rows, labels))
    write_failures(destination, INGEST_ERRORS, failures)
    write_failures(destination, INGEST_EXCLUDED, excluded)
    return publish_index(
        destination,
        entries,
        labels,
        dataset="+".join(sorted(datasets)),
        soft_label_rule=policy.rule,
        policy=policy,
        fixed_sentences=fixed_sentences,
        source=source,
        failures=len(failures),
        excluded=len(excluded),
    )


def _accepted(
    utterances: Iterable[Utterance | Failure],
    labels: LabelSet,
    policy: VotePolicy,
    failures: list[Failure],
    excluded: list[Failure],
) -> Iterator[Utterance]:
    seen: set[bytes] = set()
    for number, utterance in enumerate(utterances):
        if isinstance(utterance, Failure):
            failures.append(utterance)
            continue
        digest = hashlib.blake2b(utterance.utterance_id.encode(), digest_size=16).digest()
        if digest in seen:
            message = f"utterance_id {utterance.utterance_id!r} came before in the corpus"
            failures.append(
                RowFailure(utterance.utterance_id, "ingest", "duplicate_id", message, number)
            )
            continue
        seen.add(digest)
        counted = labelled(utterance, labels, policy)
        if isinstance(counted, Excluded):
            excluded.append(counted)
        else:
            yield counted


def _groups(
    utterances: Iterable[Utterance], rows_per_shard: int, bytes_per_shard: int
) -> Iterator[list[Utterance]]:
    if rows_per_shard < 1 or bytes_per_shard < 1:
        raise ConfigError(
            f"a shard has at least 1 row and 1 byte, not {rows_per_shard} and {bytes_per_shard}"
        )
    group: list[Utterance] = []
    size = 0
    for utterance in utterances:
        group.append(utterance)
        size += len(utterance.audio)
        if len(group) == rows_per_shard or size >= bytes_per_shard:
            yield group
            group, size = [], 0
    if group:
        yield group


def _write_shard(
    destination: Location, name: str, rows: Sequence[Utterance], labels: LabelSet
) -> ShardEntry:
    data = encoded_shard(rows, labels, {})
    if not destination.create(name, data) and destination.read(name) != data:
        raise FingerprintError(
            f"{destination.uri}/{name} holds other utterances; give this corpus a place of its own"
        )
    return shard_entry(name, data, rows)


def encoded_shard(
    rows: Sequence[Utterance], labels: LabelSet, metadata: Mapping[str, str]
) -> bytes:
    """Utterances as one Parquet file with one row group, which the size of a shard bounds."""
    schema = with_metadata(SHARD, labels_metadata(labels))
    table = table_from_rows([utterance_row(row) for row in rows], schema)
    return to_parquet_bytes(table, metadata)


def shard_entry(name: str, data: bytes, rows: Sequence[Utterance]) -> ShardEntry:
    """Entry of the index for a shard."""
    return ShardEntry(
        name=name,
        rows=len(rows),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        duration_s=round(math.fsum(row.duration_s for row in rows), 3),
    )


def write_failures(destination: Location, name: str, failures: Sequence[Failure]) -> None:
    """Write inputs that did not become an utterance as a table, if there are any."""
    if not failures:
        return
    numbered = [
        (failure.row if isinstance(failure, RowFailure) else None, failure) for failure in failures
    ]
    table = errors_table(numbered, run="ingest", shard=None, shard_rows=1)
    destination.write_changed(name, to_parquet_bytes(table, {}))
