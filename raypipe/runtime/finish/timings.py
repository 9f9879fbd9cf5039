"""How long a run's questions took: kept beside the tables, as it differs every time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Final, Self

from raypipe.errors import StoreError
from raypipe.runtime.finish.partition import model_folder
from raypipe.store.location import Location
from raypipe.store.run_record import QuestionTime
from raypipe.store.sealed_json import opened_json, sealed_json

TIMINGS: Final = "timings"
"""Folder of a run's output with the times of every model's questions."""

_KEPT: Final = "timings.json"
_KEEP_EVERY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall time of the engine for one kind of question.

    Attributes:
        question: name of the call, or ``verify``.
        asked: number of inputs that were answered.
        seconds: of the engine.
    """

    question: str
    asked: int
    seconds: float

    def merge(self, other: Timing) -> Timing:
        """Both as one, of the same question."""
        return Timing(self.question, self.asked + other.asked, self.seconds + other.seconds)


class KeptTimings:
    """Times of one model's questions, written down as shards are done.

    There is one file per model, which says what all attempts took. It is written every half minute
    and at the end: of an attempt that is killed, the last half minute may be missing.

    Args:
        tables: the run's output.
        model: name of the model in the tables.
        clock: seconds.
    """

    def __init__(
        self, tables: Location, model: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place, self._clock = tables.child(TIMINGS, model_folder(model)), clock
        self._due = clock()
        self._known: dict[str, Timing] = {}

    def __enter__(self) -> Self:
        if self._place.exists(_KEPT):
            self._add(_read(self._place, _KEPT))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._write(self._place)
            return
        with suppress(StoreError):  # what is raised is why the stream ended
            self._write(replace(self._place, patience_s=0.0))

    def add(self, timings: Iterable[Timing]) -> None:
        """Count what one shard took."""
        self._add(timings)
        if self._clock() >= self._due:
            self._write(self._place)
            self._due = self._clock() + _KEEP_EVERY_S

    def _add(self, timings: Iterable[Timing]) -> None:
        _add_up(timings, self._known)

    def _write(self, place: Location) -> None:
        rows = [asdict(timing) for timing in self._known.values()]
        place.write(_KEPT, sealed_json({"questions": rows}))


def _add_up(timings: Iterable[Timing], known: dict[str, Timing]) -> None:
    """Add times to those that are known, by question."""
    for timing in timings:
        before = known.get(timing.question)
        known[timing.question] = timing if before is None else before.merge(timing)


def _read(place: Location, name: str) -> list[Timing]:
    document = opened_json(place.read(name), f"{place.uri}/{name}")
    # Earlier versions wrote nothing but the rows.
    rows: list[dict[str, str | int | float]] = (
        document["questions"] if isinstance(document, dict) else document
    )
    return [Timing(str(row["question"]), int(row["asked"]), float(row["seconds"])) for row in rows]


def read_timings(tables: Location, models: Sequence[str]) -> list[QuestionTime]:
    """Times of every model's questions, earlier attempts included.

    Runs that earlier versions began have a file per shard besides.
    """
    times = []
    for model in models:
        asked: dict[str, Timing] = {}
        place = tables.child(TIMINGS, model_folder(model))
        for name in place.list(".json"):
            _add_up(_read(place, name), asked)
        times += [
            QuestionTime(
                model=model,
                question=timing.question,
                asked=timing.asked,
                seconds=round(timing.seconds, 3),
            )
            for timing in asked.values()
        ]
    return times
