"""The errors of a run, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import pyarrow.dataset as ds

from raypipe.reporting.text import clean, count
from raypipe.reporting.view.listing import ROWS_PER_PAGE
from raypipe.reporting.view.utterance import shown_text

_COLUMNS: Final = ("utterance_id", "shard", "row", "stage", "error_type", "message", "utterances")


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """One row of ``errors/`` as texts.

    Attributes:
        name: the utterance, or where the input stood.
        address: of the utterance's page; empty without an id.
    """

    name: str
    address: str
    stage: str
    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class ErrorsPage:
    """A page of errors.

    Attributes:
        number: of the page, from 1.
        total: rows of all pages.
    """

    lines: tuple[ErrorLine, ...]
    number: int
    total: int


def errors_of(dataset: ds.Dataset | None, page: int) -> ErrorsPage:
    """A page of the errors table; an empty one where a run has no such table."""
    if dataset is None:
        return ErrorsPage((), page, 0)
    first = (page - 1) * ROWS_PER_PAGE
    rows = dataset.head(first + ROWS_PER_PAGE, columns=list(_COLUMNS)).slice(first)
    return ErrorsPage(tuple(_line(row) for row in rows.to_pylist()), page, dataset.count_rows())


def _line(row: dict[str, object]) -> ErrorLine:
    key = row["utterance_id"]
    place = f"{clean(row['shard'])} row {clean(row['row'])}"
    if row["row"] is None:
        place = f"{clean(row['shard'])}, {count(int(str(row['utterances'])))} inputs"
    return ErrorLine(
        name=place if key is None else shown_text(key, 300),
        address="" if key is None else f"/utterance?{urlencode({'id': str(key)})}",
        stage=clean(row["stage"]),
        error_type=clean(row["error_type"]),
        message=shown_text(row["message"], 2000),
    )
