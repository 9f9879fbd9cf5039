"""Which series a figure has room for; those that would cover another one are named instead."""

from __future__ import annotations

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


def left_out_in_words(names: Sequence[str]) -> str:
    """The sentence of a caption about series that are not drawn; empty for none.

    Example:
        >>> left_out_in_words(["bon", "w_bon"])
        'Not drawn, as they would cover other series: bon and w_bon.'
    """
    if not names:
        return ""
    shown = list(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        shown.append(f"{count(len(names) - MOST_NAMED)} more, which are in the metrics table")
    pronoun = "it" if len(names) == 1 else "they"
    return f"Not drawn, as {pronoun} would cover other series: {listing(shown)}."
