"""Utterance ids that stand in a corpus more than once, found before any model runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from raypipe.runtime.finish.labels import ids_in
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
    # The read stage books a shard that cannot be read with its reason.
    for name, ids in ids_in(shards, [entry.name for entry in index.shards]):
        for row, utterance_id in enumerate(ids):
            if utterance_id is None:
                continue
            if utterance_id in first:
                repeated[name][row] = first[utterance_id]
            else:
                first[utterance_id] = f"{name} row {row}"
    return repeated
