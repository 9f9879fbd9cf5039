"""Many Ray tasks, some at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray

from raypipe.runtime.ray.tasks import TASKS_PER_CPU, in_order

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_results_come_in_order_and_few_tasks_are_under_way() -> None:
    limit = TASKS_PER_CPU * int(ray.cluster_resources()["CPU"])
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(4 * limit):
            taken.append(number)
            yield number

    results = in_order(ray.remote(num_cpus=0)(lambda number, base: base + number), items(), 100)
    assert next(results) == 100
    assert len(taken) <= limit + 1
    assert list(results) == [100 + number for number in range(1, 4 * limit)]
