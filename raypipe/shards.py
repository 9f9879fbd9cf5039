"""Utterances to shards, and shards to rows.

A shard is a Parquet object of some hundred utterances with their encoded audio. ``shards.json``
beside them, written last, says which shards belong to the corpus and what their bytes hash to; a
folder of shard objects without it is accepted too, with less to check against.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raypipe.errors import ConfigError, FingerprintError, ObjectMissingError, ShardError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Stage, Utterance
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes, to_parquet_bytes
from raypipe.store.schemas import SHARD, labels_metadata, labels_of, with_metadata
from raypipe.store.tables import errors_table, utterance_from_row, utterance_row
from raypipe.votes import Excluded, SoftLabelRule, VotePolicy, labelled

INDEX = "shards.json"
INGEST_ERRORS = "ingest_errors.parquet"
INGEST_EXCLUDED = "ingest_excluded.parquet"
FORMAT_VERSION = 1

ROWS_PER_SHARD = 200
BYTES_PER_SHARD = 64 << 20
SUM_TOLERANCE = 1e-3

_REQUIRED = ("utterance_id", "audio")


@dataclass(frozen=True, slots=True)
class RowFailure(Failure):
    """A failure that knows which row or line of its input it is.

    Attributes:
        row: line of a manifest counted from 1, or row of a shard counted from 0.
    """

    row: int


class ShardEntry(BaseModel):
    """One shard of a corpus.

    Attributes:
        name: of the object, relative to the index.
        rows: number of utterances.
        bytes: size of the object; None where no index says so.
        sha256: of the object's bytes; None where no index says so.
        duration_s: seconds of audio in it; None where no index says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: int
    bytes: int | None = None
    sha256: str | None = None
    duration_s: float | None = None


