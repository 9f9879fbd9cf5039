"""Clips of an export: files beside the lines, or references into shards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from raypipe.errors import ShardError
from raypipe.explain.export.candidates import LineCandidate
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes

AUDIO: Final = "audio"
"""Folder of the files."""

_IN_SHARD: Final = ".parquet#"
_ENDINGS: Final[Mapping[bytes, str]] = {
    **{b"fLaC": "flac", b"RIFF": "wav", b"RF64": "wav", b"OggS": "ogg", b"ID3": "mp3"},
    **{b"\xff\xfb": "mp3", b"\xff\xf3": "mp3", b"\xff\xf2": "mp3", b"FORM": "aiff"},
}
_LONGEST_NAME: Final = 120


def clip_stems(candidates: Sequence[LineCandidate]) -> list[str]:
    """File names without endings, all different: the utterance ids as far as they can be."""
    stems: list[str] = []
    taken: set[str] = set()
    for candidate in candidates:
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", candidate.utterance_id)[:_LONGEST_NAME]
        stem = safe
        if safe != candidate.utterance_id or safe.startswith(".") or safe.lower() in taken:
            digest = hashlib.sha256("\0".join(candidate.key).encode()).hexdigest()[:12]
            stem = f"{safe.lstrip('.')}-{digest}"
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def file_ending(audio: bytes) -> str:
    """The ending of an encoded file by its first bytes; ``bin`` for one that is not known.

    Example:
        >>> file_ending(b"fLaC..."), file_ending(b"?")
        ('flac', 'bin')
    """
    return next((end for start, end in _ENDINGS.items() if audio.startswith(start)), "bin")


def shard_reference(shards: Location, shard: str, utterance_id: str) -> str:
    """A reference to the clip of an utterance in a shard."""
    return f"{shards.uri}/{shard}#{utterance_id}"


def clip_bytes(audio: str, folder: Path, endpoint: str | None = None) -> bytes:
    """The encoded clip that a line names.

    Args:
        audio: as it stands in the line: a path or a reference.
        folder: of the file with the line.
        endpoint: of an S3-compatible server, for references; None for the environment's.

    Raises:
        OSError: if there is no such file.
        ShardError: if there is no such utterance.
        StoreError: if the storage refuses.
    """
    if _IN_SHARD not in audio:
        return (folder / audio).read_bytes()
    place, _, utterance_id = audio.partition("#")
    rows = _shard_audio(place, endpoint)
    if utterance_id not in rows:
        raise ShardError(f"{place} holds no utterance {utterance_id!r}")
    return rows[utterance_id]


@lru_cache(maxsize=4)
def _shard_audio(place: str, endpoint: str | None) -> Mapping[str, bytes]:
    location, name = Location.parse_object(place, endpoint)
    table = from_parquet_bytes(location.read(name)).select(["utterance_id", "audio"])
    table = table.filter(pc.is_valid(table.column("audio")))
    ids, clips = (table.column(name).to_pylist() for name in ("utterance_id", "audio"))
    return dict(zip(ids, clips, strict=True))
