"""Durations of a corpus's clips, from one column of its shards."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.errors import ShardError
from raypipe.shards.index import ShardEntry
from raypipe.store.location import Location
from raypipe.store.parquet import parquet_file

_AT_ONCE = 8
_COLUMN = "duration_s"


def read_durations(
    location: Location, entries: Sequence[tuple[ShardEntry, int]]
) -> NDArray[np.float64]:
    """Durations of the first rows of shards, in order; no other column is read.

    Args:
        location: where the shards lie.
        entries: shards, each with the number of its first rows to look at.

    Returns:
        Seconds, shape ``(utterances,)``, NaN where a shard does not say.

    Raises:
        ShardError: if an object is missing or no shard.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = pool.map(lambda entry: _durations(location, *entry), entries)
        return np.concatenate([np.zeros(0), *parts])


def _durations(location: Location, entry: ShardEntry, take: int) -> NDArray[np.float64]:
    filesystem, base = location.filesystem()
    try:
        with filesystem.open_input_file(f"{base}/{entry.name}") as stream:
            file = parquet_file(stream)
            if _COLUMN not in file.schema_arrow.names:
                return np.full(take, np.nan)
            column = file.read([_COLUMN]).column(_COLUMN).cast(pa.float64())
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{location.uri}/{entry.name} cannot be read: {error}") from error
    seconds: NDArray[np.float64] = column.slice(0, take).to_numpy(zero_copy_only=False)
    return seconds