class ShardIndex(BaseModel):
    """What a corpus of shards holds.

    Attributes:
        labels: the label set every soft label is aligned with.
        soft_label_rule: how votes were counted, see :class:`raypipe.votes.VotePolicy`.
        policy: everything else about how votes became soft labels, and which clips stayed; None
            for a corpus written before this was kept.
        fixed_sentences: the speakers were given their sentences, so the words carry no emotion.
        source: where the utterances came from, in words.
        shards: in corpus order.
        rows: number of utterances in all shards.
        failures: number of inputs that did not become an utterance.
        excluded: number of good inputs that the policy leaves out.
        fingerprint: SHA-256 over the shards' digests, the labels and ``fixed_sentences``: it
            changes with any byte of the corpus and with how a model is asked about it.
        ids_are_unique: whether ingest has made sure that no id stands twice.
        corpus: name of the adapter or reader; None for shards that no ingest made.
        selection: the corpus's own name for the label set and policy that were begun with; None
            where a corpus has none.
        options: of the adapter or reader, all of them.
        licence: what may be done with the corpus; empty where nobody says.
        audio: ``flac``: integer PCM has become FLAC of the same depth; ``original``: every
            recording is as it was found.
        kept_original: of ``flac``, the number of recordings that are as they were found because
            FLAC would not hold them, by their format, such as ``WAV/FLOAT`` or ``OGG/VORBIS``.
        votes: number of votes inside the label set in all shards.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    dataset: str
    labels: tuple[str, ...]
    soft_label_rule: SoftLabelRule = "primary"
    policy: VotePolicy | None = None
    fixed_sentences: bool = False
    source: str = ""
    shards: tuple[ShardEntry, ...]
    rows: int
    duration_s: float | None = None
    failures: int = 0
    excluded: int = 0
    fingerprint: str
    ids_are_unique: bool = False
    corpus: str | None = None
    selection: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    licence: str = ""
    audio: Literal["flac", "original"] | None = None
    kept_original: dict[str, int] = Field(default_factory=dict)
    votes: int | None = None


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
    for number, one in enumerate(utterances):
        if isinstance(one, Failure):
            failures.append(one)
            continue
        digest = hashlib.blake2b(one.utterance_id.encode(), digest_size=16).digest()
        if digest in seen:
            message = f"utterance_id {one.utterance_id!r} came before in the corpus"
            failures.append(RowFailure(one.utterance_id, "ingest", "duplicate_id", message, number))
            continue
        seen.add(digest)
        counted = labelled(one, labels, policy)
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
    table = pa.Table.from_pylist([utterance_row(row) for row in rows], schema=schema)
    return to_parquet_bytes(table, metadata)


def shard_entry(name: str, data: bytes, rows: Sequence[Utterance]) -> ShardEntry:
    """What the index says of a shard."""
    return ShardEntry(
        name=name,
        rows=len(rows),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        duration_s=round(math.fsum(row.duration_s for row in rows), 3),
    )


def write_failures(destination: Location, name: str, failures: Sequence[Failure]) -> None:
    """Write what did not become an utterance as a table; nothing is written for nothing."""
    if not failures:
        return
    numbered = [(one.row if isinstance(one, RowFailure) else None, one) for one in failures]
    table = errors_table(numbered, run="ingest", shard=None, shard_rows=1)
    destination.write(name, to_parquet_bytes(table, {}))


def _fingerprint(digests: Iterable[str], labels: LabelSet, fixed_sentences: bool) -> str:
    document = [list(digests), labels.names, fixed_sentences]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def publish_index(
    destination: Location, entries: Sequence[ShardEntry], labels: LabelSet, **facts: Any
) -> ShardIndex:
    """Write ``shards.json``, after everything that it speaks of.

    Args:
        destination: where the shards are.
        entries: the shards, each with its digest, in corpus order.
        labels: the label set.
        facts: further fields of :class:`ShardIndex`.

    Raises:
        FingerprintError: if there is an index of another corpus.
        StoreError: if the storage refuses.
    """
    digests = [f"sha256:{entry.sha256}" for entry in entries]
    index = ShardIndex(
        labels=labels.names,
        shards=tuple(entries),
        rows=sum(entry.rows for entry in entries),
        duration_s=round(math.fsum(entry.duration_s or 0.0 for entry in entries), 3),
        fingerprint=_fingerprint(digests, labels, facts["fixed_sentences"]),
        ids_are_unique=True,
        **facts,
    )
    if destination.exists(INDEX):
        there = read_index(destination)
        if there.fingerprint != index.fingerprint:
            raise FingerprintError(
                f"{destination.uri} holds another corpus ({there.rows} utterances, fingerprint "
                f"{there.fingerprint[:12]}); give this one a place of its own"
            )
    destination.write(INDEX, (index.model_dump_json(indent=2) + "\n").encode())
    return index


def read_index(location: Location) -> ShardIndex:
    """What a place with shards holds.

    Without a ``shards.json``, all ``*.parquet`` objects below are taken, in the order of their
    names, and their row counts and label sets read from their footers.

    Raises:
        ConfigError: if nothing is there, or the index is not one that this version can read.
        ShardError: if there is no index and an object is not a shard.
    """
    try:
        data = location.read(INDEX)
    except ObjectMissingError:
        return _index_of_plain_folder(location)
    try:
        document = json.loads(data)
        version = document.get("format_version") if isinstance(document, dict) else None
        if version != FORMAT_VERSION:
            raise ConfigError(
                f"{location.uri}/{INDEX} has format version {version!r}, this raypipe reads "
                f"{FORMAT_VERSION}"
            )
        return ShardIndex.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{location.uri}/{INDEX}: {field}: {first['msg']}") from error
    except ValueError as error:
        raise ConfigError(f"{location.uri}/{INDEX} is not JSON: {error}") from error


def _index_of_plain_folder(location: Location) -> ShardIndex:
    names = [
        name for name in location.list(".parquet") if name not in (INGEST_ERRORS, INGEST_EXCLUDED)
    ]
    if not names:
        raise ConfigError(f"{location.uri} holds no {INDEX} and no shards (*.parquet)")
    entries, digests = [], []
    label_sets: set[LabelSet] = set()
    for name in names:
        rows, labels = _footer(location, name)
        digest = location.digest(name)
        sha256 = digest.removeprefix("sha256:") if digest.startswith("sha256:") else None
        entries.append(ShardEntry(name=name, rows=rows, sha256=sha256))
        digests.append(digest)
        label_sets.add(labels)
    if len(label_sets) > 1:
        raise ConfigError(
            f"{location.uri} mixes label sets: {sorted(one.names for one in label_sets)}"
        )
    [labels] = label_sets
    return ShardIndex(
        dataset=location.uri.rsplit("/", 1)[-1],
        labels=labels.names,
        source=location.uri,
        shards=tuple(entries),
        rows=sum(entry.rows for entry in entries),
        fingerprint=_fingerprint(digests, labels, fixed_sentences=False),
    )


def _footer(location: Location, name: str) -> tuple[int, LabelSet]:
    """Row count and label set of a shard, from the end of the object alone."""
    filesystem, base = location.filesystem()
    try:
        with filesystem.open_input_file(f"{base}/{name}") as stream:
            footer = pq.read_metadata(stream)
        labels = labels_of(footer.schema.to_arrow_schema())
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{location.uri}/{name} is not a Parquet file: {error}") from error
    if labels is None:
        raise ShardError(f"{location.uri}/{name} names no label set; is it a raypipe shard?")
    return footer.num_rows, labels


def read_shard(
    location: Location, entry: ShardEntry, labels: LabelSet | None = None
) -> list[Utterance | Failure]:
    """The rows of a shard in their order; a row that cannot be used is a failure in its place.

    Args:
        location: where the shard lies.
        entry: which shard; its digest and row count are checked where known.
        labels: the label set its soft labels must be aligned with; default: the one it names.

    Raises:
        ShardError: if the object is missing, damaged, or not a shard of these labels.
        StoreError: if the storage refuses.
    """
    where = f"{location.uri}/{entry.name}"
    try:
        table = _shard_table(_shard_bytes(location, entry), labels)
    except ShardError as error:
        raise ShardError(f"{where}: {error}") from error
    if table.num_rows != entry.rows:
        raise ShardError(f"{where}: {table.num_rows} rows, the index says {entry.rows}")
    seen: dict[str, int] = {}
    label_count = None if labels is None else len(labels)
    return [
        _checked_row(row, number, label_count, seen, where)
        for number, row in enumerate(table.to_pylist())
    ]


def _shard_bytes(location: Location, entry: ShardEntry) -> bytes:
    try:
        data = location.read(entry.name)
    except ObjectMissingError as error:
        raise ShardError("the object is missing") from error
    found = hashlib.sha256(data).hexdigest()
    if entry.sha256 is not None and found != entry.sha256:
        raise ShardError(
            f"the bytes have changed since ingest: {len(data)} bytes with SHA-256 {found[:12]}, "
            f"the index says {entry.bytes} with {entry.sha256[:12]}"
        )
    return data


def _shard_table(data: bytes, labels: LabelSet | None) -> pa.Table:
    table = from_parquet_bytes(data)
    missing = [name for name in _REQUIRED if name not in table.column_names]
    if missing:
        raise ShardError(f"not a shard: no column {' or '.join(missing)}")
    named = labels_of(table.schema)
    if labels is not None and named is not None and named != labels:
        raise ShardError(f"its labels are {named.names}, the corpus has {labels.names}")
    return pa.table({field.name: _column(table, field) for field in SHARD})


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column = table.column(field.name)
    try:
        column.validate(full=True)  # text that is not UTF-8 would fail later, inside a row
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise ShardError(
            f"column {field.name} is {column.type}, not usable as {field.type}: {error}"
        ) from error


def _checked_row(
    row: dict[str, Any], number: int, label_count: int | None, seen: dict[str, int], where: str
) -> Utterance | Failure:
    def failure(reason: str, message: str) -> RowFailure:
        return RowFailure(utterance_id, _READ, reason, f"{where} row {number}: {message}", number)

    utterance_id = row["utterance_id"]
    if not utterance_id:
        return failure("missing_id", f"utterance_id is {utterance_id!r}")
    if seen.setdefault(utterance_id, number) != number:
        first = seen[utterance_id]
        return failure("duplicate_id", f"utterance_id {utterance_id!r} is also in row {first}")
    if not row["audio"]:
        return failure("empty", "audio holds no bytes")
    wrong = soft_label_fault(row["soft_label"], label_count)
    if wrong is not None:
        return failure("bad_soft_label", wrong)
    return utterance_from_row(row)


_READ: Stage = "read"


def soft_label_fault(probs: Sequence[float | None] | None, label_count: int | None) -> str | None:
    """What is wrong with a soft label read from a shard, in words; None if nothing is."""
    if probs is None:
        return None
    if label_count is not None and len(probs) != label_count:
        return f"soft_label has {len(probs)} entries for {label_count} labels"
    if any(share is None or not 0 <= share <= 1 + SUM_TOLERANCE for share in probs):
        return f"soft_label {probs} has an entry outside [0, 1]"
    total = math.fsum(share for share in probs if share is not None)
    if abs(total - 1) > SUM_TOLERANCE:
        return f"soft_label {probs} sums to {total:.6g}, not 1"
    return None
