"""SQL over the tables of a run or of several, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

from raypipe.errors import StoreError
from raypipe.labels import LabelSet
from raypipe.store.damage import damage_named, damaged
from raypipe.store.explain_schemas import ANSWERS, TABLE1
from raypipe.store.fits import FITS
from raypipe.store.head_schemas import GAINS, HEADS
from raypipe.store.judge_schemas import JUDGEMENTS
from raypipe.store.location import Location
from raypipe.store.objects import KEYS
from raypipe.store.rationale_schema import RATIONALE_TABLES, RATIONALES
from raypipe.store.sandbox import answer, check_reads_only, sandbox
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
from raypipe.store.seal import check_footer
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

_AT_ONCE = 16

SOURCE = "source"
"""Column that tells several runs apart: the place of a run, as it was given."""


def table_dataset(
    tables: Location, table: str, shards: Collection[str] | None = None
) -> pyarrow.dataset.Dataset | None:
    """One table of a run as a pyarrow dataset, or None if it has no object yet.

    Its schema's metadata name the label set, where its objects' do. Every object's footer is
    checked at once, a page when it is read; see :mod:`raypipe.store.damage` for what to do then.

    Args:
        tables: of the run.
        table: its name.
        shards: names of those whose objects are opened; None for all.

    Raises:
        StoreError: if the storage does not answer or refuses, or if a footer has changed since it
            was written, naming the object.
    """
    filesystem, base = tables.filesystem()
    path = f"{base}/{table}"
    if not _is_there(tables, table):
        return None
    names = [
        name
        for name in tables.child(table).list()
        if shards is None or name.rpartition("/")[2] in shards
    ]
    if not names:
        return None
    _check_footers(tables, table, names)
    # Of text, whatever a name looks like: a model called 7 is no number.
    keys = pa.schema([(key, pa.string()) for key in KEYS])
    factory = pyarrow.dataset.FileSystemDatasetFactory(
        filesystem,
        [f"{path}/{name}" for name in names],
        pyarrow.dataset.ParquetFileFormat(
            default_fragment_scan_options=pyarrow.dataset.ParquetFragmentScanOptions(
                page_checksum_verification=True
            )
        ),
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


def readable_table(tables: Location, table: str) -> pyarrow.dataset.Dataset | None:
    """:func:`table_dataset`; the table ``errors`` of a run without errors, too, which has no rows.

    Only a shard with errors has an object there. What is finished, ``predictions/`` says.
    """
    dataset = table_dataset(tables, table)
    if dataset is None and table == "errors" and _is_there(tables, "predictions"):
        return pyarrow.dataset.dataset(ERRORS.empty_table())
    return dataset


def _is_there(tables: Location, table: str) -> bool:
    filesystem, base = tables.filesystem()
    try:
        found: pyarrow.fs.FileInfo = filesystem.get_file_info(f"{base}/{table}")
    except OSError as error:
        told = " ".join(str(error).split())
        raise StoreError(f"{tables.uri} cannot be read: {told[:300]}") from error
    return bool(found.type != pyarrow.fs.FileType.NotFound)


def _check_footers(tables: Location, table: str, names: Iterable[str]) -> None:
    filesystem, base = tables.filesystem()
    place = tables.child(table)

    def check(name: str) -> None:
        try:
            with filesystem.open_input_file(f"{base}/{table}/{name}") as stream:
                check_footer(stream)
        except (pa.ArrowException, OSError) as error:
            raise damaged(place, name, error) from error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(check, names))


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


def connect(tables: Location, *, unsafe: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in which the run's tables, and views over them, have their names.

    DuckDB reads through pyarrow, so object storage needs no DuckDB extension, and only the
    columns and files that a query touches are read. For the views see :mod:`raypipe.store.views`.

    Args:
        tables: of the run.
        unsafe: whether SQL may also do what :mod:`raypipe.store.sandbox` keeps it from.

    Raises:
        StoreError: if there is no table at all.
    """
    connection = duckdb.connect() if unsafe else sandbox()
    _register(connection, _datasets(tables), called=str)
    return connection


def connect_runs(
    runs: Mapping[str, Location], *, unsafe: bool = False
) -> duckdb.DuckDBPyConnection:
    """The same for several runs: every table and view holds the rows of all that have it.

    Args:
        runs: by what :data:`SOURCE`, a column of everything, calls them.
        unsafe: as for :func:`connect`.

    Raises:
        StoreError: if one of them has no table at all.
    """
    connection = duckdb.connect() if unsafe else sandbox()
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
    datasets = {name: readable_table(tables, name) for name in TABLES}
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


def query(tables: Location, sql: str, *, unsafe: bool = False) -> pa.Table:
    """The answer to SQL over a run's tables and views, as a pyarrow table.

    SQL sees these and nothing else: no file, no network, no variable of Python. Of several
    statements the last one answers.

    Args:
        tables: of the run.
        sql: what to ask.
        unsafe: whether SQL may do all that DuckDB can, in the rights of this process.

    Raises:
        StoreError: if there is no table at all.
        ConfigError: if the SQL is empty, asks for something else than rows of the run, or for more
            than fits into memory.
        duckdb.Error: for wrong SQL, with DuckDB's own explanation.
    """
    if not unsafe:
        check_reads_only(sql)
    connection = connect(tables, unsafe=unsafe)
    with damage_named(tables):
        return answer(connection, sql)


def query_runs(runs: Mapping[str, Location], sql: str, *, unsafe: bool = False) -> pa.Table:
    """The same over several runs, see :func:`connect_runs`."""
    if not unsafe:
        check_reads_only(sql)
    connection = connect_runs(runs, unsafe=unsafe)
    with damage_named(*runs.values()):
        return answer(connection, sql)
