"""Records that travel between processes by the thousand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from typing import TypeVar

_Record = TypeVar("_Record")


def quickly_pickled(record: type[_Record]) -> type[_Record]:
    """Class decorator of a frozen dataclass with slots: pickled in less than half of the time.

    Python's own way asks for the fields of the class anew for every object.

    Args:
        record: with two fields or more, none of them inherited.
    """
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]
    values = attrgetter(*names)
    # A frozen record refuses assignments; its slots themselves do not.
    slots = [record.__dict__[name].__set__ for name in names]

    def getstate(self: _Record) -> tuple[object, ...]:
        state: tuple[object, ...] = values(self)
        return state

    def setstate(self: _Record, state: Iterable[object]) -> None:
        for put, value in zip(slots, state, strict=True):
            put(self, value)

    record.__getstate__ = getstate  # type: ignore[assignment]
    record.__setstate__ = setstate  # type: ignore[attr-defined]
    return record
