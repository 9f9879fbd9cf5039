"""Parquet objects in memory: the same table gives the same bytes, a flipped bit does not pass.

Numbers are stored plainly. Byte-stream splitting would make ``generations/`` a quarter smaller (and
``predictions/`` and ``metrics/`` larger), but Spark 3 refuses to read it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.errors import ShardError
from raypipe.store.location import Location
from raypipe.store.schemas import with_metadata
from raypipe.store.seal import check_footer, check_whole, sealed

# Encoded audio does not compress: a second pass over it would only cost time.
_INCOMPRESSIBLE = {"audio"}


def to_parquet_bytes(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """A table as one Parquet file in memory: checksums of pages, a seal on the rest.

    Args:
        table: its rows; its schema metadata is kept.
        metadata: entries to add to the schema metadata.
    """
    leaves = [leaf for field in table.schema for leaf in _leaves(field.name, field.type)]
    sink = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(with_metadata(table.schema, metadata).metadata),
        sink,
        compression={path: _codec(path) for path, _ in leaves},
        use_dictionary=[path for path, kind in leaves if pa.types.is_string(kind)],
        write_page_checksum=True,
    )
    return sealed(sink.getvalue())


def parquet_file(stream: pa.NativeFile | BinaryIO, buffer_size: int = 0) -> pq.ParquetFile:
    """A Parquet file whose columns can be read alone, footer and pages checked.

    Raises:
        pyarrow.ArrowInvalid: if its footer has changed since it was written.
        OSError: later, from reading a page that has.
    """
    check_footer(stream)
    stream.seek(0)
    return pq.ParquetFile(stream, buffer_size=buffer_size, page_checksum_verification=True)


def read_columns(place: Location, name: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of an object, those of them that it has; the others are not read.

    Raises:
        pyarrow.ArrowInvalid: if it is no Parquet file, or its footer has changed.
        OSError: if it is not there, or a page has changed.
    """
    filesystem, base = place.filesystem()
    with filesystem.open_input_file(f"{base}/{name}") as stream, parquet_file(stream) as file:
        there = file.schema_arrow.names
        return file.read([column for column in columns if column in there])


def from_parquet_bytes(data: bytes, without: Sequence[str] = ()) -> pa.Table:
    """The table in a Parquet file, checked against its seal and the checksums of its pages.

    Args:
        data: the file.
        without: columns that are not decoded, by Parquet's own path: a nested one as
            ``hypotheses.list.element.emotion_logits``, which leaves the rest of the struct.

    Raises:
        ShardError: if the bytes are not Parquet, cut short, or changed since they were written.
    """
    try:
        check_whole(data)
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            kept = _kept_columns(file.schema, without) if without else None
            # Arrow's own threads may let go of these bytes after Python has ended: an abort.
            return file.read(kept, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ShardError(f"not a whole Parquet file: {reason[:200]}") from error


def _kept_columns(schema: pq.ParquetSchema, without: Sequence[str]) -> list[str]:
    paths = [schema.column(index).path for index in range(len(schema))]
    left_out = tuple(f"{path}." for path in without)
    return [path for path in paths if not f"{path}.".startswith(left_out)]


def _codec(path: str) -> str:
    return "NONE" if path in _INCOMPRESSIBLE else "ZSTD"


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Parquet's own names of a column's leaves, with their types."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind
