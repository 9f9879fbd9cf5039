"""What is done with a part of a corpus: read, encode, write its shards. Free of Ray.

A shard is written in one step under a name that is known before. Its footer holds what became of
every input it stands for, so that a later attempt need not read any audio to know it.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.corpora.containers import Container
from raypipe.corpora.pending import Pending, in_order
from raypipe.errors import CorpusError, DecodeError, FingerprintError, ShardError
from raypipe.labels import LabelSet
from raypipe.lossless import as_flac
from raypipe.records import Failure, Utterance
from raypipe.runtime.ingest.outcome import OUTCOME_KEY, Outcome
from raypipe.shards import RowFailure, ShardEntry, encoded_shard, shard_entry
from raypipe.store.location import FINGERPRINT_KEY, Location
from raypipe.votes import Excluded, VotePolicy, labelled


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A clip that the policy leaves out, with the place that names it."""

    reason: Failure


Input = Pending | Failure | LeftOut


@dataclass(frozen=True, slots=True)
class ClipShard:
    """A shard of clips that lie in files of their own.

    Attributes:
        name: of the shard.
        inputs: clips, and what did not become one, in the corpus's order.
    """

    name: str
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class ContainerShards:
    """The shards of one container.

    Attributes:
        container: what is read, once, from front to back.
        shards: names and numbers of clips, in order.
        repeated: clips by number whose id came before, with where it did.
    """

    container: Container
    shards: tuple[tuple[str, int], ...]
    repeated: Mapping[int, str]


Part = ClipShard | ContainerShards


@dataclass(frozen=True, slots=True)
class Ready:
    """An utterance as it is to be stored; ``kept`` is why it is not FLAC, None if it is."""

    utterance: Utterance
    kept: str | None


Result = Ready | Failure | LeftOut


@dataclass(frozen=True, slots=True)
class IngestContext:
    """What every part of an ingest is made with.

    Attributes:
        shards: where they go.
        flac: whether integer PCM becomes FLAC.
        fingerprint: of the ingest, kept in every shard.
    """

    shards: Location
    labels: LabelSet
    policy: VotePolicy
    flac: bool
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Written:
    """A finished shard: what the index says of it, and what became of its inputs."""

    entry: ShardEntry
    outcome: Outcome


def names_of(part: Part) -> list[str]:
    """Names of the shards that a part becomes."""
    return [part.name] if isinstance(part, ClipShard) else [name for name, _ in part.shards]


def carry_out(part: Part, context: IngestContext) -> Iterator[Written]:
    """Write those shards of a part that are not there yet.

    Yields:
        Every shard of the part, in order.

    Raises:
        FingerprintError: if a shard of another ingest has the name of one.
        ShardError: if an object of such a name is no shard.
        StoreError: if the storage refuses.
    """
    found = {name: _existing(context, name) for name in names_of(part)}
    if all(found.values()):
        yield from (one for one in found.values() if one is not None)
    elif isinstance(part, ClipShard):
        yield _write(part.name, _read_clips(part.inputs, context), context)
    else:
        rows = _read_container(part, context)
        for name, count in part.shards:
            results = islice(rows, count)
            existing = found[name]
            if existing is None:
                yield _write(name, results, context)
            else:
                for _ in results:  # what comes before the next shard that is not there
                    pass
                yield existing


def _read_clips(inputs: Iterable[Input], context: IngestContext) -> Iterator[Result]:
    """Reading runs a few clips ahead in threads; encoding does not, a task has one CPU."""

    def read(one: Input) -> tuple[Input, Utterance | Failure | LeftOut]:
        return one, one.read() if isinstance(one, Pending) else one

    for one, row in in_order(read, inputs):
        if isinstance(one, Pending) and isinstance(row, Utterance):
            try:
                yield _ready(row, context)
            except DecodeError as error:
                yield one.failure(error.code, f"audio {one.path!r}: {error}")
        elif not isinstance(row, Utterance):
            yield row


def _read_container(part: ContainerShards, context: IngestContext) -> Iterator[Result]:
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


def _container_results(part: ContainerShards, context: IngestContext) -> Iterator[Result]:
    for number, row in enumerate(part.container.read()):
        where = part.container.position(number)
        if isinstance(row, Failure):
            yield row
            continue
        name = row.utterance_id
        if number in part.repeated:
            message = f"{where}: {name!r} came before, in {part.repeated[number]}"
            yield RowFailure(name, "ingest", "duplicate_id", message, number + 1)
            continue
        one = counted(row, context.labels, context.policy, where, number + 1)
        try:
            yield _ready(one, context) if isinstance(one, Utterance) else one
        except DecodeError as error:
            yield RowFailure(name, "ingest", error.code, f"{where}: audio: {error}", number + 1)


def _ready(row: Utterance, context: IngestContext) -> Ready:
    if not context.flac:
        return Ready(row, None)
    stored = as_flac(row.audio)
    return Ready(replace(row, audio=stored.audio), stored.kept)


def counted(
    utterance: Utterance, labels: LabelSet, policy: VotePolicy, where: str, row: int | None
) -> Utterance | LeftOut:
    """An utterance with its soft label, or why the policy leaves it out and where it stands."""
    found = labelled(utterance, labels, policy)
    if not isinstance(found, Excluded):
        return found
    values = (found.utterance_id, found.stage, found.error_type, f"{where}: {found.message}")
    return LeftOut(Failure(*values) if row is None else RowFailure(*values, row))


def _write(name: str, results: Iterable[Result], context: IngestContext) -> Written:
    rows: list[Utterance] = []
    outcome = Outcome()
    kept: Counter[str] = Counter()
    for result in results:
        outcome.inputs += 1
        if isinstance(result, Ready):
            rows.append(result.utterance)
            if result.kept is not None:
                kept[result.kept] += 1
        elif isinstance(result, LeftOut):
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
    return Written(shard_entry(name, data, rows), outcome)


def _existing(context: IngestContext, name: str) -> Written | None:
    """A shard that an earlier attempt wrote; only its footer is read."""
    if not context.shards.exists(name):
        return None
    where = f"{context.shards.uri}/{name}"
    filesystem, base = context.shards.filesystem()
    try:
        with filesystem.open_input_file(f"{base}/{name}") as stream:
            size = stream.size()
            footer = pq.read_metadata(stream)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{where} is no shard: {error}; remove it and repeat") from error
    found = footer.metadata or {}
    if found.get(FINGERPRINT_KEY.encode()) != context.fingerprint.encode():
        raise FingerprintError(f"{where} is not of this ingest; give this one a place of its own")
    outcome = Outcome.from_json(str(found[OUTCOME_KEY.encode()], "utf-8"))
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
    return Written(entry, outcome)
