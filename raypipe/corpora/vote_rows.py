"""Tables of users' own data: names of their columns, and rows that are one vote each.

Annotation tools write ``file,annotator,emotion``: as many rows for a clip as there are votes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from raypipe.corpora.bad_line import line_fault
from raypipe.corpora.dialects import EXACT_ID, with_labels
from raypipe.corpora.field_names import (
    ANNOTATOR_COLUMNS,
    AUDIO_COLUMNS,
    ID_COLUMNS,
    label_field,
    path_id,
    without_missing,
)
from raypipe.corpora.fields import BadLineError, shown

Fields = Mapping[str, object]
Record = tuple[int, Fields | BadLineError]
Cell = TypeVar("Cell", bound=object)

_OF_A_VOTE = ("typed", "arousal", "valence", "dominance")
"""Columns that belong to the vote, beside its labels."""


def table_records(
    header: Sequence[str], rows: Iterable[tuple[int, Mapping[str, str] | BadLineError]]
) -> Iterator[Record]:
    """Utterances of a table, with the line that each begins in.

    Without a column for ids the path of a clip is its id. With one for annotators and one for
    labels, rows of one clip are one utterance: all are read before the first is given.

    Args:
        header: its columns.
        rows: number of each line and its cells that are not blank.
    """
    has_ids = any(name in header for name in ID_COLUMNS)
    named = _each(lambda row: _named(row, has_ids=has_ids), rows)
    annotator = next((name for name in ANNOTATOR_COLUMNS if name in header), None)
    if annotator is None or label_field(dict.fromkeys(header, "any")) is None:
        return _each(with_labels, named)
    return _by_clip(named, annotator)


def _each(
    name: Callable[[Mapping[str, Cell]], Fields],
    rows: Iterable[tuple[int, Mapping[str, Cell] | BadLineError]],
) -> Iterator[Record]:
    """What a function makes of every row; one that it fails for is a fault in its place."""
    for line, row in rows:
        try:
            record: Fields | BadLineError = row if isinstance(row, BadLineError) else name(row)
        except Exception as error:
            record = line_fault(error)
        yield line, record


def _named(row: Mapping[str, str], *, has_ids: bool) -> Fields:
    """A row whose path is in ``audio``, and its id where the table has none."""
    cells = without_missing(row)
    audio = next((cells[name] for name in AUDIO_COLUMNS if name in cells), None)
    fields: dict[str, object] = {**cells, **({} if audio is None else {"audio": audio})}
    if not has_ids and audio is not None:
        fields |= {"id": path_id(audio), EXACT_ID: path_id(audio)}
    return fields


@dataclass
class _Clip:
    """An utterance while its votes are gathered, by annotator."""

    line: int
    fields: dict[str, object]
    votes: dict[str, dict[str, object]] = field(default_factory=dict)
    fault: BadLineError | None = None

    def add(self, line: int, row: Fields, annotator: str, label: str | None) -> None:
        """One more row."""
        words = [] if label is None else [word.strip() for word in str(row[label]).split("|")]
        told = {name: row[name] for name in _OF_A_VOTE if name in row}
        if words or told:  # a blank row is no vote
            who = str(row.get(annotator, self._unnamed()))
            vote = self.votes.setdefault(who, {"annotator": who, "labels": []})
            labels = vote["labels"]
            assert isinstance(labels, list)
            labels += [word for word in words if word and word not in labels]
            vote.update(told)
        for name, value in row.items():
            if name in (annotator, label, *_OF_A_VOTE):
                continue
            if self.fields.setdefault(name, value) != value and self.fault is None:
                self.fault = BadLineError(
                    "conflicting_rows",
                    f"{name} is {shown(value)} in line {line}, and {shown(self.fields[name])} in "
                    "an earlier one about the same clip",
                )

    def _unnamed(self) -> str:
        """Name for an annotator who has none, and which no other has so far."""
        number = len(self.votes) + 1
        while str(number) in self.votes:
            number += 1
        return str(number)

    def record(self) -> Record:
        """The utterance, or why its rows are none."""
        if self.fault is not None:
            self.fault.utterance_id = str(self.fields.get("id", "")) or None
            return self.line, self.fault
        return self.line, {**self.fields, "votes": [*self.votes.values()]}


def _by_clip(rows: Iterable[tuple[int, Fields | BadLineError]], annotator: str) -> Iterator[Record]:
    """One record of all rows of a clip, in the place of its first."""
    clips: dict[object, _Clip] = {}
    others: list[Record] = []
    for line, row in rows:
        key = None
        if not isinstance(row, BadLineError):
            key = next((row[name] for name in (*ID_COLUMNS, "audio") if name in row), None)
        if isinstance(row, BadLineError) or key is None:
            others.append((line, row))
            continue
        clip = clips.setdefault(key, _Clip(line, {}))
        clip.add(line, row, annotator, label_field(row))
    records = [*(clip.record() for clip in clips.values()), *others]
    yield from sorted(records, key=lambda record: record[0])
