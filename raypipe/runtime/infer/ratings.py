"""The annotators' ratings in shards, looked at before a model is asked for such."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.errors import ConfigError
from raypipe.records import ATTRIBUTES, AttributeScales
from raypipe.store.location import Location
from raypipe.store.parquet import read_columns


def check_ratings(scales: AttributeScales | None, shards: Location, names: Iterable[str]) -> None:
    """Refuse a scale that the corpus's own ratings are not on.

    Args:
        scales: of the question; None where it is not asked.
        shards: where the shards lie.
        names: of the shards.

    Raises:
        ConfigError: naming the attribute and its ratings.
    """
    if scales is None:
        return
    low, high = scales.corpus
    for name in names:
        try:
            table = read_columns(shards, name, ATTRIBUTES)
        except (OSError, pa.ArrowInvalid):
            continue  # what reads it whole says why
        for attribute in table.column_names:
            ends = pc.min_max(table[attribute]).as_py()
            if ends["min"] is not None and not low <= ends["min"] <= ends["max"] <= high:
                raise ConfigError(
                    f"attributes.scale: {attribute} goes from {ends['min']:g} to {ends['max']:g} "
                    f"in {shards.uri}/{name}, the scale from {low:g} to {high:g}"
                )
