"""Parquet objects in memory: the same table gives the same bytes, a flipped bit does not pass.

Numbers are stored plainly. Byte-stream splitting would make ``generations/`` a quarter smaller (and
``predictions/`` and ``metrics/`` larger), but Spark 3 refuses to read it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.errors import ShardError
from raypipe.store.schemas import with_metadata

# Encoded audio does not compress: a second pass over it would only cost time.
_INCOMPRESSIBLE = {"audio"}


def to_parquet_bytes(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """A table as one Parquet file in memory, page checksums included.

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
    return sink.getvalue()


def from_parquet_bytes(data: bytes, without: Sequence[str] = ()) -> pa.Table:
    """The table in a Parquet file, every page that is read checked against its checksum.

    Args:
        data: the file.
        without: columns that are not decoded, by Parquet's own path: a nested one as
            ``hypotheses.list.element.emotion_logits``, which leaves the rest of the struct.

    Raises:
        ShardError: if the bytes are not Parquet, cut short, or changed since they were written.
    """
    try:
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
