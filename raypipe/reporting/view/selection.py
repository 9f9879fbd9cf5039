"""What a page shows, as the address bar holds it: search, filters, order, page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, cast, get_args
from urllib.parse import parse_qs, urlencode

from raypipe.errors import ConfigError

Operator = Literal[
    "is", "is_not", "contains", "below", "at_most", "above", "at_least", "missing", "present"
]
"""Ways to compare a column with a value."""

OPERATOR_TITLES: Final[Mapping[Operator, str]] = {
    "is": "=",
    "is_not": "≠",
    "contains": "contains",
    "below": "<",
    "at_most": "≤",
    "above": ">",
    "at_least": "≥",
    "missing": "is missing",
    "present": "is present",
}

SortSide = Literal["of", "beside", "difference"]
"""Whose value rows are sorted by; the difference is second minus first."""

MOST_FIELDS: Final = 200
MOST_CHARACTERS: Final = 20_000
_MOST_PAGES: Final = 10**9


@dataclass(frozen=True, slots=True)
class ColumnFilter:
    """A condition on one column.

    Attributes:
        column: its name, see :func:`raypipe.reporting.view.columns.view_columns`.
        value: what it is compared with, as text; empty where there is nothing to compare.
    """

    column: str
    operator: Operator
    value: str = ""


@dataclass(frozen=True, slots=True)
class ViewSelection:
    """Which utterances a page lists, and in which order.

    Attributes:
        of: key of the approach whose predictions are listed; empty for the first one.
        beside: key of the approach that stands beside it; empty for none; None for the runs' own
            choice: the same approach of the second run, where there is one.
        search: text that the utterance id or the transcript contains; empty for all.
        filters: all of which a row must pass.
        sort: column; empty for the table's own choice.
        descending: largest first.
        side: whose values are sorted by, where two approaches stand side by side.
        page: number of the page, from 1.
    """

    of: str = ""
    beside: str | None = None
    search: str = ""
    filters: tuple[ColumnFilter, ...] = ()
    sort: str = ""
    descending: bool = True
    side: SortSide = "of"
    page: int = 1

    def fields(self) -> list[tuple[str, str]]:
        """Names and values of an address, those that are not the defaults."""
        fields = [(name, getattr(self, name)) for name in ("of", "search", "sort")]
        fields = [(name, value) for name, value in fields if value]
        if self.beside is not None:
            fields.append(("beside", self.beside))
        for row in self.filters:
            fields += [("column", row.column), ("is", row.operator), ("value", row.value)]
        if not self.descending:
            fields.append(("order", "up"))
        if self.side != "of":
            fields.append(("side", self.side))
        if self.page != 1:
            fields.append(("page", str(self.page)))
        return fields

    def address(self, path: str = "/", **more: str | int) -> str:
        """The address of a page with this selection; ``more`` fields come first."""
        fields = [(name, str(value)) for name, value in more.items()] + self.fields()
        return f"{path}?{urlencode(fields)}" if fields else path

    def changed(self, **values: object) -> ViewSelection:
        """The selection with other values, from its first page on unless a page is given."""
        return replace(self, **{"page": 1, **values})  # type: ignore[arg-type]

    def without(self, place: int) -> ViewSelection:
        """The selection without one of its filters."""
        kept = (row for at, row in enumerate(self.filters) if at != place)
        return self.changed(filters=tuple(kept))


def fields_of(query: str) -> Mapping[str, list[str]]:
    """The fields of an address by name.

    Raises:
        ConfigError: if it is too long, or not an address.
    """
    if len(query) > MOST_CHARACTERS:
        raise ConfigError(f"the address has {len(query)} characters, at most {MOST_CHARACTERS}")
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise ConfigError(f"the address cannot be read: {error}") from error


def parse_selection(fields: Mapping[str, Sequence[str]]) -> ViewSelection:
    """The selection that an address names.

    Raises:
        ConfigError: for a value that is none of those that a field can have.
    """

    def single(name: str, default: str = "") -> str:
        values = fields.get(name) or [default]
        return values[-1].replace("\0", "")

    return ViewSelection(
        of=single("of"),
        beside=single("beside") if "beside" in fields else None,
        search=single("search").strip(),
        filters=_filters(fields),
        sort=single("sort"),
        descending=_choice("order", single("order", "down"), ("down", "up")) == "down",
        side=cast(SortSide, _choice("side", single("side", "of"), get_args(SortSide))),
        page=whole_number("page", single("page", "1"), least=1),
    )


def whole_number(name: str, text: str, *, least: int) -> int:
    """A whole number of an address.

    Raises:
        ConfigError: if it is none, or outside its range.
    """
    if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= _MOST_PAGES):
        raise ConfigError(f"{name} is a whole number from {least} on, not {text[:40]!r}")
    return int(text[:12])


def _filters(fields: Mapping[str, Sequence[str]]) -> tuple[ColumnFilter, ...]:
    """Filters; a row of the form without a column is not filled in."""
    parts = [fields.get(name, []) for name in ("column", "is", "value")]
    if len({len(part) for part in parts}) > 1:
        raise ConfigError("the address names not as many columns as operators and values")
    filters = []
    for column, operator, value in zip(*parts, strict=True):
        if column:
            chosen = cast(Operator, _choice("is", operator, get_args(Operator)))
            filters.append(ColumnFilter(column, chosen, value.replace("\0", "").strip()))
    return tuple(dict.fromkeys(filters))


def _choice(name: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ConfigError(f"{name} is one of {', '.join(choices)}, not {value[:40]!r}")
    return value
