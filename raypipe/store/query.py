"""SQL over a run's tables, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

from raypipe.errors import ConfigError, StoreError
from raypipe.store.explain_schemas import ANSWERS, TABLE1
from raypipe.store.head_schemas import GAINS, HEADS
from raypipe.store.judge_schemas import JUDGEMENTS
from raypipe.store.location import Location
from raypipe.store.objects import KEYS
from raypipe.store.rationale_schema import RATIONALE_TABLES, RATIONALES
from raypipe.store.schemas import (
    ERRORS,
    FEATURES,
    GENERATIONS,
    LABELS,
    METRICS,
    PREDICTIONS,
    SETTINGS,
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "generations": GENERATIONS,
    "predictions": PREDICTIONS,
    "metrics": METRICS,
    "errors": ERRORS,
    "settings": SETTINGS,
    "features": FEATURES,
    "heads": HEADS,
    "gains": GAINS,
    "labels": LABELS,
    "answers": ANSWERS,
    "table1": TABLE1,
    "judgements": JUDGEMENTS,
    **dict.fromkeys(RATIONALE_TABLES.values(), RATIONALES),
}
"""Tables of a run by their names."""

TABLES = tuple(SCHEMAS)


def table_dataset(tables: Location, table: str) -> pyarrow.dataset.Dataset | None:
    """One table of a run as a pyarrow dataset, or None if it has no object yet."""
    filesystem, base = tables.filesystem()
    path = f"{base}/{table}"
    if filesystem.get_file_info(path).type == pyarrow.fs.FileType.NotFound:
        return None
    # Of text, whatever a name looks like: a model called 7 is no number.
    keys = pa.schema([(key, pa.string()) for key in KEYS])
    factory = pyarrow.dataset.FileSystemDatasetFactory(
        filesystem,
        pyarrow.fs.FileSelector(path, recursive=True),
        pyarrow.dataset.ParquetFileFormat(),
        pyarrow.dataset.FileSystemFactoryOptions(
            partitioning=pyarrow.dataset.partitioning(keys, flavor="hive"),
            partition_base_dir=path,
        ),
    )
    return factory.finish(_whole_schema(SCHEMAS[table], factory.inspect()))


def _whole_schema(known: pa.Schema, stored: pa.Schema) -> pa.Schema:
    """Every column that this version knows and every one that the files have.

    An object of an older version lacks some, which read as null; so do fields inside a column.
    """
    return pa.schema(_whole_fields(known, stored))


def _whole_fields(known: Iterable[pa.Field], stored: Iterable[pa.Field]) -> list[pa.Field]:
    fields = {field.name: field for field in known}
    for field in stored:
        own = fields.get(field.name)
        kind = field.type if own is None else _whole_type(own.type, field.type)
        fields[field.name] = field.with_type(kind)
    return [field.with_nullable(True) for field in fields.values()]


def _whole_type(known: pa.DataType, stored: pa.DataType) -> pa.DataType:
    if pa.types.is_list(known) and pa.types.is_list(stored):
        kind = _whole_type(known.value_type, stored.value_type)
        return pa.list_(stored.value_field.with_type(kind))
    if pa.types.is_struct(known) and pa.types.is_struct(stored):
        return pa.struct(_whole_fields(known, stored))
    return stored


def connect(tables: Location) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in which the run's tables are views by their names.

    DuckDB reads through pyarrow, so object storage needs no DuckDB extension, and only the
    columns and files that a query touches are read.

    Raises:
        StoreError: if there is no table at all.
    """
    connection = duckdb.connect()
    datasets = {name: table_dataset(tables, name) for name in TABLES}
    if not any(datasets.values()):
        raise StoreError(f"{tables.uri} holds none of the tables {', '.join(TABLES)}")
    for name, dataset in datasets.items():
        if dataset is not None:
            connection.register(name, dataset)
    return connection


def query(tables: Location, sql: str) -> pa.Table:
    """The answer to one SQL statement over the run's tables, as a pyarrow table.

    Raises:
        StoreError: if there is no table at all.
        ConfigError: if the SQL is empty or answers with no rows and columns.
        duckdb.Error: for wrong SQL, with DuckDB's own explanation.
    """
    relation = connect(tables).sql(sql)
    if relation is None:
        raise ConfigError(f"the SQL {sql!r} is empty or asks for nothing")
    return relation.to_arrow_table()
