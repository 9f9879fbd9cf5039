"""Tables from Python values, in which no column is forgotten and none is dropped.

``pa.Table.from_pylist`` leaves out keys that are not in the schema, and fills those that a row
lacks with nulls. Here both are errors; whoever means null says None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa


def table_from_rows(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    """A table of rows that have every column of the schema and no other, structs inside included.

    Args:
        rows: values by column; a struct is a mapping of its fields, or None.
        schema: of the table.

    Raises:
        ValueError: if a row lacks a column or has another; naming the row and the columns.

    Example:
        >>> schema = pa.schema([("js", pa.float64())])
        >>> table_from_rows([{"js": 0.5}, {"jss": 0.25}], schema)
        Traceback (most recent call last):
        ValueError: row 1: no column js; unknown column jss
    """
    names = {*schema.names}
    for number, row in enumerate(rows):
        if row.keys() != names:
            _refuse(f"row {number}", row.keys(), names)
    columns = [[row[name] for row in rows] for name in schema.names]
    for field, column in zip(schema, columns, strict=True):
        check = _check_of(field.type, field.name)
        if check is not None:
            check(column)
    arrays = [pa.array(column, field.type) for field, column in zip(schema, columns, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def table_from_columns(columns: Mapping[str, Sequence[object]], schema: pa.Schema) -> pa.Table:
    """A table of columns that are those of the schema, in any order.

    Raises:
        ValueError: if a column of the schema is missing or another one is given.
    """
    if columns.keys() != {*schema.names}:
        _refuse("table", columns.keys(), {*schema.names})
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _check_of(kind: pa.DataType, where: str) -> Callable[[Iterable[Any]], None] | None:
    """A check of a column's values; None for types without structs inside."""
    if pa.types.is_list(kind):
        inner = _check_of(kind.value_type, where)
        if inner is None:
            return None
        check_entries = inner
        return lambda values: check_entries(
            entry for entries in values if entries is not None for entry in entries
        )
    if pa.types.is_struct(kind):
        names = {field.name for field in kind}
        inside = {field.name: _check_of(field.type, f"{where}.{field.name}") for field in kind}
        checks = {name: check for name, check in inside.items() if check is not None}

        def check_structs(values: Iterable[Any]) -> None:
            structs = [value for value in values if value is not None]
            for struct in structs:
                if struct.keys() != names:
                    _refuse(where, struct.keys(), names)
            for name, check in checks.items():
                check([struct[name] for struct in structs])

        return check_structs
    return None


def _refuse(where: str, given: Iterable[str], expected: set[str]) -> None:
    missing, unknown = sorted(expected - {*given}), sorted({*given} - expected)
    faults = [
        f"{fault} {', '.join(names)}"
        for fault, names in (("no column", missing), ("unknown column", unknown))
        if names
    ]
    raise ValueError(f"{where}: {'; '.join(faults)}")
