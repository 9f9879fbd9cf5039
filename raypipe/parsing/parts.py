"""What each part of a text was taken for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextPart:
    """A stretch of an answer and what it was taken for.

    Attributes:
        start: of the stretch in the text.
        end: of the stretch in the text.
        taken_for: ``label``, ``share``, ``thinking``, ``not read``, ...
    """

    start: int
    end: int
    taken_for: str


def in_order(parts: Iterable[TextPart], start: int, end: int) -> Iterator[TextPart]:
    """Parts without overlaps, in order; what no part covers is ``not read``."""
    position = start
    for part in sorted(parts, key=lambda part: (part.start, -part.end)):
        if part.start < position or part.end <= part.start:
            continue
        if part.start > position:
            yield TextPart(position, part.start, "not read")
        yield part
        position = part.end
    if position < end:
        yield TextPart(position, end, "not read")
