"""Clips that a line names: files, or utterances of shards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from raypipe.errors import ShardError
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes

_IN_SHARD: Final = ".parquet#"
_SHARDS_AT_ONCE: Final = 16


def is_reference(audio: str) -> bool:
    """Whether a clip is named by its shard and its utterance id.

    Example:
        >>> is_reference("s3://bucket/shards/00000.parquet#a1"), is_reference("audio/a1.flac")
        (True, False)
    """
    return _IN_SHARD in audio


def shard_reference(shards: Location, shard: str, utterance_id: str) -> str:
    """A reference to the clip of an utterance in a shard."""
    return f"{shards.uri}/{shard}#{utterance_id}"


def clip_bytes(audio: str, folder: Path = Path()) -> bytes:
    """The encoded clip that a line names.

    Args:
        audio: path of a file, or a reference.
        folder: of the file with the line; a path that is not absolute begins there.

    Raises:
        OSError: if a file cannot be read.
        ShardError: if a shard holds no such utterance with audio.
        StoreError: if the storage refuses.
    """
    if not is_reference(audio):
        return (folder / audio).read_bytes()
    shard, _, utterance_id = audio.partition("#")
    clips = _clips_of(shard)
    if utterance_id not in clips:
        raise ShardError(f"{shard} holds no utterance {utterance_id!r} with a clip")
    return clips[utterance_id]


@lru_cache(maxsize=_SHARDS_AT_ONCE)
def _clips_of(shard: str) -> Mapping[str, bytes]:
    """Encoded clips of a shard by utterance id; examples come in no order of the shards."""
    place, name = Location.parse_object(shard)
    table = from_parquet_bytes(place.read(name)).select(["utterance_id", "audio"])
    table = table.filter(pc.is_valid(table.column("audio")))
    ids, clips = (table.column(column).to_pylist() for column in ("utterance_id", "audio"))
    return dict(zip(ids, clips, strict=True))
