"""Columns to slice by, looked up before any work: is there such a one in the corpus?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.errors import ConfigError
from raypipe.metrics.columns import MARKS, TABLE_COLUMNS
from raypipe.store.location import Location
from raypipe.store.parquet import read_columns


def check_columns(columns: Sequence[str], place: Location, names: Iterable[str]) -> None:
    """Refuse columns that no utterance has.

    Objects are read until every column has been seen, and no other column of theirs is.

    Args:
        columns: to slice by.
        place: where shards, or a run's tables, lie.
        names: of the objects.

    Raises:
        ConfigError: naming the columns, and those that there are.
    """
    missing = set(columns) - {*TABLE_COLUMNS, *MARKS}
    known: set[str] = set()
    if not missing:
        return
    for facts in _fact_names(place, names):
        known |= facts
        if missing <= known:
            return
    unknown = sorted(missing - known)
    raise ConfigError(
        f"metrics.slices: no utterance has {', '.join(unknown)}; there are "
        f"{', '.join([*sorted(known), *TABLE_COLUMNS, *MARKS])}"
    )


def _fact_names(place: Location, names: Iterable[str]) -> Iterator[set[str]]:
    """Names of the facts in each object; none in one that cannot be read or has no facts."""
    for name in names:
        try:
            column = read_columns(place, name, ["facts"])
        except (OSError, pa.ArrowInvalid):
            continue  # what reads it whole says why
        if column.num_columns:
            chunks = column["facts"].chunks
            yield {key for chunk in chunks for key in pc.unique(chunk.keys).to_pylist()}
