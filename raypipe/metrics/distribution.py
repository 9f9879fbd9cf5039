"""How far a predicted distribution is from the annotators', row by row.

``truth`` and ``prediction`` are p and q: shape ``(utterances, labels)``, rows summing to 1. Every
function gives one value per row, shape ``(utterances,)``. A row with a NaN gives NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, rel_entr

Array = NDArray[np.float64]

EPS = 1e-10
"""Smoothing of q in the Kullback-Leibler divergence and floor of BC in the distance."""

COLUMNS = ("js", "js_distance", "bc", "bd", "kl", "r2", "r2_det")
"""Names of the per-utterance metrics, in the order of the tables."""

# Sum of squares below which a row of K shares counts as constant: far above the rounding of
# 1/K + ... + 1/K, far below what one vote in a million annotators changes.
_CONSTANT = 1e-20


def js_divergence(truth: Array, prediction: Array) -> Array:
    """Jensen-Shannon divergence, base 2: (KL(p||m) + KL(q||m)) / 2 with m = (p + q) / 2.

    In [0, 1]; 0 for equal rows, 1 for disjoint ones. Not its square root.

    Raises:
        ValueError: if the shapes differ or are not ``(utterances, labels)``.

    Example:
        >>> js_divergence(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]]))
        array([1., 0.])
    """
    _check(truth, prediction)
    middle = (truth + prediction) / 2.0
    nats = (rel_entr(truth, middle) + rel_entr(prediction, middle)).sum(axis=1) / 2.0
    return np.asarray(np.clip(nats / np.log(2.0), 0.0, 1.0))


def js_distance(truth: Array, prediction: Array) -> Array:
    """Square root of the base-2 Jensen-Shannon divergence: a metric, in [0, 1].

    Example:
        >>> js_distance(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
        array([1.])
    """
    return np.asarray(np.sqrt(js_divergence(truth, prediction)))


def bhattacharyya_coefficient(truth: Array, prediction: Array) -> Array:
    """BC = sum_k sqrt(p_k q_k), in [0, 1]; 1 for equal rows, 0 for disjoint ones.

    Example:
        >>> bhattacharyya_coefficient(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]]))
        array([0.5])
    """
    _check(truth, prediction)
    return np.asarray(np.clip(np.sqrt(truth * prediction).sum(axis=1), 0.0, 1.0))


def bhattacharyya_distance(truth: Array, prediction: Array, eps: float = EPS) -> Array:
    """BD = -ln max(BC, eps), in nats, in [0, -ln eps]; eps = 1e-10 bounds it at 23.03.

    Example:
        >>> bhattacharyya_distance(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]])).round(6)
        array([0.693147])
    """
    coefficient = bhattacharyya_coefficient(truth, prediction)
    return np.asarray(np.abs(np.log(np.maximum(coefficient, eps))))


def kl_divergence(truth: Array, prediction: Array, eps: float = EPS) -> Array:
    """KL(p || q') in nats, truth first, with q' = (q + eps) / (1 + K eps).

    In [0, ln((1 + K eps) / eps)], so below 23.03 for eps = 1e-10; 0 ln 0 = 0.

    Example:
        >>> kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(6)
        array([0.693147])
    """
    _check(truth, prediction)
    smoothed = (prediction + eps) / (1.0 + truth.shape[1] * eps)
    return np.asarray(np.maximum(rel_entr(truth, smoothed).sum(axis=1), 0.0))


def r2(truth: Array, prediction: Array) -> Array:
    """Squared Pearson correlation of p and q over the K labels, in [0, 1].

    NaN where p or q is constant over the labels: the correlation is undefined there.

    Example:
        >>> r2(np.array([[0.5, 0.3, 0.2]] * 2), np.array([[0.2, 0.3, 0.5], [1/3, 1/3, 1/3]]))
        array([0.8622449,       nan])
    """
    _check(truth, prediction)
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
    _check(truth, prediction)
    residual = ((truth - prediction) ** 2).sum(axis=1)
    spread = ((truth - truth.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    defined = spread > _CONSTANT
    value = np.where(defined, 1.0 - residual / np.where(defined, spread, 1.0), np.nan)
    return np.where(np.isnan(residual), np.nan, value)


def entropy_bits(probs: Array) -> Array:
    """Entropy -sum_k p_k log2 p_k of each row, in bits, in [0, log2 K]: the ambiguity.

    Args:
        probs: shape ``(..., labels)``, summing to 1 over the last axis.

    Returns:
        Shape ``(...)``.

    Example:
        >>> entropy_bits(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
        array([1., 0.])
    """
    return np.asarray(entr(probs).sum(axis=-1) / np.log(2.0))


def per_utterance(truth: Array, prediction: Array) -> dict[str, Array]:
    """Every metric of this module for every row, by its name in the tables.

    Returns:
        Arrays of shape ``(utterances,)`` under ``js`` and ``js_distance`` (base 2), ``bc``,
        ``bd`` and ``kl`` (nats, eps = 1e-10), ``r2`` and ``r2_det`` (NaN where undefined).

    Example:
        >>> list(per_utterance(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])))
        ['js', 'js_distance', 'bc', 'bd', 'kl', 'r2', 'r2_det']
    """
    divergence = js_divergence(truth, prediction)
    coefficient = bhattacharyya_coefficient(truth, prediction)
    return {
        "js": divergence,
        "js_distance": np.sqrt(divergence),
        "bc": coefficient,
        "bd": np.abs(np.log(np.maximum(coefficient, EPS))),
        "kl": kl_divergence(truth, prediction),
        "r2": r2(truth, prediction),
        "r2_det": r2_determination(truth, prediction),
    }


def _check(truth: Array, prediction: Array) -> None:
    if truth.ndim != 2 or truth.shape != prediction.shape:
        raise ValueError(
            f"truth {truth.shape} and prediction {prediction.shape} are not both "
            "(utterances, labels)"
        )
