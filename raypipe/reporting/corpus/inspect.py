"""Findings about a corpus of shards, in one pass that reads all columns but the audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.corpora.pending import in_order
from raypipe.errors import ObjectMissingError, ShardError, StoreError
from raypipe.labels import LabelSet
from raypipe.reporting.corpus.findings import Findings, OmissionReason, OmittedInputs, SliceBy
from raypipe.reporting.corpus.signals import SignalTally
from raypipe.reporting.corpus.tally import CorpusTally, SoftLabelTally
from raypipe.shards import (
    INGEST_ERRORS,
    INGEST_EXCLUDED,
    ShardEntry,
    ShardIndex,
    read_index,
    soft_label_fault,
)
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes, parquet_file
from raypipe.store.schemas import SHARD, labels_of
from raypipe.store.tables import utterance_from_row
from raypipe.votes import VotePolicy

_LARGE = {"audio", "transcript", "context"}
_COLUMNS = [field for field in SHARD if field.name not in _LARGE]
_ROWS_AT_ONCE = 1000
_PROBLEMS_NAMED = 20


class _Problems:
    """Messages about what could not be read: the first ones in full, the others as a number."""

    def __init__(self) -> None:
        self._named: list[str] = []
        self._more = 0

    def add(self, problem: str) -> None:
        if len(self._named) < _PROBLEMS_NAMED:
            self._named.append(problem)
        else:
            self._more += 1

    def in_words(self) -> tuple[str, ...]:
        return (*self._named, *([f"and {self._more} more"] if self._more else []))


@dataclass(frozen=True, slots=True)
class _ShardColumns:
    """The columns of a shard without audio and texts, or the problem that kept them away."""

    entry: ShardEntry
    table: pa.Table | None
    problem: str | None


def inspect_shards(
    shards: Location,
    *,
    slice_by: SliceBy | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Findings about a corpus of shards.

    Votes are counted under the corpus's own policy, by the functions that made its soft labels.
    Memory holds a few shards' labels and what is counted: ids of speakers and annotators, and
    every different text, duration and rating once. A shard or row that cannot be read is named
    among the problems and left out; the rest is counted. Digests are not checked, as that would
    mean to read all the audio.

    Args:
        shards: a place that :func:`raypipe.shards.read_index` can read.
        slice_by: a column to count the slices of.
        progress: called with the number of shards done, and of all.

    Raises:
        ConfigError: if there are no shards.
        StoreError: if the storage refuses to list them.
    """
    index = read_index(shards)
    labels = LabelSet(index.labels)
    policy = index.policy or VotePolicy(rule=index.soft_label_rule)
    tally, signals = CorpusTally(labels, policy), SignalTally()
    slices: dict[str | None, SoftLabelTally] = {}
    problems = _Problems()
    reads = in_order(lambda entry: _read(shards, entry, labels), index.shards)
    for done, read in enumerate(reads, start=1):
        for row in _rows(read, len(labels), problems):
            utterance = utterance_from_row(row)
            counted = tally.add(utterance)
            signals.add(utterance.audio_marks)
            if slice_by is not None:
                name = getattr(utterance, slice_by) or None
                part = slices.setdefault(name, SoftLabelTally(labels, policy))
                part.add(utterance, *counted)
        if progress is not None:
            progress(done, len(index.shards))
    return _findings(shards, index, tally, signals, slice_by, slices, problems)


def _read(shards: Location, entry: ShardEntry, labels: LabelSet) -> _ShardColumns:
    try:
        table = _small_columns(shards, entry, labels)
    except (ShardError, StoreError) as error:
        return _ShardColumns(entry, None, f"{entry.name} ({entry.rows} utterances): {error}")
    return _ShardColumns(entry, table, None)


