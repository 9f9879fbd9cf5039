"""Tables: Markdown, CSV and TSV, one label per row or one per column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount, only_amount
from raypipe.parsing.settling import Claim, Share, is_whole
from raypipe.parsing.vocabulary import OTHER_NOUNS, SHARE_NOUNS, WEAK_NOUNS
from raypipe.parsing.words import meaning_of

RULE: Final = "table"
_RULE_LINE = re.compile(r"[\s|:+=-]+")
_IN_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NO_COLUMN_NAME = re.compile(r"(?<!\w)\d|[:=!?]|\.$|(?:\S+\s+){5}\S")
_NUMBERING = re.compile(r"^\(?\d{1,2}[.)]\s+")
_WITH_VALUE = re.compile(r"\d|[:=]\s*\w")
_RATER = re.compile(
    r"(?:listener|rater|annotator|judge|coder|voter|participant|evaluator|labell?er)\b", re.I
)
_OF_ALL = frozenset(("overall", "final", "combined", "average", "mean"))
_COUNTED = frozenset(
    ("listeners", "raters", "annotators", "people", "participants", "voters", "times", "n")
)


@dataclass(frozen=True, slots=True)
class _Cell:
    start: int
    end: int
    text: str


_Row = list[_Cell]


@dataclass(frozen=True, slots=True)
class TableReading:
    """What a table says.

    Attributes:
        claim: its labels with their numbers; None if it cannot be told which column has them.
        start: of the table in the text.
        end: of the table in the text.
    """

    claim: Claim | None
    start: int
    end: int


def read_table(text: str, labels: LabelSet, *, commas: bool) -> TableReading | None:
    """The one table of a text whose cells name labels; None if there is none.

    A table has at least two rows of as many cells, and a header or a third column: anything less
    is read as lines.
    """
    readings = []
    for rows in _tables(text, commas=commas):
        reading = _read(rows, labels, commas)
        if reading is not None:
            readings.append(reading)
    if len(readings) > 1:
        return TableReading(None, readings[0].start, readings[-1].end)
    return readings[0] if readings else None


def _tables(text: str, *, commas: bool) -> Iterator[list[_Row]]:
    lines = [(match.start(), match[0]) for match in re.finditer(r"[^\n]+", text)]
    for delimiter in ("|", "\t", ";", *(() if commas else (",",))):
        rows: list[_Row] = []
        for start, line in lines:
            if rows and delimiter == "|" and _RULE_LINE.fullmatch(line):
                continue
            cells = _cells(start, line, delimiter)
            if len(cells) < 2 or (rows and len(cells) != len(rows[0])):
                if _is_table(rows):
                    yield rows
                rows = []
            if len(cells) >= 2:
                rows.append(cells)
        if _is_table(rows):
            yield rows


def _is_table(rows: Sequence[_Row]) -> bool:
    return len(rows) >= 2


def _cells(start: int, line: str, delimiter: str) -> _Row:
    cells: _Row = []
    place = start
    for written in line.split(delimiter):
        clean = written.strip(" \t\"'`*_")
        inner = place + written.find(clean) if clean else place
        cells.append(_Cell(inner, inner + len(clean), clean))
        place += len(written) + 1
    if delimiter == "|":  # the strokes at both ends are no cells
        is_stroke = re.fullmatch(r"[\s}\])>]*", cells[-1].text) is not None
        cells = cells[1 if not cells[0].text else 0 : -1 if is_stroke else None]
    return cells


def _read(rows: Sequence[_Row], labels: LabelSet, commas: bool) -> TableReading | None:
    start, end = rows[0][0].start, rows[-1][-1].end
    by_row = _by_row(rows, labels, commas)
    if by_row is None:
        by_row = _by_column(rows, labels, commas)
    if by_row is None:
        return None
    return TableReading(by_row if by_row.shares else None, start, end)


_UNCLEAR: Final = Claim(RULE, ())
_UNNAMED: Final = 3
_NO_SHARES: Final = 4


def _by_row(rows: Sequence[_Row], labels: LabelSet, commas: bool) -> Claim | None:
    header = rows[0]
    amounts = [[_amount(cell, commas) for cell in row] for row in rows]
    if not _is_header(header, labels):
        return _without_header(rows, labels, commas)
    body, numbers = rows[1:], amounts[1:]
    columns = range(len(header))
    names = [c for c in columns if sum(_label(row[c], labels) is not None for row in body)]
    if not names:
        return None
    name = max(names, key=lambda c: sum(_label(row[c], labels) is not None for row in body))
    known = [
        (row, values)
        for row, values in zip(body, numbers, strict=True)
        if _label(row[name], labels) is not None
    ]
    filled = [c for c in columns if c != name and all(values[c] is not None for _, values in known)]
    column = _share_column(filled, header)
    if column is None:
        votes = _votes(header, [row for row, _ in known], name, labels)
        if votes is not None or len({_label(row[name], labels) for row, _ in known}) == 1:
            return votes
        return _UNCLEAR if filled else None
    is_named = _header_rank(header[column].text) < _UNNAMED
    shares = []
    for row, values in zip(body, numbers, strict=True):
        amount = values[column]
        meaning = meaning_of(row[name].text, labels)
        if amount is None or meaning.kind in ("other", "reason") or not row[name].text:
            continue
        place = (row[name].start, row[name].end)
        shares.append(Share(meaning.label, row[name].text.lower(), place, amount))
    claim = Claim(RULE, tuple(shares), named=_named(shares))
    # A column that may hold anything has shares only if they add up as shares do.
    return claim if is_named or is_whole(claim) else _UNCLEAR


def _without_header(rows: Sequence[_Row], labels: LabelSet, commas: bool) -> Claim | None:
    """Rows of a number and a label; anything else without a header is read as lines."""
    shares = []
    for row in rows:
        amount = _amount(row[0], commas)
        is_pair = len(row) == 2 and amount is not None and not re.search(r"[^\W\d_]", row[0].text)
        if not is_pair or amount is None or _label(row[1], labels) is None:
            return None
        place = (row[1].start, row[1].end)
        shares.append(Share(_label(row[1], labels), row[1].text.lower(), place, amount))
    claim = Claim(RULE, tuple(shares), named=_named(shares))
    return claim if is_whole(claim) else None


def _votes(header: _Row, body: Sequence[_Row], name: int, labels: LabelSet) -> Claim | None:
    """Counts of the labels in a table with one rater per row."""
    raters = [c for c, cell in enumerate(header) if _RATER.match(cell.text)]
    if len(raters) != 1 or len({row[raters[0]].text for row in body}) != len(body):
        return None
    cells: dict[int | None, list[_Cell]] = {}
    for row in body:
        cells.setdefault(_label(row[name], labels), []).append(row[name])
    shares = [
        Share(
            label, same[0].text.lower(), (same[0].start, same[0].end), _count_of(same[0], len(same))
        )
        for label, same in cells.items()
    ]
    return Claim(RULE, tuple(shares), named=_named(shares))


def _count_of(cell: _Cell, count: int) -> Amount:
    return Amount(cell.start, cell.end, float(count), integer=True)


def _is_header(row: _Row, labels: LabelSet) -> bool:
    """Whether a row has names of columns: a few words each, no label and no number."""
    return not any(
        _NO_COLUMN_NAME.search(_IN_BRACKETS.sub("", cell.text)) or _label(cell, labels) is not None
        for cell in row
    )


def _by_column(rows: Sequence[_Row], labels: LabelSet, commas: bool) -> Claim | None:
    """A row of labels above a row of numbers."""
    heads = [number for number, row in enumerate(rows) if _count(row, labels) >= 2]
    if len(heads) != 1:
        return None
    head = rows[heads[0]]
    below = [[_amount(cell, commas) for cell in row] for row in rows[heads[0] + 1 :]]
    columns = [c for c, cell in enumerate(head) if _label(cell, labels) is not None]
    full = [row for row in below if all(row[c] is not None for c in columns)]
    if not full:
        return None
    if len(full) > 1:
        return _UNCLEAR
    shares = []
    for cell, amount in zip(head, full[0], strict=True):
        meaning = meaning_of(cell.text, labels)
        if amount is not None and cell.text and meaning.kind in ("label", "word", "unclear"):
            shares.append(Share(meaning.label, cell.text.lower(), (cell.start, cell.end), amount))
    return Claim(RULE, tuple(shares), named=_named(shares))


def _share_column(filled: Sequence[int], header: _Row) -> int | None:
    """The column of the shares: the surest header, or the only one that may be it."""
    ranked: dict[int, list[int]] = {}
    for column in filled:
        ranked.setdefault(_header_rank(header[column].text), []).append(column)
    ranked.pop(_NO_SHARES, None)
    if not ranked:
        return None
    best = ranked[min(ranked)]
    return best[0] if len(best) == 1 else None


def _header_rank(text: str) -> int:
    """How surely a column has the shares; the lower the surer."""
    words = re.findall(r"[^\W\d_]+|%", text.lower())
    if any(word in WEAK_NOUNS for word in words):
        return 2
    if any(word in SHARE_NOUNS or word.rstrip("s") in SHARE_NOUNS or word == "%" for word in words):
        return 0 if _OF_ALL & set(words) else 1
    if any(word in OTHER_NOUNS for word in words) or _RATER.match(text):
        return _NO_SHARES
    if _OF_ALL & set(words):
        return 0
    return 1 if _COUNTED & set(words) else _UNNAMED


def _named(shares: Sequence[Share]) -> frozenset[int]:
    return frozenset(share.label for share in shares if share.label is not None)


def _count(row: _Row, labels: LabelSet) -> int:
    return sum(_label(cell, labels) is not None for cell in row)


def _label(cell: _Cell, labels: LabelSet) -> int | None:
    """The label that a cell names, and nothing else: no number, no value."""
    text = _NUMBERING.sub("", cell.text)
    if len(text) > 60 or _WITH_VALUE.search(text):
        return None
    return meaning_of(text, labels).label


def _amount(cell: _Cell, commas: bool) -> Amount | None:
    if cell.text.lower() in ("yes", "no", "true", "false"):
        return Amount(cell.start, cell.end, float(cell.text.lower() in ("yes", "true")))
    if not re.search(r"\d", cell.text) or len(cell.text) > 40:
        return None
    amount = only_amount(cell.text, commas=commas)
    if amount is None:
        return None
    return Amount(cell.start, cell.end, amount.value, amount.kind, minus=amount.minus)
