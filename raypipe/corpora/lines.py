"""Label files line by line: every record knows its line, and a damaged one costs only itself."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, TextIO

from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.limits import LabelText, LongLineError
from raypipe.errors import CorpusError
from raypipe.store.location import Location

Record = tuple[int, Mapping[str, str] | BadLineError]

# UTF-32's little-endian mark begins with UTF-16's.
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def open_text(
    source: Location, name: str, encoding: str = "utf-8-sig", *, newline: str | None = None
) -> LabelText:
    """A text file; bytes of another encoding stay visible as lone surrogates, to be refused.

    Args:
        source: the corpus.
        name: of the file in it.
        encoding: of the text.
        newline: as of :func:`open`; ``""`` for CSV.

    Raises:
        CorpusError: if the file says of itself that it is UTF-16 or UTF-32.
        StoreError: if the file cannot be opened.
    """
    return as_lines(source.open(name), name, encoding, newline=newline)


def as_lines(
    stream: BinaryIO, name: str, encoding: str = "utf-8-sig", *, newline: str | None = None
) -> LabelText:
    """A seekable stream as :func:`open_text` gives it, and raises as it does."""
    mark = stream.read(4)
    stream.seek(0)
    if mark.startswith(_WIDE_MARKS):
        stream.close()
        raise CorpusError(f"{name} line 1: the file is UTF-16 or UTF-32; it must be UTF-8")
    return LabelText(stream, name, encoding, newline)


def checked_text(text: str, field: str) -> str:
    """A text without outer blanks.

    Raises:
        BadLineError: ``not_unicode`` for bytes that were not of the file's encoding, ``nul`` for a
            character that no text holds and many readers stop at.
    """
    if "\0" in text:
        raise BadLineError("nul", f"{field} holds NUL characters: {shown(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadLineError(
            "not_unicode", f"{field} is not in the file's encoding: {shown(text)}"
        ) from error
    return text.strip()


def single_lines(text: Iterable[str]) -> Iterator[str | BadLineError]:
    """Lines of a file in which each stands for itself; in the place of one too long, the reason."""
    lines = iter(text)
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except LongLineError as error:
            yield BadLineError("too_large", str(error))


def csv_records(
    text: Iterable[str],
    name: str,
    required: Sequence[Collection[str]],
    delimiter: str = ",",
) -> Iterator[Record]:
    """Line numbers and the cells that are not blank, by column.

    The delimiter may be another than usual: the one is taken with which the header has the columns.
    A quote that does not belong to CSV belongs to its cell, if its line then has the header's
    number of cells: in TSV, which is mostly written without quoting, and where CSV makes no sense.

    Args:
        text: the file's lines, opened with ``newline=""``.
        name: of the file, for messages.
        required: columns that must be there, each with the names it goes by, the usual one first.
        delimiter: usually between cells.

    Raises:
        CorpusError: if there is no header, or one without a required column.
    """
    lines = _Lines(iter(text))
    header, delimiter = _header(lines, name, required, delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            row = _row(lines, reader, delimiter, len(header))
        except StopIteration:
            return
        except BadLineError as error:
            yield lines.first, error
            continue
        if row:
            cells = zip(header, row, strict=True)
            yield lines.first, {column: cell for column, cell in cells if cell.strip()}


def _row(lines: _Lines, reader: Iterator[list[str]], delimiter: str, count: int) -> list[str]:
    """The cells of the next record; none of a blank line."""
    if delimiter == "\t":
        cells = _plain_cells(next(lines), delimiter)
        if len(cells) == count:
            if count > 1 and cells[-1].startswith('"') and _unquoted(cells[-1]) == cells[-1]:
                cells = _quoted_row(lines, delimiter, count) or cells
            return [_unquoted(cell) for cell in cells]
        lines.give_back(1)
    message = ""
    try:
        row = next(reader)
        if not row or len(row) == count:
            return row
        message = f"line has {len(row)} cells, the header has {count}"
    except csv.Error as error:
        message = f"line is not CSV: {error}"
    cells = _plain_cells(lines.give_back_all_but_first(), delimiter)
    if len(cells) == count:
        return cells
    raise BadLineError("bad_csv", message)


_MOST_LINES_OF_A_CELL = 50


def _quoted_row(lines: _Lines, delimiter: str, count: int) -> list[str] | None:
    """The row that the line at hand begins, if its last cell is quoted and goes on in the next.

    None if it is not, or if one of those lines is a row of its own: the quote is a stray one then.
    """
    lines.give_back(1)
    several = itertools.islice(lines, _MOST_LINES_OF_A_CELL)
    try:
        row = next(csv.reader(several, delimiter=delimiter, strict=True), [])
    except csv.Error:
        row = []
    others = lines.taken[1:]
    if len(row) == count and not any(
        len(_plain_cells(line, delimiter)) == count for line in others
    ):
        return row
    lines.give_back_all_but_first()
    return None


def _plain_cells(line: str, delimiter: str) -> list[str]:
    return line.rstrip("\r\n").split(delimiter)


def _unquoted(cell: str) -> str:
    """A cell without the quotes around it, if it is quoted as CSV is."""
    inner = cell[1:-1]
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else cell


def csv_columns(
    text: TextIO, name: str, required: Sequence[Collection[str]], delimiter: str = ","
) -> list[str]:
    """The columns of a CSV file, which is then at its beginning again; raises as csv_records."""
    header, _ = _header(text, name, required, delimiter)
    text.seek(0)
    return header


_DELIMITERS = (",", ";", "\t", "|")


def _header(
    lines: Iterator[str], name: str, required: Sequence[Collection[str]], usual: str
) -> tuple[list[str], str]:
    """The columns, and the delimiter between them."""
    line = next(lines, "")
    headers: dict[str, list[str]] = {}
    for delimiter in (usual, *_DELIMITERS):
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise CorpusError(f"{name} has no header line: {error}") from error
        header = headers.setdefault(delimiter, [column.strip() for column in cells])
        if all({*names} & {*header} for names in required):
            return header, delimiter
    wanted = " and ".join(next(iter(names)) for names in required)
    best = max(headers, key=lambda delimiter: len(headers[delimiter]))
    raise CorpusError(
        f"{name} needs the columns {wanted}, has {headers[best]} (between {best!r}; commas, "
        "semicolons, tabs and | are understood)"
    )


class _Lines:
    """Lines that can be given back: a stray quote must not swallow the records after it."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._returned: deque[str] = deque()
        self._taken: list[str] = []
        self.first = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        self._taken.append(line)
        return line

    @property
    def taken(self) -> list[str]:
        """Lines of the record at hand."""
        return self._taken

    def begin(self) -> None:
        """A new record begins with the next line."""
        self.first += len(self._taken)
        self._taken.clear()

    def give_back(self, count: int) -> None:
        """The last lines are to be read again."""
        kept = len(self._taken) - count
        self._returned.extendleft(reversed(self._taken[kept:]))
        del self._taken[kept:]

    def give_back_all_but_first(self) -> str:
        """The first line of this record; the others were not its own."""
        self.give_back(len(self._taken) - 1)
        return self._taken[0]


