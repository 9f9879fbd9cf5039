"""Many Ray tasks, some at a time: memory depends on how many run, not on how many there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import ray

TASKS_PER_CPU = 2


def in_order(task: Any, items: Iterable[object], *arguments: object) -> Iterator[Any]:
    """Results of a Ray task for every item, in the items' order.

    Twice as many tasks as the cluster has CPUs are under way, so that none waits for the driver.

    Args:
        task: a remote function of an item and ``arguments``.
        items: what it is called with, one call each.
        arguments: the rest, the same for all; put large ones into Ray's store beforehand.

    Raises:
        ray.exceptions.RayError: of the first task that fails, in the items' order.
    """
    limit = TASKS_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[object] = deque()
    for item in items:
        if len(waiting) >= limit:
            yield ray.get(waiting.popleft())
        waiting.append(task.remote(item, *arguments))
    while waiting:
        yield ray.get(waiting.popleft())
