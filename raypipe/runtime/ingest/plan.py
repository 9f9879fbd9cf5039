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
from raypipe.corpora.pending import Pending
from raypipe.errors import FingerprintError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.runtime.ingest.work import (
    ClipShard,
    ContainerShards,
    Input,
    LeftOut,
    Part,
    counted,
)
from raypipe.shards import INDEX
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

CLAIM = "ingest.json"
_MOST_INPUTS = 5_000  # in a shard, so that a corpus full of failures does not fill one footer
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a shard is closed: after so many utterances, or so many bytes of audio."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a container holds.

    Attributes:
        digests: 16 bytes of every clip's id, zeros where there is none, shape ``(clips,)``.
        sizes: bytes of every clip's audio, shape ``(clips,)``.
    """

    digests: NDArray[np.bytes_]
    sizes: NDArray[np.int64]


class Plan:
    """The parts of an ingest, in order.

    Attributes:
        inputs: number of clips, and of what did not become one.
        parts: their number.
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

    def __iter__(self) -> Iterator[Part]:
        self._file.seek(0)
        for _ in range(self.parts):
            yield pickle.load(self._file)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that was listed."""
        return self._hash.hexdigest()

    def add_clips(
        self,
        clips: Iterable[Pending | Failure],
        labels: LabelSet,
        policy: VotePolicy,
        limits: Limits,
    ) -> None:
        """Plan clips that lie in files of their own; what the policy leaves out is not read."""
        inputs: list[Input] = []
        rows = size = 0
        for clip in clips:
            one = _counted(clip, labels, policy) if isinstance(clip, Pending) else clip
            full = rows >= limits.rows or size >= limits.bytes
            # Failures do not open a shard of their own behind a full one.
            if (full and isinstance(one, Pending)) or len(inputs) >= _MOST_INPUTS:
                self._add(ClipShard(self._next_name(), tuple(inputs)), len(inputs))
                inputs, rows, size = [], 0, 0
            inputs.append(one)
            self._hash.update(_identity(one).encode("utf-8", "surrogatepass"))
            if isinstance(one, Pending):
                rows += 1
                size += one.size or 0
        if inputs:
            self._add(ClipShard(self._next_name(), tuple(inputs)), len(inputs))

    def add_containers(
        self, containers: Sequence[Container], scans: Sequence[Scan], limits: Limits
    ) -> None:
        """Plan containers: each is read once, and a shard never holds clips of two."""
        repeated = repeated_clips(containers, scans)
        for container, scan, again in zip(containers, scans, repeated, strict=True):
            self._hash.update(json.dumps([container.name, len(scan.sizes)]).encode())
            self._hash.update(scan.digests.tobytes() + scan.sizes.tobytes())
            counts = list(_counts(scan.sizes, limits))
            shards = tuple((self._next_name(), count) for count in counts)
            if shards:
                self._add(ContainerShards(container, shards, again), len(scan.sizes))

    def _next_name(self) -> str:
        self._shards += 1
        return f"shard-{self._shards - 1:06d}.parquet"

    def _add(self, part: Part, inputs: int) -> None:
        self._file.seek(0, 2)
        pickle.dump(part, self._file, protocol=5)
        self.parts += 1
        self.inputs += inputs


def _counted(clip: Pending, labels: LabelSet, policy: VotePolicy) -> Pending | LeftOut:
    where = clip.file if clip.line is None else f"{clip.file} line {clip.line}"
    found = counted(clip.utterance, labels, policy, where, clip.line)
    return found if isinstance(found, LeftOut) else replace(clip, utterance=found)


def _identity(one: Input) -> str:
    """Everything about an input that decides what its shard holds."""
    if isinstance(one, Pending):
        return repr((one.utterance, one.path, one.size, one.segment, one.transcript_file))
    return repr(one)


def _counts(sizes: NDArray[np.int64], limits: Limits) -> Iterator[int]:
    """Numbers of clips in the shards of a container."""
    rows = size = 0
    for one in sizes.tolist():
        rows, size = rows + 1, size + one
        if rows == limits.rows or size >= limits.bytes:
            yield rows
            rows = size = 0
    if rows:
        yield rows


def scanned(container: Container) -> Scan:
    """Ids and sizes of a container's clips; raises as :meth:`Container.scan`."""
    digests, sizes = bytearray(), []
    for held in container.scan():
        name = held.utterance_id
        digests += (
            bytes(_DIGEST_BYTES)
            if name is None
            else hashlib.blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest()
        )
        sizes.append(held.size)
    kind = f"S{_DIGEST_BYTES}"
    return Scan(np.frombuffer(bytes(digests), dtype=kind), np.array(sizes, dtype=np.int64))


def repeated_clips(containers: Sequence[Container], scans: Sequence[Scan]) -> list[dict[int, str]]:
    """For every container its clips whose id came before, by number, with where it did."""
    found: list[dict[int, str]] = [{} for _ in containers]
    if not scans:
        return found
    digests = np.concatenate([scan.digests for scan in scans])
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    earlier = first[inverse]
    starts = np.cumsum([0, *(len(scan.sizes) for scan in scans)])
    for clip in np.flatnonzero((earlier != np.arange(len(digests))) & (digests != b"")).tolist():
        here, there = (
            int(np.searchsorted(starts, at, "right")) - 1 for at in (clip, earlier[clip])
        )
        where = containers[there].position(int(earlier[clip] - starts[there]))
        found[here][int(clip - starts[here])] = where
    return found


def refuse_another(shards: Location, settings: Mapping[str, Any]) -> None:
    """Make sure that a place holds nothing, or (a part of) an ingest with these settings.

    Raises:
        FingerprintError: naming the settings that differ.
    """
    found = _claimed(shards)
    if found is None:
        if shards.exists(INDEX):
            raise FingerprintError(
                f"{shards.uri} holds shards that another program wrote; choose another place"
            )
        return
    there = found.get("settings", {})
    names = [name for name in {**settings, **there} if settings.get(name) != there.get(name)]
    if names:
        told = "; ".join(
            f"{name} was {json.dumps(there.get(name))}, is now {json.dumps(settings.get(name))}"
            for name in names
        )
        raise FingerprintError(f"{shards.uri} holds another ingest: {told}. Choose another place")


def claim(shards: Location, settings: Mapping[str, Any], plan: Plan) -> str:
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
    found = _claimed(shards) or {}
    if found.get("fingerprint") != fingerprint:
        raise FingerprintError(
            f"{shards.uri} holds an ingest of {found.get('inputs')} inputs that began when the "
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
