"""Items of an iterator that runs in a process of its own, which it may end.

Native code follows the offsets of a damaged file to anywhere, and what is packed well can fill the
memory. A process waits for the next iterator when one is done, so that most start none.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from raypipe.errors import ProcessEndedError, RaypipeError
from raypipe.isolation.child_process import ChildProcess

Item = TypeVar("Item")

_SLICE_S = 0.5
_SLICE_WEIGHT = 8_000_000
_idle: list[ChildProcess] = []


class IterationHost(Generic[Item]):
    """Holds an iterator, and hands on what it gives, some at a time."""

    def begin(
        self, make: Callable[[], Iterator[Item]], weight: Callable[[Item], int], skipped: int
    ) -> None:
        """Take another iterator.

        Args:
            make: the iterator.
            weight: of an item, in bytes.
            skipped: items at its beginning that were handed on before.
        """
        self._items = islice(make(), skipped, None)
        self._weight = weight

    def more(self, singly: bool) -> tuple[list[Item], bool, RaypipeError | None]:
        """The next items, whether there are no more, and the error that the iterator ended with.

        Args:
            singly: whether one at a time is asked for.
        """
        items: list[Item] = []
        weight, until = 0, time.monotonic() + _SLICE_S
        try:
            for item in self._items:
                items.append(item)
                weight += self._weight(item)
                if singly or weight >= _SLICE_WEIGHT or time.monotonic() >= until:
                    return items, False, None
        except RaypipeError as error:
            return items, True, error
        return items, True, None


def iterated_apart(
    make: Callable[[], Iterator[Item]],
    *,
    weight: Callable[[Item], int],
    limit_s: float,
    memory_gb: float,
) -> Iterator[Item]:
    """The items of an iterator, made in another process.

    Where that process ends, another one is asked for the items that were not handed on yet, one at
    a time: all that come before the one at fault are given, whenever the process ended.

    Args:
        make: the iterator, of items that can be pickled; can be pickled itself.
        weight: of an item, in bytes; can be pickled.
        limit_s: seconds that may go by without an item until the process is killed.
        memory_gb: GB (10^9 bytes) of memory beyond which it is killed.

    Raises:
        ProcessEndedError: for the item at fault.
        CallError: for an exception there that is none of raypipe's own.
        RaypipeError: as the iterator raised it.
    """
    given = 0
    for singly in (False, True):
        host = _begun(make, weight, given, memory_gb)
        is_free = is_end = False
        try:
            while not is_end:
                is_free = False
                items, is_end, error = host.call("more", singly, limit_s=limit_s)
                is_free = True
                for item in items:
                    yield item
                    given += 1
                if error is not None:
                    raise error
        except ProcessEndedError:
            if singly:
                raise
        else:
            return
        finally:
            if is_free and not _idle:
                _idle.append(host)
            else:
                host.end()


def _begun(
    make: Callable[[], Iterator[Item]],
    weight: Callable[[Item], int],
    skipped: int,
    memory_gb: float,
) -> ChildProcess:
    """A process with the iterator: one that waits, or a new one."""
    with contextlib.suppress(IndexError, ProcessEndedError):  # it may have died while it waited
        waiting = _idle.pop()
        waiting.limit_memory(memory_gb)
        waiting.call("begin", make, weight, skipped)
        return waiting
    started = ChildProcess(IterationHost, memory_gb=memory_gb)
    started.call("begin", make, weight, skipped)
    return started
