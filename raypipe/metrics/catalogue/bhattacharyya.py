"""Bhattacharyya coefficient and distance of two distributions, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.distribution import EPS, check_shapes
from raypipe.metrics.kinds import Of, UtteranceMetric
from raypipe.metrics.metric import NEVER, Section

Array = NDArray[np.float64]


def bhattacharyya_coefficient(truth: Array, prediction: Array) -> Array:
    """BC = sum_k sqrt(p_k q_k), in [0, 1]; 1 for equal rows, 0 for disjoint ones.

    Example:
        >>> bhattacharyya_coefficient(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]]))
        array([0.5])
    """
    check_shapes(truth, prediction)
    return np.asarray(np.clip(np.sqrt(truth * prediction).sum(axis=1), 0.0, 1.0))


def bhattacharyya_distance(truth: Array, prediction: Array, eps: float = EPS) -> Array:
    """BD = -ln max(BC, eps), in nats, in [0, -ln eps]; eps = 1e-10 bounds it at 23.03.

    Example:
        >>> bhattacharyya_distance(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]])).round(6)
        array([0.693147])
    """
    return _distance(bhattacharyya_coefficient(truth, prediction), eps)


def _distance(coefficient: Array, eps: float = EPS) -> Array:
    return np.asarray(np.abs(np.log(np.maximum(coefficient, eps))))


BC = UtteranceMetric(
    name="bc",
    title="BC",
    description="Bhattacharyya coefficient of the soft label and the prediction: their overlap",
    range=(0.0, 1.0),
    better="higher",
    undefined=NEVER,
    source="sum_k sqrt(p_k q_k); Bhattacharyya, Bull. Calcutta Math. Soc. 35 (1943)",
    section=Section.DISTRIBUTION,
    rank=30,
    headline=True,
    function=bhattacharyya_coefficient,
    skill=True,
    difference=True,
    median=True,
)
BD = UtteranceMetric(
    name="bd",
    title="BD",
    description=f"Bhattacharyya distance -ln BC, with BC at least {EPS:g}",
    range=(0.0, -float(np.log(EPS))),
    unit="nats",
    better="lower",
    undefined=NEVER,
    source=f"-ln max(BC, {EPS:g}); Bhattacharyya, Bull. Calcutta Math. Soc. 35 (1943)",
    section=Section.DISTRIBUTION,
    rank=40,
    function=Of(BC, _distance),
)
METRICS = (BC, BD)
