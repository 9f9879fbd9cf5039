"""Finding which of many utterances make a call fail, with few calls that fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from raypipe.errors import CallError

_SMALL = 4
"""Utterances that are not worth being asked about in parts before each is asked about alone."""

SMALLEST_SHARE = 1 / 8
"""Of the time of a whole call, what one about few of its items gets at least."""

ItemT = TypeVar("ItemT")
ReplyT = TypeVar("ReplyT")


def narrowed(
    items: Sequence[ItemT],
    ask: Callable[[Sequence[ItemT], float], Sequence[ReplyT]],
    failed: Callable[[ItemT, CallError], Sequence[ReplyT]],
) -> list[ReplyT]:
    """Replies about some items; about one that makes its call fail alone, why.

    What fails is asked again in parts of the square root of its size, and a part that fails item by
    item. Of ``n`` items of which one makes every call with it fail, three calls fail, and all calls
    together are about ``2 n + sqrt(n)`` items: where a failed call costs a process with a model in
    it, that is less than halving, with ``log2(n) + 1`` failed calls. What fails once and not again
    leaves no trace; replies are never asked for twice.

    Args:
        items: in the order of the replies.
        ask: replies about some of them, given them and their share of the time of a whole call, an
            eighth at least; raises CallError.
        failed: what stands in the place of an item's replies.

    Example:
        >>> def ask(numbers, share):
        ...     print(numbers, f"{share:g}")
        ...     if 6 in numbers:
        ...         raise CallError("six", "six is there")
        ...     return numbers
        >>> narrowed([1, 2, 3, 4, 5, 6, 7, 8], ask, lambda number, error: [error.code])
        [1, 2, 3, 4, 5, 6, 7, 8] 1
        [1, 2, 3] 0.375
        [4, 5, 6] 0.375
        [4] 0.125
        [5] 0.125
        [6] 0.125
        [7, 8] 0.25
        [1, 2, 3, 4, 5, 'six', 7, 8]
    """
    try:
        return list(ask(items, 1.0))
    except CallError as error:
        if len(items) == 1:
            return list(failed(items[0], error))
    size = 1 if len(items) <= _SMALL else math.ceil(math.sqrt(len(items)))
    return list(_in_parts(items, size, len(items), ask, failed))


def _in_parts(
    items: Sequence[ItemT],
    size: int,
    whole: int,
    ask: Callable[[Sequence[ItemT], float], Sequence[ReplyT]],
    failed: Callable[[ItemT, CallError], Sequence[ReplyT]],
) -> Iterator[ReplyT]:
    """Replies about items that cannot be asked about together."""
    is_found = False
    for start in range(0, len(items), size):
        part = items[start : start + size]
        is_last = start + size >= len(items)
        try:
            # All others are not to blame: another failed call would only say so again.
            replies = (
                None
                if is_last and not is_found and len(part) > 1
                else ask(part, max(len(part) / whole, SMALLEST_SHARE))
            )
        except CallError as error:
            is_found = True
            replies = failed(part[0], error) if len(part) == 1 else None
        yield from _in_parts(part, 1, whole, ask, failed) if replies is None else replies
