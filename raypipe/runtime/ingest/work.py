"""Shards of a part of a corpus: read, encoded and written, without Ray.

A shard is written in one step under a name that is known before. Its footer holds the
results of all its inputs, so that a later attempt need not read any audio to know them.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import pyarrow as pa

from raypipe.corpora.containers import Container
from raypipe.corpora.limits import DEFAULT_LIMITS, RecordingLimits
from raypipe.corpora.pending import PendingClip, in_order
from raypipe.errors import (
    CorpusError,
    DecodeError,
    FingerprintError,
    RaypipeError,
    ShardError,
    unexpected,
)
from raypipe.labels import LabelSet
from raypipe.lossless import as_flac
from raypipe.records import Failure, Utterance
from raypipe.runtime.ingest.outcome import OUTCOME_KEY, ShardOutcome
from raypipe.shards import RowFailure, ShardEntry, encoded_shard, shard_entry
from raypipe.store.location import FINGERPRINT_KEY, Location
from raypipe.store.parquet import parquet_file
from raypipe.votes import Excluded, VotePolicy, labelled


@dataclass(frozen=True, slots=True)
class ExcludedInput:
    """A clip that the policy leaves out, with the reason and the place that names it."""

    reason: Failure


IngestInput = PendingClip | Failure | ExcludedInput


@dataclass(frozen=True, slots=True)
class ClipShard:
    """A shard of clips that lie in files of their own.

    Attributes:
        name: of the shard.
        inputs: clips, failures and excluded clips, in the corpus's order.
    """

    name: str
    inputs: tuple[IngestInput, ...]


@dataclass(frozen=True, slots=True)
class ContainerShards:
    """The shards of one container.

    Attributes:
        container: read once, from front to back.
        shards: names and numbers of clips, in order.
        repeated: clips by number whose id came before, with where it did.
        longer_ids: what stands before and after the id of those of them that get another.
    """

    container: Container
    shards: tuple[tuple[str, int], ...]
    repeated: Mapping[int, str]
    longer_ids: Mapping[int, tuple[str, str]] = field(default_factory=dict)


IngestTask = ClipShard | ContainerShards


@dataclass(frozen=True, slots=True)
class EncodedUtterance:
    """An utterance as it is stored.

    Attributes:
        kept: format of a recording that could not become FLAC, such as ``WAV/FLOAT``; None for one
            that is FLAC, or where FLAC is not asked for.
    """

    utterance: Utterance
    kept: str | None


IngestResult = EncodedUtterance | Failure | ExcludedInput


@dataclass(frozen=True, slots=True)
class IngestContext:
    """Settings that all tasks of an ingest share.

    Attributes:
        shards: place of the shards.
        flac: whether integer PCM becomes FLAC.
        fingerprint: of the ingest, kept in every shard.
        limits: of every clip.
    """

    shards: Location
    labels: LabelSet
    policy: VotePolicy
    flac: bool
    fingerprint: str
    limits: RecordingLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """Index entry of a finished shard, and the results for its inputs."""

    entry: ShardEntry
    outcome: ShardOutcome


def names_of(part: IngestTask) -> list[str]:
    """Names of the shards that a task writes."""
    return [part.name] if isinstance(part, ClipShard) else [name for name, _ in part.shards]


def write_shards(part: IngestTask, context: IngestContext) -> Iterator[WrittenShard]:
    """Write those shards of a part that are not there yet.

    Yields:
        Every shard of the part, in order.

    Raises:
        FingerprintError: if a shard of another ingest has the name of one.
        ShardError: if an object of such a name is no shard.
        StoreError: if the storage refuses.
    """
    written = {name: _existing(context, name) for name in names_of(part)}
    if all(written.values()):
        yield from (shard for shard in written.values() if shard is not None)
    elif isinstance(part, ClipShard):
        yield _write(part.name, _read_clips(part.inputs, context), context)
    else:
        rows = _read_container(part, context)
        for name, count in part.shards:
            results = islice(rows, count)
            existing = written[name]
            if existing is None:
                yield _write(name, results, context)
            else:
                for _ in results:  # what comes before the next shard that is not there
                    pass
                yield existing


def _read_clips(inputs: Iterable[IngestInput], context: IngestContext) -> Iterator[IngestResult]:
    """Reading runs a few clips ahead in threads; encoding does not, a task has one CPU."""

    def read(source: IngestInput) -> tuple[IngestInput, Utterance | Failure | ExcludedInput]:
        return source, source.read(context.limits) if isinstance(source, PendingClip) else source

    for source, row in in_order(read, inputs, _held):
        if isinstance(source, PendingClip) and isinstance(row, Utterance):
            name = f"audio {source.path!r}"
            yield _guarded(partial(_encoded, row, context), source.failure, name)
        elif not isinstance(row, Utterance):
            yield row


def _held(source: IngestInput) -> int:
    return (source.read_bytes or 0) if isinstance(source, PendingClip) else 0


def _read_container(part: ContainerShards, context: IngestContext) -> Iterator[IngestResult]:
    """One result for every clip that was listed, also where the file turns out to be damaged."""
    done = 0
    reason = "the file ends before this clip, which it was listed with"
    try:
        for result in _container_results(part, context):
            done += 1
            yield result
    except CorpusError as error:
        reason = str(error)
    for number in range(done, sum(count for _, count in part.shards)):
        message = f"{part.container.position(number)}: {reason}"
        yield RowFailure(None, "ingest", "bad_container", message, number + 1)


def _container_results(part: ContainerShards, context: IngestContext) -> Iterator[IngestResult]:
    for number, row in enumerate(part.container.read(context.limits)):
        where = part.container.position(number)
        if isinstance(row, Failure):
            yield row
            continue
        name = row.utterance_id
        if number in part.longer_ids:
            before, after = part.longer_ids[number]
            name = f"{before}{name}{after}"
            row = replace(row, utterance_id=name)
        elif number in part.repeated:
            message = f"{where}: {name!r} came before, in {part.repeated[number]}"
            yield RowFailure(name, "ingest", "duplicate_id", message, number + 1)
            continue

        def encoded(row: Utterance = row, where: str = where, number: int = number) -> IngestResult:
            result = counted(row, context.labels, context.policy, where, number + 1)
            return _encoded(result, context) if isinstance(result, Utterance) else result

        def failed(
            reason: str, message: str, name: str = name, where: str = where, number: int = number
        ) -> Failure:
            return RowFailure(name, "ingest", reason, f"{where}: {message}", number + 1)

        yield _guarded(encoded, failed, "audio")


def _guarded(
    encode: Callable[[], IngestResult], failed: Callable[[str, str], Failure], name: str
) -> IngestResult:
    """What is stored of one utterance, or its failure: it costs no other, whatever is wrong."""
    try:
        return encode()
    except DecodeError as error:
        return failed(error.code, f"{name}: {error}")
    except RaypipeError:
        raise
    except Exception as error:  # of a codec, about samples that nobody foresaw
        return failed(*unexpected(error))


def _encoded(row: Utterance, context: IngestContext) -> EncodedUtterance:
    if not context.flac:
        return EncodedUtterance(row, None)
    stored = as_flac(row.audio)
    return EncodedUtterance(replace(row, audio=stored.audio), stored.kept)


def counted(
    utterance: Utterance, labels: LabelSet, policy: VotePolicy, where: str, row: int | None
) -> Utterance | ExcludedInput:
    """An utterance with its soft label, or its exclusion by the policy with its position."""
    result = labelled(utterance, labels, policy)
    if not isinstance(result, Excluded):
        return result
    values = (result.utterance_id, result.stage, result.error_type, f"{where}: {result.message}")
    return ExcludedInput(Failure(*values) if row is None else RowFailure(*values, row))


def _write(name: str, results: Iterable[IngestResult], context: IngestContext) -> WrittenShard:
    rows: list[Utterance] = []
    outcome = ShardOutcome()
    kept: Counter[str] = Counter()
    for result in results:
        outcome.inputs += 1
        if isinstance(result, EncodedUtterance):
            rows.append(result.utterance)
            if result.kept is not None:
                kept[result.kept] += 1
        elif isinstance(result, ExcludedInput):
            outcome.excluded.append(result.reason)
        else:
            outcome.failures.append(result)
    outcome.duration_s = round(math.fsum(row.duration_s for row in rows), 3)
    outcome.votes = sum(row.n_votes for row in rows)
    outcome.datasets = sorted({row.dataset for row in rows})
    outcome.kept_original = dict(kept)
    metadata = {FINGERPRINT_KEY: context.fingerprint, OUTCOME_KEY: outcome.as_json()}
    data = encoded_shard(rows, context.labels, metadata)
    context.shards.write_new(name, data, context.fingerprint)
    return WrittenShard(shard_entry(name, data, rows), outcome)


def _existing(context: IngestContext, name: str) -> WrittenShard | None:
    """A shard that an earlier attempt wrote; only its footer is read."""
    if not context.shards.exists(name):
        return None
    where = f"{context.shards.uri}/{name}"
    filesystem, base = context.shards.filesystem()
    try:
        with filesystem.open_input_file(f"{base}/{name}") as stream:
            size = stream.size()
            footer = parquet_file(stream).metadata
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{where} is no shard: {error}; remove it and repeat") from error
    metadata = footer.metadata or {}
    if metadata.get(FINGERPRINT_KEY.encode()) != context.fingerprint.encode():
        raise FingerprintError(f"{where} is not of this ingest; give this one a place of its own")
    outcome = ShardOutcome.from_json(str(metadata[OUTCOME_KEY.encode()], "utf-8"))
    digest = context.shards.digest(name)
    if not digest.startswith("sha256:"):  # an object copied by other hands
        digest = f"sha256:{hashlib.sha256(context.shards.read(name)).hexdigest()}"
    entry = ShardEntry(
        name=name,
        rows=footer.num_rows,
        bytes=size,
        sha256=digest.removeprefix("sha256:"),
        duration_s=outcome.duration_s,
    )
    return WrittenShard(entry, outcome)
