"""Utterance ids that stand in a corpus more than once, found before any model runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.shards import ShardIndex
from raypipe.store.location import Location


def repeated_ids(shards: Location, index: ShardIndex) -> Mapping[str, Mapping[int, str]]:
    """Rows whose utterance id already stands earlier in the corpus.

    Ingest refuses duplicates, so shards with an index of its making are not read for this; only
    a plain folder of shards is, and of it only the id column.

    Returns:
        For each shard with repeated ids, row number -> ``shard row n`` of the first occurrence.
    """
    if index.ids_are_unique:
        return {}
    first: dict[str, str] = {}
    repeated: dict[str, dict[int, str]] = defaultdict(dict)
    filesystem, base = shards.filesystem()
    for entry in index.shards:
        try:
            column = pq.read_table(
                f"{base}/{entry.name}", columns=["utterance_id"], filesystem=filesystem
            ).column("utterance_id")
        except (OSError, pa.ArrowInvalid, KeyError):
            continue  # the read stage books the unreadable shard with its reason
        for row, utterance_id in enumerate(column.to_pylist()):
            if utterance_id is None:
                continue
            if utterance_id in first:
                repeated[entry.name][row] = first[utterance_id]
            else:
                first[utterance_id] = f"{entry.name} row {row}"
    return repeated
