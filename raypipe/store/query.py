"""SQL over the tables of a run or of several, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

from raypipe.errors import ConfigError, StoreError
from raypipe.labels import LabelSet
from raypipe.store.explain_schemas import ANSWERS, TABLE1
from raypipe.store.fits import FITS
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
    labels_metadata,
    labels_of,
)
from raypipe.store.views import quoted, text_literal, view_queries

SCHEMAS: Mapping[str, pa.Schema] = {
    "generations": GENERATIONS,
    "predictions": PREDICTIONS,
    "metrics": METRICS,
    "errors": ERRORS,
    "settings": SETTINGS,
    "fits": FITS,
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

SOURCE = "source"
"""Column that tells several runs apart: the place of a run, as it was given."""


def table_dataset(tables: Location, table: str) -> pyarrow.dataset.Dataset | None:
    """One table of a run as a pyarrow dataset, or None if it has no object yet.

    Its schema's metadata name the label set, where its objects' do.
    """
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
    stored = factory.inspect()
    labels = labels_of(stored)
    schema = _whole_schema(SCHEMAS[table], stored)
    return factory.finish(
        schema if labels is None else schema.with_metadata(labels_metadata(labels))
    )


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
    """A DuckDB connection in which the run's tables, and views over them, have their names.

    DuckDB reads through pyarrow, so object storage needs no DuckDB extension, and only the
    columns and files that a query touches are read. For the views see :mod:`raypipe.store.views`.

    Raises:
        StoreError: if there is no table at all.
    """
    connection = duckdb.connect()
    _register(connection, _datasets(tables), called=str)
    return connection


def connect_runs(runs: Mapping[str, Location]) -> duckdb.DuckDBPyConnection:
    """The same for several runs: every table and view holds the rows of all that have it.

    Args:
        runs: by what :data:`SOURCE`, a column of everything, calls them.

    Raises:
        StoreError: if one of them has no table at all.
    """
    connection = duckdb.connect()
    parts: dict[str, list[str]] = {}
    for source, tables in runs.items():
        called = partial("{1} of {0}".format, source)
        for name in _register(connection, _datasets(tables), called):
            query = f"SELECT {text_literal(source)} AS {SOURCE}, * FROM {quoted(called(name))}"
            parts.setdefault(name, []).append(query)
    for name, queries in parts.items():
        connection.execute(f"CREATE TEMP VIEW {name} AS {' UNION ALL BY NAME '.join(queries)}")
    return connection


def _datasets(tables: Location) -> dict[str, pyarrow.dataset.Dataset]:
    datasets = {name: table_dataset(tables, name) for name in TABLES}
    there = {name: dataset for name, dataset in datasets.items() if dataset is not None}
    if not there:
        raise StoreError(f"{tables.uri} holds none of the tables {', '.join(TABLES)}")
    return there


def _register(
    connection: duckdb.DuckDBPyConnection,
    datasets: Mapping[str, pyarrow.dataset.Dataset],
    called: Callable[[str], str],
) -> list[str]:
    """Make one run's tables and views known; their names, as the run has them.

    Args:
        connection: where they become known.
        datasets: the tables.
        called: what a table or view is to be called.
    """
    for name, dataset in datasets.items():
        connection.register(called(name), dataset)
    schemas = {name: dataset.schema for name, dataset in datasets.items()}
    views = view_queries(schemas, _label_set(schemas.values()), lambda name: quoted(called(name)))
    for name, query in views.items():
        connection.execute(f"CREATE TEMP VIEW {quoted(called(name))} AS {query}")
    return [*datasets, *views]


def _label_set(schemas: Iterable[pa.Schema]) -> LabelSet | None:
    """The label set that the tables of a run have in common; None if none names it."""
    return next(filter(None, map(labels_of, schemas)), None)


def query(tables: Location, sql: str) -> pa.Table:
    """The answer to one SQL statement over a run's tables and views, as a pyarrow table.

    Raises:
        StoreError: if there is no table at all.
        ConfigError: if the SQL is empty or answers with no rows and columns.
        duckdb.Error: for wrong SQL, with DuckDB's own explanation.
    """
    return _answer(connect(tables), sql)


def query_runs(runs: Mapping[str, Location], sql: str) -> pa.Table:
    """The same over several runs, see :func:`connect_runs`."""
    return _answer(connect_runs(runs), sql)


def _answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    relation = connection.sql(sql)
    if relation is None:
        raise ConfigError(f"the SQL {sql!r} is empty or asks for nothing")
    return relation.to_arrow_table()
