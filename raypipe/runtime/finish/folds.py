"""Many parts made and merged to one; :mod:`raypipe.runtime.finish.fold_tasks` does it on Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Protocol, TypeVar

ItemT = TypeVar("ItemT")
SharedT = TypeVar("SharedT")
PartT = TypeVar("PartT")
FoldedT = TypeVar("FoldedT")


class Folding(Protocol):
    """Makes a part of every item, merges the parts in the items' order, and ends with the whole."""

    def __call__(
        self,
        items: Sequence[ItemT],
        make: Callable[[ItemT, SharedT], PartT],
        merge: Callable[[PartT, PartT], PartT],
        finish: Callable[[PartT], FoldedT],
        shared: SharedT,
    ) -> FoldedT:
        """What ``finish`` makes of all parts.

        Args:
            items: at least one.
            make: a part of one item.
            merge: two parts as one; changes neither.
            finish: the result, of all parts together.
            shared: the same for all calls of ``make``.
        """
        ...


def fold_here(
    items: Sequence[ItemT],
    make: Callable[[ItemT, SharedT], PartT],
    merge: Callable[[PartT, PartT], PartT],
    finish: Callable[[PartT], FoldedT],
    shared: SharedT,
) -> FoldedT:
    """A :class:`Folding` in this process, with two parts in memory at a time."""
    return finish(reduce(merge, (make(item, shared) for item in items)))
