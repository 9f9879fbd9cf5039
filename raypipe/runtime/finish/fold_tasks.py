"""Many parts made and merged to one by a tree of Ray tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import reduce

import ray
from ray.exceptions import RayError

from raypipe.runtime.finish.folds import FoldedT, ItemT, PartT, SharedT
from raypipe.runtime.ray.losses import TASK_PAUSES_S, loss
from raypipe.runtime.ray.tasks import TASKS_PER_CPU

FAN_IN = 4
"""Parts that one task merges."""

CPUS_PER_TASK = 0.5

BYTES_PER_TASK = 400_000_000
"""Memory of a task beside its parts: Python with its packages, and the rows of a group."""

PARTS_PER_TASK = 3
"""Parts in a task's own memory at once: two, and both together."""


def fold_in_tasks(
    items: Sequence[ItemT],
    make: Callable[[ItemT, SharedT], PartT],
    merge: Callable[[PartT, PartT], PartT],
    finish: Callable[[PartT], FoldedT],
    shared: SharedT,
) -> FoldedT:
    """A :class:`raypipe.runtime.finish.folds.Folding` in Ray tasks.

    Only what ``finish`` returns comes to this process.
    Parts are merged :data:`FAN_IN` at a time as they come, so that few of them exist at once. All
    tasks but the first ask for the memory that its part says they need, or a node's, if that is
    less. What is lost with a node Ray makes again; where it cannot, all is made again.

    Raises:
        ray.exceptions.RayError: if a task raises.
    """
    held = ray.put(shared)
    for pause_s in TASK_PAUSES_S:
        try:
            return _folded(items, make, merge, finish, held)
        except RayError as error:
            if loss(error) is None:
                raise
        time.sleep(pause_s)
    return _folded(items, make, merge, finish, held)


def _folded(
    items: Sequence[ItemT],
    make: Callable[[ItemT, SharedT], PartT],
    merge: Callable[[PartT, PartT], PartT],
    finish: Callable[[PartT], FoldedT],
    held: ray.ObjectRef[SharedT],
) -> FoldedT:
    def reduce_rows(item: ItemT, everybodys: SharedT) -> PartT:
        return make(item, everybodys)

    def reduce_parts(*parts: PartT) -> PartT:
        return reduce(merge, parts)

    def reduce_to_result(*parts: PartT) -> FoldedT:
        return finish(reduce(merge, parts))

    task = ray.remote(num_cpus=CPUS_PER_TASK)
    leaf, joint, root = task(reduce_rows), task(reduce_parts), task(reduce_to_result)
    first = leaf.remote(items[0], held)
    if len(items) > 1:
        memory = _memory(first)
        leaf, joint, root = (each.options(memory=memory) for each in (leaf, joint, root))
    limit = TASKS_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
    levels: list[list[ray.ObjectRef[PartT]]] = [[first]]
    under_way: list[ray.ObjectRef[PartT]] = []
    for item in items[1:]:
        if len(under_way) >= limit:
            _, under_way = ray.wait(under_way, num_returns=1, fetch_local=False)
        part = leaf.remote(item, held)
        under_way.append(part)
        _place(levels, part, joint.remote)
    left = [part for level in reversed(levels) for part in level]
    result: FoldedT = ray.get(root.remote(*left))
    return result


def _memory(first: ray.ObjectRef[PartT]) -> int:
    """Bytes that a task needs, judged by one part, and at most what the largest node has."""
    ray.wait([first], fetch_local=False)
    size = ray.experimental.get_object_locations([first])[first].get("object_size", 0)
    largest = max(node["Resources"].get("memory", 0.0) for node in ray.nodes() if node["Alive"])
    return int(min(BYTES_PER_TASK + PARTS_PER_TASK * size, largest))


def _place(
    levels: list[list[ray.ObjectRef[PartT]]],
    part: ray.ObjectRef[PartT],
    join: Callable[..., ray.ObjectRef[PartT]],
) -> None:
    """Put a part beside those of its size, and join them once they are :data:`FAN_IN`.

    Earlier parts stand on higher levels.
    """
    for level in levels:
        level.append(part)
        if len(level) < FAN_IN:
            return
        part = join(*level)
        level.clear()
    levels.append([part])
