"""The window of tasks under way, with a stand-in for Ray; with Ray in tests/runtime/test_tasks."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import WorkerCrashedError

from raypipe.runtime.ray import tasks as module
from raypipe.runtime.ray.tasks import TASKS_PER_CPU, in_order


class Task:
    """A remote function that runs when its result is fetched, and notes how many wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0

    def remote(self, item: int, *arguments: int) -> tuple[Task, int]:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return self, item + sum(arguments)


def get(reference: tuple[Task, int]) -> int:
    task, value = reference
    task.waiting -= 1
    if value < 0:
        raise RuntimeError("it failed")
    return value


@pytest.fixture(params=[{"CPU": 2.0}, {"CPU": 0.5}, {}], ids=["two", "half", "none"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Most tasks at a time on a cluster of so many CPUs."""
    have: dict[str, Any] = request.param
    fake = SimpleNamespace(get=get, cluster_resources=lambda: have)
    monkeypatch.setattr(module, "ray", fake)
    return TASKS_PER_CPU * max(1, int(have.get("CPU", 1)))


def test_results_come_in_order_and_no_more_tasks_wait_than_the_cluster_can_do(limit: int) -> None:
    task = Task()
    assert [*in_order(task, range(20), 100)] == [100 + item for item in range(20)]
    assert task.most == limit


def test_items_are_taken_only_when_there_is_room(limit: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    results = in_order(Task(), items())
    assert next(results) == 0
    assert len(taken) == limit + 1


def test_the_first_failure_in_order_ends_it(limit: int) -> None:
    results = in_order(Task(), [1, 2, -1, 3])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(RuntimeError, match="it failed"):
        next(results)


@pytest.mark.parametrize("losses", [1, 4, 5])
def test_a_lost_task_is_given_to_the_cluster_again(
    monkeypatch: pytest.MonkeyPatch, losses: int
) -> None:
    left = losses

    def get_after_losses(reference: tuple[Task, int]) -> int:
        nonlocal left
        if reference[1] == 2 and left:
            left -= 1
            raise WorkerCrashedError
        return get(reference)

    fake = SimpleNamespace(get=get_after_losses, cluster_resources=lambda: {"CPU": 2.0})
    monkeypatch.setattr(module, "ray", fake)
    slept: list[float] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=slept.append))
    results = in_order(Task(), range(6))
    if losses == 5:
        with pytest.raises(WorkerCrashedError):
            list(results)
    else:
        assert list(results) == [*range(6)]
    assert slept == [2.0, 4.0, 8.0, 16.0][:losses]


def test_nothing_to_do_is_nothing_done(limit: int) -> None:
    assert [*in_order(Task(), [])] == []
