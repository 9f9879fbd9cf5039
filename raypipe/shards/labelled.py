"""Whether any utterance of a corpus has a soft label, from one column of its shards."""

from __future__ import annotations

import pyarrow as pa

from raypipe.errors import ShardError
from raypipe.shards.index import ShardIndex
from raypipe.store.location import Location
from raypipe.store.parquet import parquet_file

_COLUMN = "soft_label"


def has_labels(location: Location, index: ShardIndex) -> bool:
    """Whether there is a soft label; shards are read until one is found, no other column.

    Raises:
        ShardError: if an object is missing or no shard.
    """
    return bool(index.votes) or any(_has_labels(location, entry.name) for entry in index.shards)


def _has_labels(location: Location, name: str) -> bool:
    filesystem, base = location.filesystem()
    try:
        with filesystem.open_input_file(f"{base}/{name}") as stream:
            column = parquet_file(stream).read([_COLUMN]).column(_COLUMN)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{location.uri}/{name} cannot be read: {error}") from error
    return bool(column.null_count < len(column))
