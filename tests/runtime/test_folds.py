"""Parts made and merged by Ray's tasks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from ray.exceptions import RayError

from raypipe.runtime.finish.fold_tasks import fold_in_tasks
from raypipe.runtime.finish.folds import fold_here

ITEMS = list(range(11))


def make(item: int, scale: int) -> tuple[str, NDArray[np.int64]]:
    return str(item), np.full(50_000, item * scale)


def merge(
    left: tuple[str, NDArray[np.int64]], right: tuple[str, NDArray[np.int64]]
) -> tuple[str, NDArray[np.int64]]:
    return f"{left[0]} {right[0]}", left[1] + right[1]


def finish(whole: tuple[str, NDArray[np.int64]]) -> tuple[str, int]:
    return whole[0], int(whole[1].sum())


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("count", [1, 2, 11])
def test_tasks_fold_as_one_process_does(count: int) -> None:
    arguments = (ITEMS[:count], make, merge, finish, 3)
    assert fold_in_tasks(*arguments) == fold_here(*arguments)


@pytest.mark.usefixtures("ray_cluster")
def test_what_a_task_raises_is_raised() -> None:
    def broken(item: int, _: int) -> int:
        if item == 7:
            raise ValueError("seven")
        return item

    with pytest.raises(RayError, match="seven"):
        fold_in_tasks(ITEMS, broken, max, int, 0)
