"""Many Ray tasks, some at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray

from raypipe.config import ModelConfig, ResourcesConfig
from raypipe.runtime.infer.devices import NO_GPUS, devices
from raypipe.runtime.infer.pools import PoolSize, pool_size
from raypipe.runtime.ray.session import nodes_with_cpus, possible_resources
from raypipe.runtime.ray.tasks import TASKS_PER_CPU, in_order

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_this_cluster_is_one_node_that_cannot_grow_and_has_no_gpus() -> None:
    assert nodes_with_cpus() == 1
    assert possible_resources()["CPU"] == ray.cluster_resources()["CPU"]
    assert devices("auto") == NO_GPUS
    pool = pool_size(ResourcesConfig(gpus_per_actor=0), ModelConfig())
    assert pool == PoolSize.fixed(1)


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
