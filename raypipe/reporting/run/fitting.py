"""Which series a figure has room for; those that would cover another one are named instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from raypipe.reporting.text import count, listing

_Series = TypeVar("_Series")

MOST_NAMED: Final = 12
"""Left-out series that a caption names; of more it gives the number."""


def fitting(
    ranked: Sequence[_Series], covers: Callable[[_Series, Sequence[_Series]], bool], most: int
) -> list[_Series]:
    """The series that are drawn, in the order given.

    Args:
        ranked: the most important first, which is always drawn.
        covers: whether a series cannot be told from one of those that are drawn already.
        most: how many there is room for.

    Example:
        >>> fitting([1.0, 1.1, 5.0], lambda new, old: min(abs(new - x) for x in old) < 0.5, 7)
        [1.0, 5.0]
    """
    drawn: list[_Series] = []
    for series in ranked:
        if len(drawn) < most and not (drawn and covers(series, drawn)):
            drawn.append(series)
    return drawn


def by_strategy(names: Sequence[str]) -> list[int]:
    """Places of names such that every strategy comes once before any comes twice.

    Args:
        names: of strategies with the settings of a sweep in brackets, the most important first.

    Example:
        >>> by_strategy(["w_bon[tau=1]", "w_bon[tau=2]", "token"])
        [0, 2, 1]
    """
    seen: Counter[str] = Counter()
    turns = []
    for place, name in enumerate(names):
        rule = name.partition("[")[0]
        turns.append((seen[rule], place))
        seen[rule] += 1
    return [place for _, place in sorted(turns)]


def left_out_in_words(names: Sequence[str]) -> str:
    """The sentence of a caption about series that are not drawn; empty for none.

    Example:
        >>> left_out_in_words(["bon", "w_bon"])
        'Not drawn, for want of room: bon and w_bon.'
    """
    if not names:
        return ""
    shown = list(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        shown.append(f"{count(len(names) - MOST_NAMED)} more, which are in the metrics table")
    return f"Not drawn, for want of room: {listing(shown)}."
