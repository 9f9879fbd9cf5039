"""Objects of a run's tables: the rows of one shard under one model and prompt, as Parquet.

``model`` and ``prompt`` stand in an object's Hive path, where every reader finds them, and in its
metadata, so that a file by itself still says what it is. They are no columns of the file: readers
refuse a column that stands in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from raypipe.errors import ShardError
from raypipe.store.location import FINGERPRINT_KEY, Location
from raypipe.store.parquet import from_parquet_bytes, to_parquet_bytes
from raypipe.store.schemas import VERSION, metadata_of

KEYS = ("model", "prompt")
"""Columns of a table that an object holds once, in its metadata."""

VERSION_KEY = "raypipe.version"


def object_bytes(rows: pa.Table, *, model: str, prompt: str, fingerprint: str) -> bytes:
    """The object of some rows, all of one model and prompt.

    Args:
        rows: of a table, with or without its key columns.
        model: name of the model in the tables.
        prompt: name of the prompt in the tables.
        fingerprint: of the run.
    """
    metadata = {
        FINGERPRINT_KEY: fingerprint,
        VERSION_KEY: str(VERSION),
        **dict(zip((f"raypipe.{key}" for key in KEYS), (model, prompt), strict=True)),
    }
    columns = [name for name in rows.column_names if name not in KEYS]
    return to_parquet_bytes(rows.select(columns), metadata)


def object_table(data: bytes, without: Sequence[str] = ()) -> pa.Table:
    """The rows of an object, its key columns in front; of version 1, as they stand in the file.

    Args:
        data: the object.
        without: columns that are not decoded, see :func:`raypipe.store.parquet.from_parquet_bytes`.

    Raises:
        ShardError: if the bytes are not a whole object of a table.
    """
    rows = from_parquet_bytes(data, without)
    if version_of(rows.schema) == 1:
        return rows
    metadata = metadata_of(rows.schema)
    for place, key in enumerate(KEYS):
        value = metadata.get(f"raypipe.{key}")
        if value is None:
            raise ShardError(f"its metadata do not name the {key}")
        column = pa.repeat(pa.scalar(value, pa.string()), len(rows))
        rows = rows.add_column(place, pa.field(key, pa.string(), nullable=False), column)
    return rows


def read_object(place: Location, name: str, without: Sequence[str] = ()) -> pa.Table:
    """The rows of a table's object at a place, see :func:`object_table`.

    Raises:
        ShardError: if the bytes are not a whole object of a table, naming it.
        StoreError: if it is not there, or the storage refuses.
    """
    try:
        return object_table(place.read(name), without)
    except ShardError as error:
        raise ShardError(f"{place.uri}/{name}: {error}") from error


def version_of(schema: pa.Schema) -> int:
    """Version of the layout of an object.

    Raises:
        ShardError: for one that this raypipe does not know.
    """
    version = metadata_of(schema).get(VERSION_KEY, "1")
    if version not in {str(known) for known in range(1, VERSION + 1)}:
        raise ShardError(f"it has version {version}; this raypipe reads versions up to {VERSION}")
    return int(version)
