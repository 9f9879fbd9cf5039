"""An answer to SQL for another program: CSV, JSON and Parquet, lists included."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.csv

from raypipe.reporting.query.cells import check_names, json_value, plain_columns
from raypipe.reporting.text import json_text
from raypipe.store.parquet import to_parquet_bytes

_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001
"""How a cell begins that a spreadsheet takes for a formula, after white space as well."""

_WHITE: Final = ("\t", "\r", "\n")
"""White space that some take away before they look for one."""


def csv_bytes(answer: pa.Table) -> bytes:
    """The answer as CSV: lists and structs as JSON, bytes in base64, null as nothing at all.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    columns = [
        column if _is_plain(field.type) else pa.array(map(_csv_cell, values), pa.string())
        for field, column, values in zip(
            answer.schema, answer.columns, plain_columns(answer), strict=True
        )
    ]
    sink = io.BytesIO()
    names = [_harmless(name) for name in answer.column_names]
    pyarrow.csv.write_csv(pa.Table.from_arrays(columns, names=names), sink)
    return sink.getvalue()


def json_lines(answer: pa.Table) -> Iterator[str]:
    """The answer as one JSON array of objects, a line per row.

    Raises:
        ConfigError: if two columns have one name.
    """
    check_names(answer)
    yield "["
    rows = zip(*plain_columns(answer), strict=True)
    for number, row in enumerate(rows, 1):
        document = dict(zip(answer.column_names, map(json_value, row), strict=True))
        text = json_text(document)
        yield text if number == answer.num_rows else f"{text},"
    yield "]"


def parquet_bytes(answer: pa.Table) -> bytes:
    """The answer as a Parquet file.

    Raises:
        ConfigError: if two columns have one name.
    """
    check_names(answer)
    return to_parquet_bytes(answer, {})


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_null(kind)
    )


def _csv_cell(value: object) -> str | None:
    """A text, without quotation marks of its own where JSON has a plain text."""
    if value is None:
        return None
    plain = json_value(value)
    if isinstance(plain, str):
        return _harmless(plain)
    return json.dumps(plain, ensure_ascii=False, allow_nan=False)


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    Example:
        >>> _harmless("=HYPERLINK(1)"), _harmless("anger")
        ("'=HYPERLINK(1)", 'anger')
    """
    is_formula = text.startswith(_WHITE) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if is_formula else text
