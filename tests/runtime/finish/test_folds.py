"""Parts are merged in the items' order."""

from __future__ import annotations

from raypipe.runtime.finish.folds import fold_here


def test_a_fold_here_makes_merges_and_finishes() -> None:
    merged = fold_here([1, 2, 3], lambda item, by: [item * by], lambda a, b: a + b, tuple, 10)
    assert merged == (10, 20, 30)
