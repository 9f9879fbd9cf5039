"""Columns that the view filters and sorts by, and conditions on them as SQL with parameters.

A column's name comes from the schema of a table, never from the address: an address only picks one.
Values are bound as parameters and are never part of the SQL.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from raypipe.errors import ConfigError, did_you_mean
from raypipe.reporting.view.selection import OPERATOR_TITLES, ColumnFilter, Operator
from raypipe.store.views import quoted

ColumnKind = Literal["text", "number", "truth", "texts"]
"""A text, a number, true or false, or a list of texts."""
HomeTable = Literal["predictions", "generations"]

FACTS: Final = "facts."
_COMPARED: Final[Mapping[Operator, str]] = {
    "is": "=",
    "below": "<",
    "at_most": "<=",
    "above": ">",
    "at_least": ">=",
}
_OPERATORS: Final[Mapping[ColumnKind, frozenset[Operator]]] = {
    "text": frozenset(OPERATOR_TITLES),
    "number": frozenset(OPERATOR_TITLES) - {"contains"},
    "truth": frozenset({"is", "is_not", "missing", "present"}),
    "texts": frozenset({"is", "is_not", "contains", "missing", "present"}),
}
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column that rows can be chosen by.

    Attributes:
        name: for people and addresses; a field of a struct after a dot.
        table: that holds it.
        kind: of its values.
        sql: the expression, without the table; ``?`` in it is bound to ``parameters``.
        parameters: keys of a map.
    """

    name: str
    table: HomeTable
    kind: ColumnKind
    sql: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SqlCondition:
    """A condition and the values that are bound to the question marks in it, in order."""

    sql: str
    parameters: tuple[object, ...]


def view_columns(
    schemas: Mapping[HomeTable, pa.Schema], facts: Iterable[str]
) -> dict[str, ViewColumn]:
    """Columns by name; of one that stands in several tables, that of the first.

    Args:
        schemas: of the tables, the one that is listed first.
        facts: names of further columns of the corpus's manifest.
    """
    columns: dict[str, ViewColumn] = {}
    for table, schema in schemas.items():
        for field in schema:
            for column in _columns_of(table, field):
                columns.setdefault(column.name, column)
        if "facts" in schema.names:
            for name in facts:
                key = f"{FACTS}{name}"
                columns.setdefault(key, ViewColumn(key, table, "text", '"facts"[?]', (name,)))
    return columns


def _columns_of(table: HomeTable, field: pa.Field) -> Iterable[ViewColumn]:
    if pa.types.is_struct(field.type):
        for inner in field.type:
            kind = _kind(inner.type)
            if kind is not None:
                sql = f"{quoted(field.name)}.{quoted(inner.name)}"
                yield ViewColumn(f"{field.name}.{inner.name}", table, kind, sql)
        return
    kind = _kind(field.type)
    if kind is not None:
        yield ViewColumn(field.name, table, kind, quoted(field.name))


def _kind(kind: pa.DataType) -> ColumnKind | None:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return "texts"
    return None


def known_column(columns: Mapping[str, ViewColumn], name: str) -> ViewColumn:
    """The column of a name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in columns:
        raise ConfigError(f"there is no column {name[:80]!r}{did_you_mean(name[:80], columns)}")
    return columns[name]


def condition(column: ViewColumn, row: ColumnFilter) -> SqlCondition:
    """A filter as SQL.

    Raises:
        ConfigError: if the operator does not go with the column, or the value is not of its kind.

    Example:
        >>> js = ViewColumn("js", "predictions", "number", '"js"')
        >>> condition(js, ColumnFilter("js", "above", "0.5"))
        SqlCondition(sql='"js" > ?', parameters=(0.5,))
    """
    if row.operator not in _OPERATORS[column.kind]:
        raise ConfigError(
            f"column {column.name}: {OPERATOR_TITLES[row.operator]} does not go with its values"
        )
    sql, keys = column.sql, column.parameters
    if row.operator in ("missing", "present"):
        is_null = "IS NULL" if row.operator == "missing" else "IS NOT NULL"
        return SqlCondition(f"{sql} {is_null}", keys)
    if column.kind == "texts":
        has = f"coalesce(list_contains({sql}, ?), false)"
        return SqlCondition(f"NOT {has}" if row.operator == "is_not" else has, (*keys, row.value))
    if row.operator == "contains":
        return SqlCondition(f"contains(lower({sql}), lower(?))", (*keys, row.value))
    value = _value(column, row)
    if isinstance(value, float) and column.kind == "text":
        sql = f"TRY_CAST({sql} AS DOUBLE)"
    if row.operator == "is_not":
        return SqlCondition(f"{sql} IS DISTINCT FROM ?", (*keys, value))
    return SqlCondition(f"{sql} {_COMPARED[row.operator]} ?", (*keys, value))


def _value(column: ViewColumn, row: ColumnFilter) -> str | float | bool:
    if column.kind == "number":
        number = _number(row.value)
        if number is None:
            raise ConfigError(f"column {column.name} holds numbers, {row.value[:40]!r} is none")
        return number
    if column.kind == "truth":
        if row.value.lower() not in _TRUTHS:
            raise ConfigError(f"column {column.name} is true or false, not {row.value[:40]!r}")
        return _TRUTHS[row.value.lower()]
    # Facts of a manifest are text: an age is still compared as a number.
    number = _number(row.value)
    ordered = row.operator not in ("is", "is_not")
    return number if ordered and number is not None else row.value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
