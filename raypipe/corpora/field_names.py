"""Names of fields in users' own data, and values that stand for none or for a whole number."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable, Mapping


def is_missing(value: object) -> bool:
    """Whether a value stands for none: null, or NaN, which pandas writes instead."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def whole_number(value: object) -> int | None:
    """A value that is a whole number, also as pandas writes it (2.0); None for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return None
    return int(value)


def path_id(path: str) -> str:
    """The id of a clip that has no other: its path without its ending.

    The folders belong to it: ``spk1/001.wav`` and ``spk2/001.wav`` are two utterances.

    Example:
        >>> path_id("spk1/001.wav"), path_id("/data/wavs/./u.1.flac"), path_id("s3://b/spk1/001.wav")
        ('spk1/001', 'data/wavs/u.1', 'b/spk1/001')
    """
    _, _, below = path.strip().rpartition("://")
    return posixpath.splitext(posixpath.normpath(below))[0].lstrip("/")


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
    """Names of the fields in rows that no reader looks at, in their order."""
    names = dict.fromkeys(name for row in rows for name in row if name not in _READ_FIELDS)
    return tuple(names)


def label_field(fields: Mapping[str, object]) -> str | None:
    """Name of the field that holds the votes, under its own or a usual other name."""
    names = ("votes", *(other for other, name in USUAL_NAMES.items() if name == "votes"))
    return next((name for name in names if not is_missing(fields.get(name))), None)


def with_usual_names(fields: Mapping[str, object]) -> dict[str, object]:
    """Fields under raypipe's names; one that is there already is not overruled."""
    named = {name: value for name, value in fields.items() if not is_missing(value)}
    for other, name in USUAL_NAMES.items():
        if other in named and name not in named:
            named[name] = named[other]
    return named
