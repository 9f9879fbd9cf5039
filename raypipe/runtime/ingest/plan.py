"""The plan of an ingest: which input goes into which shard, before any audio is read.

A plan depends on the corpus and the config alone, so that every attempt makes the same one. It is
kept in an unnamed temporary file: the driver holds neither clips nor labels.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from raypipe.corpora.containers import Container
from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.sources import Source, open_source, resolved
from raypipe.errors import FingerprintError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.runtime.finish.output import output_place
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.ingest.scan import ContainerScan, longer_ids, repeated_clips
from raypipe.runtime.ingest.work import (
    ClipShard,
    ContainerShards,
    ExcludedInput,
    IngestInput,
    IngestTask,
    counted,
)
from raypipe.shards import FORMAT_VERSION, INDEX
from raypipe.store.location import Location
from raypipe.store.patience import with_patience
from raypipe.votes import VotePolicy

CLAIM = "ingest.json"
_MOST_INPUTS = 5_000  # in a shard, so that a corpus full of failures does not fill one footer


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """Number of utterances, and bytes of audio, after which a shard is closed."""

    rows: int
    bytes: int


class IngestPlan:
    """The tasks of an ingest, in order.

    Attributes:
        inputs: number of clips, failures and excluded clips.
        parts: number of tasks.
    """

    def __init__(self) -> None:
        self.inputs = 0
        self.parts = 0
        self._shards = 0
        self._hash = hashlib.sha256()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[IngestTask]:
        self._file.seek(0)
        for _ in range(self.parts):
            yield pickle.load(self._file)

    @property
    def digest(self) -> str:
        """SHA-256 of all inputs that were listed."""
        return self._hash.hexdigest()

    def add_clips(
        self,
        clips: Iterable[PendingClip | Failure],
        labels: LabelSet,
        policy: VotePolicy,
        limits: ShardLimits,
    ) -> None:
        """Plan clips that lie in files of their own; what the policy leaves out is not read."""
        inputs: list[IngestInput] = []
        rows = size = 0
        for clip in clips:
            source = _counted(clip, labels, policy) if isinstance(clip, PendingClip) else clip
            full = rows >= limits.rows or size >= limits.bytes
            # Failures do not open a shard of their own behind a full one.
            if (full and isinstance(source, PendingClip)) or len(inputs) >= _MOST_INPUTS:
                self._add(ClipShard(self._next_name(), tuple(inputs)), len(inputs))
                inputs, rows, size = [], 0, 0
            inputs.append(source)
            self._hash.update(_identity(source).encode("utf-8", "surrogatepass"))
            if isinstance(source, PendingClip):
                rows += 1
                size += source.size or 0
        if inputs:
            self._add(ClipShard(self._next_name(), tuple(inputs)), len(inputs))

    def add_containers(
        self, containers: Sequence[Container], scans: Sequence[ContainerScan], limits: ShardLimits
    ) -> None:
        """Plan containers: each is read once, and a shard never holds clips of two."""
        repeated = repeated_clips(containers, scans)
        longer = longer_ids(containers, scans, repeated)
        for at, (container, scan) in enumerate(zip(containers, scans, strict=True)):
            self._hash.update(json.dumps([container.name, len(scan.sizes)]).encode())
            self._hash.update(scan.digests.tobytes() + scan.sizes.tobytes())
            if longer[at]:
                self._hash.update(repr(longer[at]).encode())
            counts = list(_counts(scan.sizes, limits))
            shards = tuple((self._next_name(), count) for count in counts)
            if shards:
                part = ContainerShards(container, shards, repeated[at], longer[at])
                self._add(part, len(scan.sizes))

    def _next_name(self) -> str:
        self._shards += 1
        return f"shard-{self._shards - 1:06d}.parquet"

    def _add(self, part: IngestTask, inputs: int) -> None:
        self._file.seek(0, 2)
        pickle.dump(part, self._file, protocol=5)
        self.parts += 1
        self.inputs += inputs


def _counted(
    clip: PendingClip, labels: LabelSet, policy: VotePolicy
) -> PendingClip | ExcludedInput:
    where = clip.file if clip.line is None else f"{clip.file} line {clip.line}"
    result = counted(clip.utterance, labels, policy, where, clip.line)
    return result if isinstance(result, ExcludedInput) else replace(clip, utterance=result)


def _identity(source: IngestInput) -> str:
    """Text of everything about an input that decides what its shard holds."""
    if isinstance(source, PendingClip):
        fields = (source.utterance, source.path, source.size, source.segment)
        return repr((*fields, source.transcript_file))
    if isinstance(source, ExcludedInput):
        # This very text stands in the fingerprints of ingests that began before: do not change it.
        return f"LeftOut(reason={source.reason!r})"
    return repr(source)


def _counts(sizes: NDArray[np.int64], limits: ShardLimits) -> Iterator[int]:
    """Numbers of clips in the shards of a container."""
    rows = size = 0
    for clip_size in sizes.tolist():
        rows, size = rows + 1, size + clip_size
        if rows == limits.rows or size >= limits.bytes:
            yield rows
            rows = size = 0
    if rows:
        yield rows


@dataclass(frozen=True, slots=True)
class PreparedIngest:
    """An ingest whose config goes with its corpus, and whose place holds no other one.

    Attributes:
        settings: those of the config that decide what the shards hold, as JSON values.
    """

    config: IngestConfig
    source: Source
    shards: Location
    labels: LabelSet
    policy: VotePolicy
    settings: Mapping[str, object]


@with_patience
def prepare_ingest(config: IngestConfig) -> PreparedIngest:
    """The checks of an ingest that need neither its source nor Ray.

    Raises:
        ConfigError: if the config fits neither the corpus nor its labels.
        FingerprintError: if the output holds another ingest.
        StoreError: if the storage refuses.
    """
    shards = output_place(config.output, config.storage.endpoint)
    source = open_source(config.corpus, config.options)
    labels, policy = resolved(
        source,
        selected=config.selection,
        labels=config.labels(),
        changes=config.votes.changes(),
        merges=config.votes.merges(),
    )
    settings = _settings(config, source, labels, policy)
    read_request(config, labels, policy)  # its places are some
    shards.probe_conditional_writes()
    refuse_another(shards, settings)
    return PreparedIngest(config, source, shards, labels, policy, settings)


def read_request(config: IngestConfig, labels: LabelSet, policy: VotePolicy) -> ReadRequest:
    """What is to be read, and where it may lead.

    Raises:
        ConfigError: for a place that is none.
    """
    endpoint = config.source_endpoint or config.storage.endpoint
    allowed = tuple(Location.parse(place, endpoint) for place in config.allow)
    return ReadRequest(config.source, endpoint, labels, policy, allowed)


def _settings(
    config: IngestConfig, source: Source, labels: LabelSet, policy: VotePolicy
) -> dict[str, object]:
    """The settings of a config that decide what the shards hold.

    Usual limits, and no further places, went without saying in older ingests.
    """
    limits = config.limits.model_dump(exclude_defaults=True)
    return {
        "corpus": config.corpus,
        "options": dict(source.options),
        "selection": config.selection or source.default_selection,
        "labels": list(labels.names),
        "policy": policy.model_dump(mode="json"),
        "audio": config.audio,
        "rows_per_shard": config.rows_per_shard,
        "bytes_per_shard": config.bytes_per_shard,
        "format_version": FORMAT_VERSION,
        **({"limits": limits} if limits else {}),
        **({"allow": [*config.allow]} if config.allow else {}),
    }


def refuse_another(shards: Location, settings: Mapping[str, object]) -> None:
    """Refuse a place that holds anything but (a part of) an ingest with these settings.

    Raises:
        FingerprintError: naming the settings that differ.
    """
    claimed = _claimed(shards)
    if claimed is None:
        if shards.exists(INDEX):
            raise FingerprintError(
                f"{shards.uri} holds shards that another program wrote; choose another place"
            )
        return
    there = claimed.get("settings", {})
    names = [name for name in {**settings, **there} if settings.get(name) != there.get(name)]
    if names == ["format_version"]:
        raise FingerprintError(
            f"{shards.uri} holds an ingest of an older version of raypipe; its finished shards are "
            "read as they are, an unfinished one needs another place"
        )
    if names:
        differences = "; ".join(
            f"{name} was {json.dumps(there.get(name))}, is now {json.dumps(settings.get(name))}"
            for name in names
        )
        raise FingerprintError(
            f"{shards.uri} holds another ingest: {differences}. Choose another place"
        )


def claim(shards: Location, settings: Mapping[str, object], plan: IngestPlan) -> str:
    """Say in ``ingest.json`` what a place holds, before anything else is written there.

    Returns:
        The fingerprint of the ingest.

    Raises:
        FingerprintError: if it holds another ingest, or the source has changed since it began.
    """
    settings = dict(settings)
    text = json.dumps([settings, plan.digest], sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    document = {
        "fingerprint": fingerprint,
        "settings": settings,
        "inputs": plan.inputs,
        "listing": plan.digest,
    }
    data = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    if shards.create(CLAIM, data):
        return fingerprint
    refuse_another(shards, settings)
    claimed = _claimed(shards) or {}
    if claimed.get("fingerprint") != fingerprint:
        raise FingerprintError(
            f"{shards.uri} holds an ingest of {claimed.get('inputs')} inputs that began when the "
            f"source was another: now there are {plan.inputs}, or labels or sizes of files have "
            "changed. Choose another place"
        )
    return fingerprint


def _claimed(shards: Location) -> dict[str, Any] | None:
    try:
        document = json.loads(shards.read(CLAIM))
    except ObjectMissingError:
        return None
    except ValueError as error:
        raise FingerprintError(f"{shards.uri}/{CLAIM} is not raypipe's: {error}") from error
    return document if isinstance(document, dict) else {}
