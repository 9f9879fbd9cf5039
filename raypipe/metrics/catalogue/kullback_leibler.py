"""Kullback-Leibler divergence of two distributions, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from raypipe.metrics.distribution import EPS, check_shapes
from raypipe.metrics.kinds import UtteranceMetric
from raypipe.metrics.metric import NEVER, Section

Array = NDArray[np.float64]


def kl_divergence(truth: Array, prediction: Array, eps: float = EPS) -> Array:
    """KL(p || q') in nats, truth first, with q' = (q + eps) / (1 + K eps).

    In [0, ln((1 + K eps) / eps)], so below 23.03 for eps = 1e-10; 0 ln 0 = 0.

    Example:
        >>> kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(6)
        array([0.693147])
    """
    check_shapes(truth, prediction)
    smoothed = (prediction + eps) / (1.0 + truth.shape[1] * eps)
    return np.asarray(np.maximum(rel_entr(truth, smoothed).sum(axis=1), 0.0))


KL = UtteranceMetric(
    name="kl",
    title="KL",
    description=f"Kullback-Leibler divergence KL(p||q), q smoothed by {EPS:g}, truth first",
    range=(0.0, 23.03),
    unit="nats",
    better="lower",
    undefined=NEVER,
    source="sum_k p_k ln(p_k / q'_k), q' = (q + eps) / (1 + K eps); Kullback and Leibler, "
    "Ann. Math. Stat. 22 (1951)",
    section=Section.DISTRIBUTION,
    rank=50,
    function=kl_divergence,
    skill=True,
)
METRICS = (KL,)
