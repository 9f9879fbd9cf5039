"""Explained answers and rationales as they stand in tables: Parquet files, or lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from raypipe.errors import ConfigError, ObjectMissingError, ShardError
from raypipe.records import ExplainedAnswer
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes
from raypipe.votes import OTHER

_ANSWER = tuple(field.name for field in fields(ExplainedAnswer))
_RATIONALE = ("utterance_id", "label", "rationale")


@dataclass(frozen=True, slots=True)
class GoldRationale:
    """What a teacher wrote who knew the reference label.

    Attributes:
        label: the reference that it was given.
    """

    utterance_id: str
    label: str
    text: str


def names_an_emotion(answer: ExplainedAnswer) -> bool:
    """Whether an answer has a label, one that is not ``other``."""
    return answer.label is not None and answer.label != OTHER


def read_answers(place: str, endpoint: str | None = None) -> list[ExplainedAnswer]:
    """The answers of a table, in its order; columns beside those of the record are not read.

    Args:
        place: path or ``s3://`` URI of a ``.parquet`` or ``.jsonl`` file, or of a folder of the
            former.
        endpoint: of an S3-compatible server; None for the environment's.

    Raises:
        ConfigError: if there is no such table, a column is missing, a value has the wrong type, or
            an utterance stands there twice.
        StoreError: if the storage refuses.
    """
    answers: dict[str, ExplainedAnswer] = {}
    for where, row in _rows(place, _ANSWER, endpoint):
        answer = ExplainedAnswer(_required(row, "utterance_id", where), **_texts(row, where))
        if answer.utterance_id in answers:
            raise ConfigError(f"{where}: utterance {answer.utterance_id} stands there twice")
        answers[answer.utterance_id] = answer
    if not answers:
        raise ConfigError(f"{place} holds no answer")
    return list(answers.values())


def read_gold_rationales(place: str, endpoint: str | None = None) -> dict[str, GoldRationale]:
    """The rationales of a table, by utterance; rows without one are left out.

    Args:
        place: as for :func:`read_answers`, usually ``rationales_test_ii/`` of a rationale job.
        endpoint: of an S3-compatible server; None for the environment's.

    Raises:
        ConfigError: as for :func:`read_answers`.
        StoreError: if the storage refuses.
    """
    rationales: dict[str, GoldRationale] = {}
    for where, row in _rows(place, _RATIONALE, endpoint):
        utterance_id = _required(row, "utterance_id", where)
        text = _text(row, "rationale", where)
        if text is None:
            continue
        if utterance_id in rationales:
            raise ConfigError(f"{where}: utterance {utterance_id} stands there twice")
        label = _required(row, "label", where)
        rationales[utterance_id] = GoldRationale(utterance_id, label, text)
    return rationales


def _texts(row: Mapping[str, object], where: str) -> dict[str, str | None]:
    return {name: _text(row, name, where) for name in _ANSWER if name != "utterance_id"}


def _required(row: Mapping[str, object], column: str, where: str) -> str:
    text = _text(row, column, where)
    if text is None:
        raise ConfigError(f"{where}: {column} is empty")
    return text


def _text(row: Mapping[str, object], column: str, where: str) -> str | None:
    """A text without outer blanks; None for an empty one."""
    value = row[column]
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{where}: {column} is {type(value).__name__}, not a text: {value!r}")
    return (value or "").strip() or None


def _rows(
    place: str, columns: Sequence[str], endpoint: str | None
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Rows of a table with these columns, each with where it stands."""
    if place.endswith(".jsonl"):
        yield from _json_rows(place, columns, endpoint)
        return
    if place.endswith(".parquet"):
        folder, name = Location.parse_object(place, endpoint)
        names = [name]
    else:
        folder = Location.parse(place, endpoint)
        names = folder.list(".parquet")
        if not names:
            raise ConfigError(f"{place} is neither a .parquet or .jsonl file nor a folder of them")
    for name in names:
        where = f"{folder.uri}/{name}"
        try:
            table = from_parquet_bytes(folder.read(name))
        except (ObjectMissingError, ShardError) as error:
            raise ConfigError(f"{where}: {error}") from error
        _check_columns(table.column_names, columns, where)
        for number, row in enumerate(table.select(list(columns)).to_pylist()):
            yield f"{where} row {number}", row


def _json_rows(
    place: str, columns: Sequence[str], endpoint: str | None
) -> Iterator[tuple[str, Mapping[str, object]]]:
    folder, name = Location.parse_object(place, endpoint)
    try:
        text = folder.read(name).decode("utf-8")
    except (ObjectMissingError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{place} line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{where}: is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: holds {type(row).__name__}, not keys and values")
        _check_columns(list(row), columns, where)
        yield where, row


def _check_columns(given: Sequence[str], columns: Sequence[str], where: str) -> None:
    missing = [column for column in columns if column not in given]
    if missing:
        raise ConfigError(f"{where}: no column {', '.join(missing)}")
