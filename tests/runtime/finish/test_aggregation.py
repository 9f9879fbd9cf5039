"""The columns of predictions/ that compare a prediction with the truth."""

from __future__ import annotations

import math

import numpy as np

from raypipe.records import Prediction, Utterance
from raypipe.runtime.finish.aggregation import _scores
from raypipe.store.schemas import UTTERANCE_METRICS


def row(
    soft_label: tuple[float, ...] | None, probs: list[float] | None
) -> tuple[Utterance, Prediction]:
    utterance = Utterance("u", "d", None, None, b"", 16_000, 1.0, soft_label=soft_label)
    return utterance, Prediction("greedy", None if probs is None else np.array(probs), None)


def test_every_column_is_there_even_where_nothing_is_scored() -> None:
    for rows in ([], [row(None, [0.5, 0.5])], [row((0.5, 0.5), None)]):
        columns = _scores(rows)
        assert {*columns} == {*UTTERANCE_METRICS}
        assert all(len(values) == len(rows) for values in columns.values())
        assert all(columns[name] == [None] * len(rows) for name in ("js", "bc", "r2_det"))


def test_scores_stand_where_there_are_a_label_and_a_prediction() -> None:
    columns = _scores(
        [
            row((1.0, 0.0), None),
            row((1.0, 0.0), [0.25, 0.75]),
            row(None, [1.0, 0.0]),
            row((0.5, 0.5), [0.5, 0.5]),
        ]
    )
    assert columns["true_entropy"] == [0.0, 0.0, None, 1.0]
    assert columns["bc"] == [None, 0.5, None, 1.0]
    assert columns["bd"] == [None, math.log(2), None, 0.0]
    assert columns["r2"] == [None, 1.0, None, None]  # undefined for a constant row
