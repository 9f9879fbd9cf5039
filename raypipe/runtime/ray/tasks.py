"""Many Ray tasks, some at a time: memory depends on how many run, not on how many there are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError

from raypipe.runtime.ray.losses import TASK_PAUSES_S, loss

TASKS_PER_CPU = 2


def in_order(task: Any, items: Iterable[object], *arguments: object) -> Iterator[Any]:
    """Results of a Ray task for every item, in the items' order.

    Twice as many tasks as the cluster has CPUs are under way, so that none waits for the driver.
    One that was lost with its node is given to another.

    Args:
        task: a remote function of an item and ``arguments``.
        items: what it is called with, one call each.
        arguments: the rest, the same for all; put large ones into Ray's store beforehand.

    Raises:
        ray.exceptions.RayError: of the first task that fails, in the items' order.
    """
    limit = TASKS_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[tuple[object, object]] = deque()

    def first() -> Any:
        item, reference = waiting.popleft()
        for pause_s in TASK_PAUSES_S:
            try:
                return ray.get(reference)
            except RayError as error:
                if loss(error) is None:
                    raise
            time.sleep(pause_s)
            reference = task.remote(item, *arguments)
        return ray.get(reference)

    for item in items:
        if len(waiting) >= limit:
            yield first()
        waiting.append((item, task.remote(item, *arguments)))
    while waiting:
        yield first()
