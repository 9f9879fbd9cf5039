"""Solved examples that a few-shot prompt shows: a JSONL file, checked whole before work starts.

One line is one example:

===============  ==================================================================================
``answer``       the distribution to show, ``{"anger": 0.7, "neutral": 0.3}``: shares or numbers of
                 votes, labels or other words for them; a label that is not there has 0
``transcript``   what was said
``context``      previous turns, oldest first: a list of texts
``audio``        a clip, as a path relative to the file: it is measured
``descriptors``  instead: its measurements, by the names of :class:`raypipe.records.Descriptors`
===============  ==================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raypipe.config import checked
from raypipe.errors import ConfigError, DecodeError
from raypipe.labels import LabelSet
from raypipe.records import Descriptors

Measure = Callable[[bytes], Descriptors]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Level = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Example:
    """A solved example.

    Attributes:
        context: previous turns, oldest first.
        answer: the shares of all labels, in their order, summing to 1.
    """

    transcript: str | None
    context: tuple[str, ...]
    descriptors: Descriptors | None
    answer: tuple[tuple[str, float], ...]

    @property
    def answer_text(self) -> str:
        """The answer as a model is asked to write it."""
        return json.dumps({label: round(share, 3) for label, share in self.answer})


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Measured(_Section):
    duration_s: Amount
    speech_s: Amount
    pitch_mean_hz: Amount | None = None
    pitch_low_hz: Amount | None = None
    pitch_high_hz: Amount | None = None
    level_mean_db: Level | None = None
    level_range_db: Amount | None = None
    syllables_per_s: Amount | None = None
    pause_count: Annotated[int, Field(ge=0)] = 0
    pause_s: Amount = 0.0

    @model_validator(mode="after")
    def _pitch_is_whole(self) -> Self:
        pitch = (self.pitch_low_hz, self.pitch_mean_hz, self.pitch_high_hz)
        given = [value for value in pitch if value is not None]
        if len(given) not in (0, 3) or given != sorted(given):
            raise ValueError("pitch_low_hz, pitch_mean_hz and pitch_high_hz rise, or none is given")
        return self


class _Line(_Section):
    answer: dict[str, Share]
    transcript: str | None = None
    context: tuple[str, ...] = ()
    audio: str | None = None
    descriptors: _Measured | None = None

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if self.audio is not None and self.descriptors is not None:
            raise ValueError("give audio or descriptors, not both")
        if self.transcript is None and self.audio is None and self.descriptors is None:
            raise ValueError("an example needs a transcript, audio or descriptors")
        return self


def read_examples(path: str | Path, labels: LabelSet, measure: Measure) -> tuple[Example, ...]:
    """Read a file of examples.

    Args:
        path: of the JSONL file.
        labels: what an answer gives shares of.
        measure: of an encoded clip; may raise DecodeError.

    Raises:
        ConfigError: naming file, line, field and value, if the file cannot be read, holds no
            example, or any line cannot be used.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {error}") from error
    examples = tuple(_examples(text, Path(path), labels, measure))
    if not examples:
        raise ConfigError(f"{path}: holds no example")
    return examples


def _examples(text: str, path: Path, labels: LabelSet, measure: Measure) -> Iterator[Example]:
    for number, written in enumerate(text.split("\n"), start=1):
        if written.strip():
            where = f"{path} line {number}"
            line = _parsed(written, where)
            yield Example(
                line.transcript,
                line.context,
                _descriptors(line, path.parent, where, measure),
                _answer(line.answer, labels, where),
            )


def _parsed(written: str, where: str) -> _Line:
    try:
        document = json.loads(written)
    except ValueError as error:
        raise ConfigError(f"{where}: is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: holds {type(document).__name__}, not keys and values")
    return checked(_Line, document, where)


def _descriptors(line: _Line, folder: Path, where: str, measure: Measure) -> Descriptors | None:
    if line.descriptors is not None:
        return Descriptors(**line.descriptors.model_dump())
    if line.audio is None:
        return None
    try:
        return measure((folder / line.audio).read_bytes())
    except OSError as error:
        raise ConfigError(f"{where}: audio: {line.audio!r}: {error.strerror}") from error
    except DecodeError as error:
        raise ConfigError(f"{where}: audio: {line.audio!r}: {error}") from error


def _answer(given: dict[str, float], labels: LabelSet, where: str) -> tuple[tuple[str, float], ...]:
    shares = dict.fromkeys(labels.names, 0.0)
    words: dict[str, str] = {}
    for word, share in given.items():
        index = labels.index(word)
        if index is None:
            known = ", ".join(labels.names)
            raise ConfigError(f"{where}: answer: {word!r} is none of {known}")
        name = labels.names[index]
        if name in words:
            raise ConfigError(f"{where}: answer: {words[name]!r} and {word!r} are one label")
        words[name], shares[name] = word, share
    total = sum(shares.values())
    if total == 0:
        raise ConfigError(f"{where}: answer: no label has a share, got {given!r}")
    return tuple((name, share / total) for name, share in shares.items())
