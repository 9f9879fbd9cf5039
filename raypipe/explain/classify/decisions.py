"""Decisions that are stored, reviewed by people and obeyed: extractions and groups.

Both are tables of a key and a value: the words of an answer and the emotion that they name, that
emotion and its label. Each row says what decided it. A person corrects the CSV file and runs the
same command again: a value that is not the one that was written counts as the person's.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from raypipe.errors import ConfigError

PERSON = "person"
"""What decided a row that a person changed."""

NOTHING = "none"
"""What decided a row for which nothing was found."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One row.

    Attributes:
        key: what was decided about.
        value: what it was decided to be; empty for none.
        decided_by: ``letter``, ``parser``, ``word_map``, ``label_set``, ``model <name>``,
            ``person``, or ``none``.
        count: answers that it decides.
    """

    key: str
    value: str
    decided_by: str
    count: int = 0


def to_csv(decisions: Iterable[Decision], key: str, value: str) -> str:
    """The reviewable file, the most frequent rows first.

    Args:
        decisions: rows with distinct keys.
        key: name of the first column.
        value: name of the second.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([key, value, "decided_by", "count"])
    for row in sorted(decisions, key=lambda row: (-row.count, row.key)):
        writer.writerow([row.key, row.value, row.decided_by, row.count])
    return buffer.getvalue()


def from_csv(
    text: str, key: str, value: str, name: str, *, allowed: Collection[str] | None = None
) -> dict[str, Decision]:
    """The rows of a file, by key.

    Args:
        text: of the file.
        key: name of the first column.
        value: name of the second.
        name: of the file, for messages.
        allowed: values that there may be; None for any.

    Raises:
        ConfigError: for a wrong header, a repeated key or a value that is not allowed.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    header = next(reader, [])
    if header[:2] != [key, value]:
        raise ConfigError(f"{name}: the first line must be {key},{value},decided_by,count")
    rows: dict[str, Decision] = {}
    for cells in reader:
        line = reader.line_num
        if not cells:
            continue
        if len(cells) < 2:
            raise ConfigError(f"{name}, line {line}: {value} is missing")
        if cells[0] in rows:
            raise ConfigError(f"{name}, line {line}: {key} {cells[0][:80]!r} stands there twice")
        if allowed is not None and cells[1] not in allowed:
            raise ConfigError(
                f"{name}, line {line}: {value} {cells[1][:80]!r} is none of {', '.join(allowed)}"
            )
        decided_by = cells[2] if len(cells) > 2 and cells[2] else PERSON
        rows[cells[0]] = Decision(cells[0], cells[1], decided_by)
    return rows


def reviewed(
    written: Mapping[str, Decision], edited: Mapping[str, Decision]
) -> dict[str, Decision]:
    """Decisions of an edited file; those that differ from what was written are the person's.

    Args:
        written: as the job wrote them last, by key.
        edited: as they stand in the file now, by key.
    """
    return {
        key: row
        if key in written and written[key].value == row.value
        else replace(row, decided_by=PERSON)
        for key, row in edited.items()
    }
