"""The annotators' ratings in shards, looked at before a model is asked for such."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raypipe.errors import ConfigError
from raypipe.records import ATTRIBUTES, AttributeScales
from raypipe.store.location import Location


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
    filesystem, base = shards.filesystem()
    for name in names:
        try:
            table = pq.read_table(f"{base}/{name}", columns=[*ATTRIBUTES], filesystem=filesystem)
        except (OSError, pa.ArrowInvalid):
            continue  # what reads it whole says why
        for attribute in table.column_names:
            ends = pc.min_max(table[attribute]).as_py()
            if ends["min"] is not None and not low <= ends["min"] <= ends["max"] <= high:
                raise ConfigError(
                    f"attributes.scale: {attribute} goes from {ends['min']:g} to {ends['max']:g} "
                    f"in {shards.uri}/{name}, the scale from {low:g} to {high:g}"
                )
