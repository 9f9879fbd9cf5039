"""Rows of a shard as utterances; a row that cannot be used is a failure in its place."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.errors import ObjectMissingError, ShardError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Stage, Utterance
from raypipe.shards.index import ShardEntry
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes, parquet_file
from raypipe.store.schemas import SHARD, labels_of
from raypipe.store.tables import utterance_from_row

SUM_TOLERANCE = 1e-3
"""Largest distance of a soft label's sum from 1."""

_ID, _AUDIO = "utterance_id", "audio"
_REQUIRED = (_ID, _AUDIO)
_READ: Stage = "read"


@dataclass(frozen=True, slots=True)
class RowFailure(Failure):
    """A failure with the row or line of its input.

    Attributes:
        row: line of a manifest counted from 1, or row of a shard counted from 0.
    """

    row: int


def read_shard(
    location: Location, entry: ShardEntry, labels: LabelSet | None = None
) -> list[Utterance | Failure]:
    """Utterances of a shard in order, a failure in place of each row that cannot be used.

    Args:
        location: where the shard lies.
        entry: which shard; its digest and row count are checked where known.
        labels: the label set its soft labels must be aligned with; default: the one it names.

    Raises:
        ShardError: if the object is missing, damaged, or not a shard of these labels.
        StoreError: if the storage refuses.
    """
    return shard_rows(shard_bytes(location, entry), location, entry, labels)


def shard_bytes(location: Location, entry: ShardEntry) -> bytes:
    """The object of a shard, whose digest is checked where it is known; raises as read_shard."""
    where = f"{location.uri}/{entry.name}"
    try:
        data = location.read(entry.name)
    except ObjectMissingError as error:
        raise ShardError(f"{where}: the object is missing") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if entry.sha256 is not None and sha256 != entry.sha256:
        raise ShardError(
            f"{where}: the bytes have changed since ingest: {len(data)} bytes with SHA-256 "
            f"{sha256[:12]}, the index says {entry.bytes} with {entry.sha256[:12]}"
        )
    return data


def shard_rows(
    data: bytes, location: Location, entry: ShardEntry, labels: LabelSet | None = None
) -> list[Utterance | Failure]:
    """What :func:`read_shard` gives, of an object that has been read."""
    where = f"{location.uri}/{entry.name}"
    try:
        table = _shard_table(data, labels)
    except ShardError as error:
        raise ShardError(f"{where}: {error}") from error
    return _checked_rows(table, entry, labels, where, _REQUIRED)


def read_unheard(
    location: Location, entry: ShardEntry, labels: LabelSet | None = None
) -> list[Utterance | Failure]:
    """Utterances of a shard without their audio, which is not read; otherwise as read_shard.

    The shard's digest is not checked: that would read the audio, too.

    Raises:
        ShardError: if the object is missing, damaged, or not a shard of these labels.
    """
    where = f"{location.uri}/{entry.name}"
    filesystem, base = location.filesystem()
    try:
        with filesystem.open_input_file(f"{base}/{entry.name}") as stream:
            file = parquet_file(stream)
            columns = [name for name in file.schema_arrow.names if name != _AUDIO]
            table = _shard_columns(file.read(columns), labels, [_ID])
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{where} cannot be read: {error}") from error
    except ShardError as error:
        raise ShardError(f"{where}: {error}") from error
    return _checked_rows(table, entry, labels, where, [_ID])


def _checked_rows(
    table: pa.Table,
    entry: ShardEntry,
    labels: LabelSet | None,
    where: str,
    required: Sequence[str],
) -> list[Utterance | Failure]:
    if table.num_rows != entry.rows:
        raise ShardError(f"{where}: {table.num_rows} rows, the index says {entry.rows}")
    seen: dict[str, int] = {}
    label_count = None if labels is None else len(labels)
    return [
        _checked_row(row, number, label_count, seen, where, required)
        for number, row in enumerate(table.to_pylist())
    ]


def _shard_table(data: bytes, labels: LabelSet | None) -> pa.Table:
    return _shard_columns(from_parquet_bytes(data), labels, _REQUIRED)


def _shard_columns(table: pa.Table, labels: LabelSet | None, required: Sequence[str]) -> pa.Table:
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise ShardError(f"not a shard: no column {' or '.join(missing)}")
    named = labels_of(table.schema)
    if labels is not None and named is not None and named != labels:
        raise ShardError(f"its labels are {named.names}, the corpus has {labels.names}")
    kept = [field for field in SHARD if field.name != _AUDIO or _AUDIO in required]
    return pa.table({field.name: _column(table, field) for field in kept})


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
    row: dict[str, Any],
    number: int,
    label_count: int | None,
    seen: dict[str, int],
    where: str,
    required: Sequence[str],
) -> Utterance | Failure:
    def failure(reason: str, message: str) -> RowFailure:
        return RowFailure(utterance_id, _READ, reason, f"{where} row {number}: {message}", number)

    utterance_id = row["utterance_id"]
    if not utterance_id:
        return failure("missing_id", f"utterance_id is {utterance_id!r}")
    if seen.setdefault(utterance_id, number) != number:
        first = seen[utterance_id]
        return failure("duplicate_id", f"utterance_id {utterance_id!r} is also in row {first}")
    if _AUDIO in required and not row[_AUDIO]:
        return failure("empty", "audio holds no bytes")
    wrong = soft_label_fault(row["soft_label"], label_count)
    if wrong is not None:
        return failure("bad_soft_label", wrong)
    return utterance_from_row(row)


def soft_label_fault(probs: Sequence[float | None] | None, label_count: int | None) -> str | None:
    """Fault of a soft label read from a shard, in words; None for a good one."""
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
