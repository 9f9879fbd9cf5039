"""Objects of one model and prompt, in groups that are read together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa

from raypipe.errors import ShardError
from raypipe.runtime.finish.partition import ModelPrompt, partition
from raypipe.store.damage import damaged
from raypipe.store.location import Location
from raypipe.store.objects import object_table

BYTES_PER_GROUP = 4 << 20
"""Of ``predictions/``, as they are stored: about 6,000 utterances under five strategies."""


@dataclass(frozen=True, slots=True)
class ObjectGroup:
    """Objects that are read together.

    Attributes:
        predictions: names, in order.
        errors: names of the ``errors/`` objects that are read with them, of whatever shards.
    """

    predictions: tuple[str, ...]
    errors: tuple[str, ...]


def groups_of(tables: Location, cell: ModelPrompt, predictions: Sequence[str]) -> list[ObjectGroup]:
    """All objects of a model and prompt.

    Args:
        tables: where they lie.
        cell: the model and prompt.
        predictions: names of the ``predictions/`` objects, in order.
    """
    folder = partition(*cell).split("/")
    sizes = tables.child("predictions", *folder).sizes()
    groups: list[list[str]] = []
    left = 0
    for name in predictions:
        size = sizes.get(name.rpartition("/")[2], 0)  # reading one that is not there says so
        if not groups or left < size:
            groups.append([])
            left = BYTES_PER_GROUP
        groups[-1].append(name)
        left -= size
    place = "/".join(("errors", *folder))
    errors = [f"{place}/{name}" for name in tables.child(place).list()]
    cuts = [at * len(errors) // len(groups) for at in range(len(groups) + 1)]
    return [
        ObjectGroup(tuple(names), tuple(errors[cuts[at] : cuts[at + 1]]))
        for at, names in enumerate(groups)
    ]


def cells_of(tables: Location) -> dict[ModelPrompt, list[str]]:
    """Names of all ``predictions/`` objects by model and prompt, in order."""
    cells: dict[ModelPrompt, list[str]] = {}
    for name in tables.child("predictions").list():
        model, prompt, _ = name.split("/", 2)
        cell = unquote(model.removeprefix("model=")), unquote(prompt.removeprefix("prompt="))
        cells.setdefault(cell, []).append(f"predictions/{name}")
    return cells


def read_rows(tables: Location, names: Iterable[str], without: Sequence[str] = ()) -> pa.Table:
    """The rows of some objects of one table.

    Raises:
        StoreError: if one is damaged, naming it, or not there.
    """
    parts = []
    for name in names:
        try:
            parts.append(object_table(tables.read(name), without))
        except ShardError as error:
            raise damaged(tables, name, error) from error
    return pa.concat_tables(parts)