def json_entries(text: str, name: str) -> Iterator[tuple[int, str, object]]:
    """Line, key and value of a large JSON object, one value parsed at a time.

    Raises:
        CorpusError: if the text is no JSON object, or from where it stops being one.
    """
    # Control characters in a text spoil that text, not the whole file.
    decoder = json.JSONDecoder(strict=False)
    position, line = _skip(text, 0, "{", name), 1
    seen = 0
    if text[_blank(text, position) :].startswith("}"):
        return
    while True:
        start = _blank(text, position)
        line += text.count("\n", seen, start)
        seen = start
        try:
            key, position = decoder.raw_decode(text, start)
            position = _blank(text, _skip(text, position, ":", name))
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{name} line {line}: not JSON: {error}") from error
        yield line, str(key), value
        position = _blank(text, position)
        if text[position : position + 1] == "}":
            return
        position = _skip(text, position, ",", name)


def _blank(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position


def _skip(text: str, position: int, mark: str, name: str) -> int:
    position = _blank(text, position)
    if text[position : position + 1] != mark:
        line = text.count("\n", 0, position) + 1
        character = shown(text[position : position + 1])
        message = f"expected {mark!r} in a JSON object, found {character}"
        raise CorpusError(f"{name} line {line}: {message}")
    return position + 1
