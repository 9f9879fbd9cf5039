"""The tree in which parts are merged; ``tests/runtime/test_folds.py`` shows that tasks do it."""

from __future__ import annotations

from typing import Any

import pytest

from raypipe.runtime.finish.fold_tasks import FAN_IN, _place


@pytest.mark.parametrize("count", [1, 3, 4, 5, 16, 17, 63, 64, 65, 100])
def test_a_tree_keeps_the_order_and_few_parts(count: int) -> None:
    joins: list[tuple[Any, ...]] = []

    def join(*parts: str) -> str:
        joins.append(parts)
        return " ".join(parts)

    levels: list[list[Any]] = [[]]
    for item in range(count):
        _place(levels, str(item), join)  # type: ignore[arg-type]
        assert sum(map(len, levels)) <= (FAN_IN - 1) * len(levels)
    left = [part for level in reversed(levels) for part in level]
    assert " ".join(left) == " ".join(map(str, range(count)))
    assert {len(parts) for parts in joins} <= {FAN_IN}