def _small_columns(shards: Location, entry: ShardEntry, labels: LabelSet) -> pa.Table:
    filesystem, base = shards.filesystem()
    try:
        with (
            filesystem.open_input_file(f"{base}/{entry.name}") as stream,
            parquet_file(stream) as file,
        ):
            there = [field for field in _COLUMNS if field.name in file.schema_arrow.names]
            table = file.read(columns=[field.name for field in there])
    except FileNotFoundError as error:
        raise ShardError("the object is missing") from error
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"cannot be read: {str(error).splitlines()[0][:200]}") from error
    named = labels_of(table.schema)
    if named is not None and named != labels:
        raise ShardError(f"its labels are {named.names}, the corpus has {labels.names}")
    if "utterance_id" not in table.column_names:
        raise ShardError("not a shard: no column utterance_id")
    if table.num_rows != entry.rows:
        raise ShardError(f"{table.num_rows} rows, the index says {entry.rows}")
    try:
        table.validate(full=True)  # text that is not UTF-8 would fail later, inside a row
        return table.cast(pa.schema([field.with_nullable(True) for field in there]))
    except pa.ArrowException as error:
        raise ShardError(f"a column is not what a shard holds: {error}") from error


def _rows(
    read: _ShardColumns, label_count: int, problems: _Problems
) -> Iterator[Mapping[str, Any]]:
    if read.table is None:
        problems.add(read.problem or "")
        return
    empty = dict.fromkeys(SHARD.names)
    number = 0
    for batch in read.table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            fault = soft_label_fault(row.get("soft_label"), label_count)
            if fault is None:
                yield {**empty, "audio": b"", **row}
            else:
                problems.add(f"{read.entry.name} row {number}: {fault}")
            number += 1


def _findings(
    shards: Location,
    index: ShardIndex,
    tally: CorpusTally,
    signals: SignalTally,
    slice_by: SliceBy | None,
    slices: Mapping[str | None, SoftLabelTally],
    problems: _Problems,
) -> Findings:
    ordered = sorted(slices.items(), key=lambda item: (-item[1].utterances, item[0] or ""))
    sizes = [entry.bytes for entry in index.shards]
    return Findings(
        location=shards.uri,
        dataset=index.dataset,
        origin=index.source,
        corpus=index.corpus,
        selection=index.selection,
        options=index.options,
        licence=index.licence,
        audio=index.audio,
        kept_original=index.kept_original,
        policy=index.policy,
        fixed_sentences=index.fixed_sentences,
        fingerprint=index.fingerprint,
        shards=len(index.shards),
        bytes=None if None in sizes else sum(size or 0 for size in sizes),
        utterances=tally.shares.utterances,
        failed=_omitted(shards, INGEST_ERRORS, index.failures, problems),
        excluded=_omitted(shards, INGEST_EXCLUDED, index.excluded, problems),
        problems=problems.in_words(),
        datasets=dict(tally.datasets.most_common()),
        splits=dict(tally.splits.most_common()),
        sampling_rates=dict(sorted(tally.sampling_rates.items())),
        durations=tally.durations(),
        signals=signals.findings(),
        speakers=tally.speakers(),
        annotators=tally.annotators(),
        labels=tally.shares.label_findings(),
        votes=tally.votes(),
        entropy=tally.shares.entropy(),
        agreement=tally.shares.agreement(),
        self_reports=tally.self_reports(),
        typed=tally.typed(),
        attributes=tally.attributes(),
        slice_by=slice_by,
        slices=tuple(part.slice_finding(name) for name, part in ordered),
    )


def _omitted(shards: Location, name: str, stated: int, problems: _Problems) -> OmittedInputs:
    """Number of inputs that did not become utterances, with the reasons that ingest wrote."""
    if stated == 0:
        return OmittedInputs(inputs=0, reasons=())
    try:
        table = from_parquet_bytes(shards.read(name))
    except (ObjectMissingError, ShardError) as error:
        problems.add(f"{name}: {error}; shards.json speaks of {stated} inputs in it")
        return OmittedInputs(inputs=stated, reasons=())
    inputs: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for batch in table.select(["error_type", "message", "utterances"]).to_batches():
        for row in batch.to_pylist():
            inputs[row["error_type"]] += row["utterances"]
            examples.setdefault(row["error_type"], row["message"])
    ordered = sorted(inputs.items(), key=lambda item: (-item[1], item[0]))
    return OmittedInputs(
        inputs=stated,
        reasons=tuple(
            OmissionReason(reason=reason, inputs=count, example=examples[reason])
            for reason, count in ordered
        ),
    )
