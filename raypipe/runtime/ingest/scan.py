"""Scans of containers: ids and sizes of their clips, and ids that come again.

A corpus can have millions of clips, so ids are held as digests of 16 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raypipe.corpora.containers import Container, container_labels
from raypipe.errors import CorpusError

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class ContainerScan:
    """Ids and sizes of a container's clips.

    Attributes:
        digests: 16 bytes of every clip's id, zeros where there is none, shape ``(clips,)``.
        sizes: bytes of every clip's audio, shape ``(clips,)``.
        others: 16 bytes of the longer id that a clip can have if its own came before, zeros where
            its id was given and so stays, shape ``(clips,)``.
        suffixes: end of the longer id of a clip whose own came before in this container, by number.
        fault: why the container could not be listed to its end; its last clip stands for the rest
            then, and has no id.
    """

    digests: NDArray[np.bytes_]
    sizes: NDArray[np.int64]
    others: NDArray[np.bytes_]
    suffixes: Mapping[int, str] = field(default_factory=dict)
    fault: str | None = None


def scanned(container: Container, label: str) -> ContainerScan:
    """Ids and sizes of a container's clips, as far as it can be read.

    Args:
        container: may be damaged.
        label: of the container, with which the longer ids of its clips begin.

    Raises:
        StoreError: if the storage refuses.
    """
    digests, others, sizes = bytearray(), bytearray(), []
    seen: set[bytes] = set()
    suffixes: dict[int, str] = {}
    fault = None
    try:
        for number, entry in enumerate(container.scan()):
            digest = _digest(entry.utterance_id)
            other = bytes(_DIGEST_BYTES)
            if entry.utterance_id is not None and entry.is_derived:
                if digest in seen:
                    suffixes[number] = f"-{number + 1}"
                seen.add(digest)
                other = _digest(f"{label}/{entry.utterance_id}{suffixes.get(number, '')}")
            digests += digest
            others += other
            sizes.append(entry.size)
    except CorpusError as error:  # it costs what cannot be read of it, as a torn tar file does
        fault = str(error)
        digests += bytes(_DIGEST_BYTES)
        others += bytes(_DIGEST_BYTES)
        sizes.append(0)
    kind = f"S{_DIGEST_BYTES}"
    return ContainerScan(
        np.frombuffer(bytes(digests), dtype=kind),
        np.array(sizes, dtype=np.int64),
        np.frombuffer(bytes(others), dtype=kind),
        suffixes,
        fault,
    )


def _digest(name: str | None) -> bytes:
    if name is None:
        return bytes(_DIGEST_BYTES)
    return hashlib.blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest()


def check_any_container(scans: Sequence[ContainerScan]) -> None:
    """Refuse a source of which no container could be listed at all.

    Raises:
        CorpusError: with the first reason.
    """
    faults = [scan.fault for scan in scans if scan.fault is not None and len(scan.sizes) == 1]
    if faults and len(faults) == len(scans):
        raise CorpusError(faults[0])


def longer_ids(
    containers: Sequence[Container],
    scans: Sequence[ContainerScan],
    repeated: Sequence[Mapping[int, str]],
) -> list[dict[int, tuple[str, str]]]:
    """For every container those of its repeated clips that get a longer id, by number.

    Such as ``train/001`` for the second of two files named ``001``; a clip whose id was given has
    no other, and stays a duplicate.

    Returns:
        What stands before and after the clip's own id.
    """
    if not scans:
        return []
    taken = np.sort(np.concatenate([scan.digests for scan in scans]))
    used: set[bytes] = set()
    longer: list[dict[int, tuple[str, str]]] = []
    for label, scan, numbers in zip(container_labels(containers), scans, repeated, strict=True):
        free: dict[int, tuple[str, str]] = {}
        asked = scan.others[[*numbers]]
        places = np.searchsorted(taken, asked).clip(max=max(len(taken) - 1, 0))
        are_taken = taken[places] == asked if len(asked) else ()
        for number, other, is_taken in zip(numbers, asked.tolist(), are_taken, strict=True):
            if other and other not in used and not is_taken:
                used.add(other)
                free[number] = (f"{label}/", scan.suffixes.get(number, ""))
        longer.append(free)
    return longer


def repeated_clips(
    containers: Sequence[Container], scans: Sequence[ContainerScan]
) -> list[dict[int, str]]:
    """For every container its clips whose id came before, by number, with where it did."""
    repeated: list[dict[int, str]] = [{} for _ in containers]
    if not scans:
        return repeated
    digests = np.concatenate([scan.digests for scan in scans])
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    earlier = first[inverse]
    starts = np.cumsum([0, *(len(scan.sizes) for scan in scans)])
    for clip in np.flatnonzero((earlier != np.arange(len(digests))) & (digests != b"")).tolist():
        here, there = (
            int(np.searchsorted(starts, at, "right")) - 1 for at in (clip, earlier[clip])
        )
        where = containers[there].position(int(earlier[clip] - starts[there]))
        repeated[here][int(clip - starts[here])] = where
    return repeated
