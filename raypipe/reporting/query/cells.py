"""Values of an answer to SQL, as plain Python values and as texts."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa

from raypipe.errors import ConfigError
from raypipe.reporting.text import visible

NULL = "NULL"


def plain_columns(answer: pa.Table) -> list[list[object]]:
    """The values of every column; a map is a dict.

    Raises:
        ConfigError: naming the column, for a value that Python has none like, say an infinite date.
    """
    return [
        _values(name, column)
        for name, column in zip(answer.column_names, answer.columns, strict=True)
    ]


def _values(name: str, column: pa.ChunkedArray) -> list[object]:
    try:
        values: list[object] = column.to_pylist(maps_as_pydicts="strict")
    except (OverflowError, ValueError) as error:
        raise ConfigError(
            f"column {visible(name)} has a value that cannot be shown ({error}): cast it to VARCHAR"
        ) from error
    return values


def check_names(answer: pa.Table) -> None:
    """Make sure that a column can be told by its name.

    Raises:
        ConfigError: if two columns have one name.
    """
    names = answer.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"several columns are called {', '.join(twice)}: name them with AS")


def cell(value: object) -> str:
    """A value for a reader: numbers to six digits, texts verbatim, on one line.

    Example:
        >>> cell([0.5, None, "w_bon[beams=3of5]"]), cell(2 / 3), cell({"kind": "beam"})
        ('[0.5, NULL, w_bon[beams=3of5]]', '0.666667', '{kind: beam}')
    """
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{cell(name)}: {cell(item)}" for name, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "[" + ", ".join(cell(item) for item in value) + "]"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return visible(str(value))


def json_value(value: object) -> object:
    """A value as JSON has it: bytes in base64, times as ISO 8601, what is no number as a text.

    Example:
        >>> json_value([1.5, float("nan"), b"ab", Decimal("7")])
        [1.5, 'NaN', 'YWI=', 7]
    """
    if isinstance(value, Mapping):
        return {str(name): json_value(item) for name, item in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Decimal):  # a sum of whole numbers
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
