"""Squared correlation and coefficient of determination of two distributions, row by row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.distribution import check_shapes
from raypipe.metrics.kinds import SumsMetric, UtteranceMetric
from raypipe.metrics.metric import NEVER, Section
from raypipe.metrics.sums import VALID, Sums

Array = NDArray[np.float64]

# Sum of squares below which a row of K shares counts as constant: far above the rounding of
# 1/K + ... + 1/K, far below what one vote in a million annotators changes.
_CONSTANT = 1e-20


def r2(truth: Array, prediction: Array) -> Array:
    """Squared Pearson correlation of p and q over the K labels, in [0, 1].

    NaN where p or q is constant over the labels: the correlation is undefined there.

    Example:
        >>> r2(np.array([[0.5, 0.3, 0.2]] * 2), np.array([[0.2, 0.3, 0.5], [1/3, 1/3, 1/3]]))
        array([0.8622449,       nan])
    """
    check_shapes(truth, prediction)
    p = truth - truth.mean(axis=1, keepdims=True)
    q = prediction - prediction.mean(axis=1, keepdims=True)
    spread_p, spread_q = (p * p).sum(axis=1), (q * q).sum(axis=1)
    defined = (spread_p > _CONSTANT) & (spread_q > _CONSTANT)
    value = (p * q).sum(axis=1) ** 2 / np.where(defined, spread_p * spread_q, 1.0)
    return np.where(defined, np.clip(value, 0.0, 1.0), np.nan)


def r2_determination(truth: Array, prediction: Array) -> Array:
    """Coefficient of determination 1 - sum (p - q)^2 / sum (p - mean p)^2, in (-inf, 1].

    NaN where p is constant over the labels.

    Example:
        >>> r2_determination(np.array([[0.5, 0.5, 0.0]]), np.array([[1.0, 0.0, 0.0]]))
        array([-2.])
    """
    check_shapes(truth, prediction)
    residual = ((truth - prediction) ** 2).sum(axis=1)
    spread = _spread(truth)
    defined = spread > _CONSTANT
    value = np.where(defined, 1.0 - residual / np.where(defined, spread, 1.0), np.nan)
    return np.where(np.isnan(residual), np.nan, value)


def _spread(truth: Array) -> Array:
    """Sum of squares about the mean of each row, shape ``(utterances,)``."""
    return np.asarray(((truth - truth.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))


def _uniform_r2(truth: Array) -> Array:
    """0, as a constant prediction explains nothing; NaN where the truth is constant, too."""
    return np.where(_spread(truth) > _CONSTANT, 0.0, np.nan)


R2 = UtteranceMetric(
    name="r2",
    title="R²",
    description="squared Pearson correlation of the soft label and the prediction over the labels",
    range=(0.0, 1.0),
    better="higher",
    undefined="soft label or prediction is constant over the labels",
    source="cov(p, q)^2 / (var(p) var(q)); Pearson, Proc. R. Soc. 58 (1895)",
    section=Section.DISTRIBUTION,
    rank=60,
    headline=True,
    function=r2,
    uniform_value=_uniform_r2,
)
R2_DET = UtteranceMetric(
    name="r2_det",
    title="R² (det.)",
    description="coefficient of determination of the prediction over the labels; in means cut "
    "at -256",
    range=(-math.inf, 1.0),
    better="higher",
    undefined="soft label is constant over the labels",
    source="1 - sum_k (p_k - q_k)^2 / sum_k (p_k - mean p)^2; Wright, J. Agric. Res. 20 (1921)",
    section=Section.DISTRIBUTION,
    rank=70,
    function=r2_determination,
)


def _undefined(sums: Sums) -> Array:
    return sums[VALID] - sums[R2.count]


R2_UNDEFINED = SumsMetric(
    name="r2_undefined",
    title="R² undefined",
    description="number of valid predictions left out of r2, which is undefined for them",
    range=(0.0, math.inf),
    unit="utterances",
    better="neither",
    undefined=NEVER,
    source="a count",
    section=Section.COVERAGE,
    rank=20,
    add=(R2.count,),
    function=_undefined,
    count=VALID,
    bootstrapped=False,
)
METRICS = (R2, R2_DET, R2_UNDEFINED)
