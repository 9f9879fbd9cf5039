"""The index of a corpus of shards: ``shards.json``, and the footers where there is none."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raypipe.errors import ConfigError, FingerprintError, ObjectMissingError, ShardError
from raypipe.labels import LabelSet
from raypipe.store.location import Location
from raypipe.store.parquet import parquet_file
from raypipe.store.schemas import VERSION, labels_of
from raypipe.votes import SoftLabelRule, VotePolicy

INDEX = "shards.json"
INGEST_ERRORS = "ingest_errors.parquet"
INGEST_EXCLUDED = "ingest_excluded.parquet"
FORMAT_VERSION = VERSION
_KNOWN_VERSIONS = range(1, FORMAT_VERSION + 1)


class ShardEntry(BaseModel):
    """Name, size and digest of one shard.

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
    """Contents of ``shards.json``: the shards of a corpus and how they were made.

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
        licence: what may be done with the corpus; empty if unknown.
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
    options: dict[str, object] = Field(default_factory=dict)
    licence: str = ""
    audio: Literal["flac", "original"] | None = None
    kept_original: dict[str, int] = Field(default_factory=dict)
    votes: int | None = None

    def first(self, limit: int | None) -> Iterator[tuple[ShardEntry, int]]:
        """Shards with the first so many utterances, each with the number of its rows among them.

        Args:
            limit: number of utterances; None for all. Empty shards are given, too.
        """
        left = limit if limit is not None else self.rows
        for entry in self.shards:
            take = min(entry.rows, left)
            if take == 0 and entry.rows > 0:
                break
            left -= take
            yield entry, take


def _fingerprint(digests: Iterable[str], labels: LabelSet, fixed_sentences: bool) -> str:
    document = [list(digests), labels.names, fixed_sentences]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def publish_index(
    destination: Location, entries: Sequence[ShardEntry], labels: LabelSet, **facts: Any
) -> ShardIndex:
    """Write ``shards.json``, after all the objects that it names.

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
    destination.write_changed(INDEX, (index.model_dump_json(indent=2) + "\n").encode())
    return index


def read_index(location: Location) -> ShardIndex:
    """Index of a place with shards.

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
        if version not in _KNOWN_VERSIONS:
            raise ConfigError(
                f"{location.uri}/{INDEX} has format version {version!r}, this raypipe reads "
                f"versions up to {FORMAT_VERSION}"
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
        name_lists = sorted(label_set.names for label_set in label_sets)
        raise ConfigError(f"{location.uri} mixes label sets: {name_lists}")
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
            footer = parquet_file(stream).metadata
        labels = labels_of(footer.schema.to_arrow_schema())
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{location.uri}/{name} is not a Parquet file: {error}") from error
    if labels is None:
        raise ShardError(f"{location.uri}/{name} names no label set; is it a raypipe shard?")
    return footer.num_rows, labels
