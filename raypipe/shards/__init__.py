"""Shards: Parquet objects of some hundred utterances with their encoded audio.

``shards.json`` beside them, written last, says which shards belong to the corpus and what their
bytes hash to; a folder of shard objects without it is accepted too, with less to check against.
"""

from raypipe.shards.durations import read_durations
from raypipe.shards.index import (
    FORMAT_VERSION,
    INDEX,
    INGEST_ERRORS,
    INGEST_EXCLUDED,
    ShardEntry,
    ShardIndex,
    publish_index,
    read_index,
)
from raypipe.shards.labelled import has_labels
from raypipe.shards.read import (
    SUM_TOLERANCE,
    RowFailure,
    read_shard,
    read_unheard,
    soft_label_fault,
)
from raypipe.shards.write import (
    BYTES_PER_SHARD,
    ROWS_PER_SHARD,
    encoded_shard,
    shard_entry,
    write_failures,
    write_shards,
)

__all__ = [
    "BYTES_PER_SHARD",
    "FORMAT_VERSION",
    "INDEX",
    "INGEST_ERRORS",
    "INGEST_EXCLUDED",
    "ROWS_PER_SHARD",
    "SUM_TOLERANCE",
    "RowFailure",
    "ShardEntry",
    "ShardIndex",
    "encoded_shard",
    "has_labels",
    "publish_index",
    "read_durations",
    "read_index",
    "read_shard",
    "read_unheard",
    "shard_entry",
    "soft_label_fault",
    "write_failures",
    "write_shards",
]
