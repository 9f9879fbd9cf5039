"""DuckDB connections whose SQL sees nothing but what is registered in them.

Tables are pyarrow datasets, so DuckDB itself needs no file, no network and no extension, wherever
they lie. What it may not do is switched off and locked before any SQL of a user is read.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import duckdb
import pyarrow as pa

from raypipe.errors import ConfigError

_SETTINGS: Final[Mapping[str, str]] = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "memory_limit": "50%",
    # By default they show the environment and the home directory: a proxy's password among them.
    "http_proxy": "none",
    "secret_directory": "none",
}
_LAST: Final = ("enable_external_access = false", "lock_configuration = true")

_READING: Final = frozenset(
    {
        duckdb.StatementType.SELECT,  # and SHOW, DESCRIBE, SUMMARIZE, FROM, VALUES
        duckdb.StatementType.EXPLAIN,
        duckdb.StatementType.MULTI,  # PIVOT: a type for its columns, then the rows
    }
)
_LIFTED: Final = "--unsafe (in Python unsafe=True) lifts that"


def sandbox() -> duckdb.DuckDBPyConnection:
    """An empty DuckDB connection without files, network, extensions or variables of Python.

    It holds half of the memory, then spills into a folder that only this user can read, half of
    what is free there; nothing of this can be changed any more.
    """
    folder = _own_folder().name
    spill = {
        "temp_directory": os.path.join(folder, uuid.uuid4().hex),
        "max_temp_directory_size": f"{shutil.disk_usage(folder).free // 2} B",
    }
    connection = duckdb.connect(config={**_SETTINGS, **spill})
    for setting in _LAST:
        connection.execute(f"SET {setting}")
    return connection


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process, removed at its end."""
    return tempfile.TemporaryDirectory(prefix="raypipe-sql-")


def check_reads_only(sql: str) -> None:
    """Make sure that every statement reads: a query, or what explains one.

    Raises:
        ConfigError: naming the kind of the first one that does not.
        duckdb.Error: for wrong SQL.
    """
    for statement in duckdb.extract_statements(sql):
        if statement.type not in _READING:
            kind = statement.type.name.replace("_", " ")
            raise ConfigError(f"SQL may read the run's tables only, this is {kind}; {_LIFTED}")


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The answer to SQL; Ctrl-C stops it, and so does a size that would fill the memory.

    Raises:
        ConfigError: if the SQL is empty, may not do what it asks for, or asks for too much.
        duckdb.Error: for wrong SQL, with DuckDB's own explanation.
    """
    # In a thread of its own: DuckDB's calls do not all notice an interrupt.
    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(_read, connection, sql)
        try:
            return running.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise
        except duckdb.PermissionException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"SQL sees the run's tables and nothing else ({reason}); {_LIFTED}"
            ) from error
        except duckdb.OutOfMemoryException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"the SQL needs more memory than it may have: {reason}") from error


def _read(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    relation = connection.sql(sql)
    if relation is None:
        raise ConfigError(f"the SQL {sql[:200]!r} is empty or asks for nothing")
    reader = relation.to_arrow_reader()
    return pa.Table.from_batches(_bounded(reader), schema=reader.schema)


def _bounded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches as long as they fit a quarter of the machine's memory."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    held = 0
    for batch in _told(batches):
        held += batch.nbytes
        if held > limit:
            raise ConfigError(
                f"the answer is larger than {limit >> 20} MiB, a quarter of the memory: ask for "
                "less of it, or add a LIMIT"
            )
        yield batch


def _told(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches; what DuckDB has against a later row is told as for the first ones.

    Raises:
        duckdb.Error: pyarrow, which the batches come through, makes another error of it.
    """
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        out_of_memory = str(error).startswith("Out of Memory Error")
        kind = duckdb.OutOfMemoryException if out_of_memory else duckdb.Error
        raise kind(str(error)) from error
