"""Names of fields in users' own data, and values that stand for none or for a whole number."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Container, Iterable, Mapping, Sequence


def is_missing(value: object) -> bool:
    """Whether a value stands for none: null, or NaN, which pandas writes instead."""
    return value is None or (isinstance(value, float) and math.isnan(value))


_MISSING_TEXTS = frozenset(
    {"", "nan", "NaN", "-nan", "-NaN", "NaT", "None", "null", "NULL", "<NA>", "N/A", "n/a"}
)


def is_missing_text(text: str) -> bool:
    """Whether a cell of a table is blank, or what pandas writes where there is nothing.

    ``NA`` is not among them: it may be a speaker's initials.
    """
    return text.strip() in _MISSING_TEXTS


def whole_number(value: object) -> int | None:
    """A value that is a whole number, also as pandas writes it (2.0); None for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return None
    return int(value)


def without_missing(cells: Mapping[str, str]) -> dict[str, str]:
    """Cells of a table as pandas writes it, without those that stand for none.

    Whole numbers in a column with a gap are written as 1.0: in columns of ids and names they lose
    the point. ``None`` in a column of votes may be a label, which is for the label set to tell.
    """
    return {
        name: _without_point(cell) if name in _NAMING else cell
        for name, cell in cells.items()
        if not is_missing_text(cell) or (cell.strip() == "None" and name in VOTE_COLUMNS)
    }


def _without_point(cell: str) -> str:
    match = _WHOLE.fullmatch(cell.strip())
    return match[1] if match else cell


def path_id(path: str) -> str:
    """The id of a clip that has no other: its path without its ending.

    The folders belong to it: ``spk1/001.wav`` and ``spk2/001.wav`` are two utterances.

    Example:
        >>> path_id("spk1/001.wav"), path_id("/data/wavs/./u.1.flac"), path_id("s3://b/spk1/001.wav")
        ('spk1/001', 'data/wavs/u.1', 'b/spk1/001')
    """
    return posixpath.splitext(whole_path(path))[0]


def whole_path(path: str) -> str:
    """A path or URI as ids have it: without what it is relative to, and with its ending."""
    _, _, below = path.strip().rpartition("://")
    return posixpath.normpath(below).lstrip("/")


ID_COLUMNS = ("id", "utterance_id")
"""Columns of a table with ids, the usual one first."""

AUDIO_COLUMNS = (*("audio", "audio_path", "path", "file", "filename", "file_name", "wav", "clip"),)
"""Columns of a table with paths of clips, the usual one first."""

ANNOTATOR_COLUMNS = (
    *("annotator", "annotator_id", "rater", "rater_id", "worker", "worker_id"),
    *("evaluator", "listener", "participant"),
)
"""Columns of a table that say whose vote a row is, the usual one first."""

USUAL_NAMES: Mapping[str, str] = {
    "spk": "speaker",
    "speaker_id": "speaker",
    "text": "transcript",
    "transcription": "transcript",
    "sentence": "transcript",
    "label": "votes",
    "emotion": "votes",
    "emo": "votes",
    "labels": "votes",
}
"""Other names of fields in data that was not written for raypipe; the first there is counts."""

VOTE_COLUMNS = ("votes", *(other for other, name in USUAL_NAMES.items() if name == "votes"))
"""Columns of votes, in the order in which they are looked for."""

_WHOLE = re.compile(r"(-?\d+)\.0")
_NAMING = frozenset({*ID_COLUMNS, *ANNOTATOR_COLUMNS, "speaker", "spk", "speaker_id"})

_READ_FIELDS = frozenset(
    {
        *("id", "utterance_id", "audio", "votes", "soft_label", "transcript", "speaker", "split"),
        *("dataset", "context", "arousal", "valence", "dominance", "channel", "channel_selector"),
        *("audio_filepath", "offset", "duration", "command", "key", "wav", "file_name", "shard_id"),
        *("recording", "supervisions", "custom", "start", "type", "recording_id"),
        *("segment", "exact_id", "typed"),
        *(*USUAL_NAMES, *AUDIO_COLUMNS, *ANNOTATOR_COLUMNS),
    }
)


def unused_names(rows: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Names of the fields in rows that nothing is read from, in their order.

    Labels that are numbers without words are among them.
    """
    names = dict.fromkeys(
        name
        for row in rows
        for name, value in row.items()
        if name not in _READ_FIELDS or (name in VOTE_COLUMNS[1:] and is_bare_number(value))
    )
    return tuple(names)


def repeated_column(header: Sequence[str]) -> str | None:
    """A column that is read and stands in a header twice; None if there is none."""
    return next((name for name in header if name in _READ_FIELDS and header.count(name) > 1), None)


def label_field(fields: Mapping[str, object], worded: Container[str] = ()) -> str | None:
    """Name of the field that holds the votes, under its own or a usual other name.

    Args:
        fields: of a line.
        worded: names of the fields whose numbers have words; of others words go before numbers.
    """
    names = [name for name in VOTE_COLUMNS if _says_something(fields.get(name))]
    in_words = (name for name in names if name in worded or not is_bare_number(fields[name]))
    return next(in_words, names[0] if names else None)


def is_bare_number(value: object) -> bool:
    """Whether a value is a whole number, or a list of them, also as a text of digits."""
    if isinstance(value, list):
        return bool(value) and all(map(is_bare_number, value))
    if isinstance(value, str):
        return value.strip().lstrip("-").removesuffix(".0").isdecimal()
    return whole_number(value) is not None


def _says_something(value: object) -> bool:
    if isinstance(value, str):
        return not is_missing_text(value) or value.strip() == "None"
    return not is_missing(value)


def with_usual_names(fields: Mapping[str, object]) -> dict[str, object]:
    """Fields under raypipe's names; one that is there already is not overruled."""
    named = {name: value for name, value in fields.items() if not is_missing(value)}
    for other, name in USUAL_NAMES.items():
        if other in named and name not in named:
            named[name] = named[other]
    return named
