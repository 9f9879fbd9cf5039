"""Files of raters' answers, checked against the key and read as judgements."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from raypipe.errors import ConfigError
from raypipe.explain.sheets.key import KeyItem, StudyKey
from raypipe.store.strict import table_from_rows

Choice = Literal["accept", "reject", "A", "B"]

_SHOWN = 8


class RaterAnswers(BaseModel):
    """The file that a sheet hands out.

    Attributes:
        study: id of the study.
        rater: counted from 1.
        answers: by item.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["raypipe-sheet-answers"]
    version: Literal[1]
    study: str
    rater: int
    answers: dict[str, Choice]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One rater's answer about one item.

    Attributes:
        value: in Test I whether label and reason were accepted; in Test II whether the model's own
            reason was preferred to the one written for the reference.
    """

    rater: int
    item: KeyItem
    choice: Choice
    value: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """The judgements of a study.

    Attributes:
        open_items: by rater, items without an answer.
        absent: raters of whom there is no file.
    """

    judgements: tuple[Judgement, ...]
    open_items: dict[int, tuple[str, ...]]
    absent: tuple[int, ...]


def read_judgements(paths: Sequence[Path], key: StudyKey, *, allow_open: bool = False) -> Collected:
    """The judgements in files of answers.

    Args:
        paths: of the files, in any order.
        key: of the study.
        allow_open: take files in which items have no answer.

    Raises:
        ConfigError: with every fault of every file: no answers, another study's, a rater who is
            not of the study or has two files, an item of another sheet or without an answer.
    """
    faults: list[str] = []
    by_rater: dict[int, tuple[Path, RaterAnswers]] = {}
    for path in paths:
        read = _read(path, key)
        if isinstance(read, str):
            faults.append(f"{path}: {read}")
        elif read.rater in by_rater:
            first = by_rater[read.rater][0]
            same = "the same" if _digest(first) == _digest(path) else "other"
            faults.append(f"{path}: rater {read.rater} has {same} answers in {first}; give one")
        else:
            by_rater[read.rater] = path, read
    open_items: dict[int, tuple[str, ...]] = {}
    for rater, (path, read) in sorted(by_rater.items()):
        missing = [item.item for item in key.items if item.item not in read.answers]
        if missing:
            open_items[rater] = tuple(missing)
            if not allow_open:
                faults.append(f"{path}: rater {rater} has no answer for {_listed(missing)}")
    if not paths:
        faults.append("no file of answers was given")
    if faults:
        raise ConfigError("\n".join(faults))
    judgements = [
        _judgement(rater, item, by_rater[rater][1].answers[item.item], key)
        for rater in sorted(by_rater)
        for item in key.items
        if item.item in by_rater[rater][1].answers
    ]
    absent = tuple(rater for rater in range(1, key.raters + 1) if rater not in by_rater)
    return Collected(tuple(judgements), open_items, absent)


def _read(path: Path, key: StudyKey) -> RaterAnswers | str:
    """The answers in a file, or what is wrong with it."""
    try:
        answers = RaterAnswers.model_validate_json(path.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return f"is no file of a sheet's answers: {field} {first['msg']}".replace("\n", " ")
    if answers.study != key.study:
        return f"is of study {answers.study}, the key is of {key.study}"
    if not 1 <= answers.rater <= key.raters:
        return f"is of rater {answers.rater}, the study has raters 1 to {key.raters}"
    tests = {item.item: item.test for item in key.items}
    unknown = [item for item in answers.answers if item not in tests]
    if unknown:
        return f"has items that are not of the study: {_listed(unknown)}"
    choices = {"I": ("accept", "reject"), "II": ("A", "B")}
    wrong = [item for item, choice in answers.answers.items() if choice not in choices[tests[item]]]
    if wrong:
        return f"has answers of the other test: {_listed(wrong)}"
    return answers


def _digest(path: Path) -> str:
    return hashlib.sha256(re.sub(rb"\s", b"", path.read_bytes())).hexdigest()


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def _judgement(rater: int, item: KeyItem, choice: Choice, key: StudyKey) -> Judgement:
    if item.test == "I":
        return Judgement(rater, item, choice, choice == "accept")
    return Judgement(rater, item, choice, choice == key.predicted_sides[rater][item.item])


JUDGEMENTS_SCHEMA = pa.schema(
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("rater", pa.int32(), nullable=False),
        pa.field("test", pa.string(), nullable=False),  # I or II
        pa.field("item", pa.string(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        ("speaker", pa.string()),
        pa.field("label", pa.string(), nullable=False),  # predicted
        pa.field("reference", pa.string(), nullable=False),
        pa.field("is_match", pa.bool_(), nullable=False),
        pa.field("choice", pa.string(), nullable=False),  # accept, reject, A or B
        pa.field("accepted", pa.bool_()),  # Test I; null in Test II
        pa.field("predicted_preferred", pa.bool_()),  # Test II; null in Test I
    ]
)
"""One row for every answer of every rater."""


def judgements_table(judgements: Iterable[Judgement], study: str) -> pa.Table:
    """Judgements as rows of :data:`JUDGEMENTS_SCHEMA`."""
    rows = [
        {
            "study": study,
            "rater": judgement.rater,
            "test": judgement.item.test,
            "item": judgement.item.item,
            "utterance_id": judgement.item.utterance_id,
            "speaker": judgement.item.speaker,
            "label": judgement.item.label,
            "reference": judgement.item.reference,
            "is_match": judgement.item.is_match,
            "choice": judgement.choice,
            "accepted": judgement.value if judgement.item.test == "I" else None,
            "predicted_preferred": judgement.value if judgement.item.test == "II" else None,
        }
        for judgement in judgements
    ]
    return table_from_rows(rows, JUDGEMENTS_SCHEMA)
