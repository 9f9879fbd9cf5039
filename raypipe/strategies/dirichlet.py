"""The Dirichlet mixture of test_time_scaling, section 4.2.2, and the uncertainty it carries.

Every valid beam b is a component Dir(tau * p_b) with a weight w_b. A label with p_bk = 0 is
outside the support of its component: its share is exactly 0 there, with no variance.
Entropies are in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, entr

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MixtureSummary:
    """What a Dirichlet mixture says about one utterance.

    Attributes:
        mean: predicted distribution, shape ``(labels,)``, sums to 1 (Eq. 3).
        covariance: of the label shares, shape ``(labels, labels)``, rows sum to 0.
        total: H[E p], entropy of the mean, in nats.
        aleatoric: E[H(p)], expected entropy, in nats, in [0, total].
        epistemic: total - aleatoric, in nats: the mutual information between an emotion drawn
            from p and p itself.
    """

    mean: Array
    covariance: Array
    total: float
    aleatoric: float
    epistemic: float


def softmax_weights(alphas: Array, lengths: NDArray[np.int64] | None = None) -> Array:
    """Beam weights w_b = exp(alpha_b) / sum_j exp(alpha_j) (test_time_scaling, Eq. 2).

    Args:
        alphas: cumulative log-likelihoods in nats, shape ``(beams,)``; ``-inf`` weighs nothing.
        lengths: numbers of generated tokens, shape ``(beams,)``, at least 1; where given, the
            softmax is of alpha_b / length_b, the mean log-probability per token.

    Returns:
        Weights of shape ``(beams,)``, in [0, 1], summing to 1.

    Raises:
        ValueError: without beams, for NaN, or if no alpha is finite.

    Example:
        >>> softmax_weights(np.log([0.3, 0.1])).round(6)
        array([0.75, 0.25])
    """
    scores = np.asarray(alphas, dtype=np.float64)
    if scores.size == 0 or np.isnan(scores).any() or not np.isfinite(scores.max()):
        raise ValueError(f"softmax needs at least one finite log-likelihood, got {alphas!r}")
    if lengths is not None:
        scores = scores / np.asarray(lengths, dtype=np.float64)
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def verifier_weights(scores: Array) -> Array:
    """Beam weights w_b = s_b / sum_j s_j from verifier scores (test_time_scaling, 4.2.3).

    Args:
        scores: shape ``(beams,)``, each >= 0. All zero means that the verifier trusts no beam
            more than another: the weights are then equal.

    Returns:
        Weights of shape ``(beams,)``, in [0, 1], summing to 1.

    Raises:
        ValueError: without beams, or for a negative or non-finite score.

    Example:
        >>> verifier_weights(np.array([0.9, 0.3])), verifier_weights(np.zeros(2))
        (array([0.75, 0.25]), array([0.5, 0.5]))
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all() or (values < 0.0).any():
        raise ValueError(f"verifier scores are finite and non-negative, got {scores!r}")
    total = values.sum()
    return np.full(values.shape, 1.0 / values.size) if total == 0.0 else np.asarray(values / total)


def mixture_mean(weights: Array, probs: Array) -> Array:
    """Mean of the mixture, sum_b w_b p_b, whatever tau is (test_time_scaling, Eq. 3).

    Args:
        weights: shape ``(beams,)``, summing to 1.
        probs: component means p_b, shape ``(beams, labels)``, rows summing to 1.

    Returns:
        Shape ``(labels,)``, summing to 1 exactly up to one rounding.

    Raises:
        ValueError: if the ``beams`` axes differ.

    Example:
        >>> mixture_mean(np.array([0.75, 0.25]), np.array([[0.5, 0.5], [0.25, 0.75]]))
        array([0.4375, 0.5625])
    """
    if probs.ndim != 2 or weights.shape != probs.shape[:1]:
        raise ValueError(f"shapes {weights.shape} and {probs.shape} are not (beams,), (beams, K)")
    mean = weights @ probs
    return np.asarray(mean / mean.sum())


def mixture_covariance(weights: Array, probs: Array, tau: float) -> Array:
    """Predictive covariance of the label shares, by the law of total covariance.

    Cov[p] = sum_b w_b (diag(p_b) - p_b p_b^T) / (tau + 1) + sum_b w_b (p_b - m)(p_b - m)^T,
    with m the mixture mean: the spread inside the components plus the spread between them.

    Args:
        weights: shape ``(beams,)``, summing to 1.
        probs: component means, shape ``(beams, labels)``, rows summing to 1.
        tau: total concentration of every component, > 0.

    Returns:
        Shape ``(labels, labels)``, symmetric, positive semi-definite, rows summing to 0.

    Example:
        >>> mixture_covariance(np.array([1.0]), np.array([[0.5, 0.5]]), tau=1.0)
        array([[ 0.125, -0.125],
               [-0.125,  0.125]])
    """
    mean = mixture_mean(weights, probs)
    # A product with its own transpose is symmetric to the last bit.
    root = np.sqrt(weights)[:, None]
    weighted, centred = root * probs, root * (probs - mean)
    within = (np.diag(mean) - weighted.T @ weighted) / (tau + 1.0)
    return np.asarray(within + centred.T @ centred)


def expected_entropy(weights: Array, probs: Array, tau: float) -> float:
    """Expected entropy E[H(p)] of the mixture, in nats.

    For one component with a_k = tau p_k and a_0 = tau,
    E[H] = psi(a_0 + 1) - sum_k (a_k / a_0) psi(a_k + 1); the mixture's is the weighted sum.

    Args:
        weights: shape ``(beams,)``, summing to 1.
        probs: component means, shape ``(beams, labels)``, rows summing to 1.
        tau: total concentration of every component, > 0.

    Returns:
        In [0, H(mean)].

    Example:
        >>> round(expected_entropy(np.array([1.0]), np.array([[0.5, 0.5]]), tau=2.0), 6)
        0.5
    """
    per_component = digamma(tau + 1.0) - (probs * digamma(tau * probs + 1.0)).sum(axis=1)
    return max(float(weights @ per_component), 0.0)


def split_entropy(
    mean: Array, weights: Array, probs: Array, tau: float
) -> tuple[float, float, float]:
    """Total, aleatoric and epistemic uncertainty, as in :class:`MixtureSummary`, in nats.

    Args:
        mean: of the mixture, shape ``(labels,)``, from :func:`mixture_mean`.
        weights: shape ``(beams,)``, summing to 1.
        probs: component means, shape ``(beams, labels)``, rows summing to 1.
        tau: total concentration of every component, > 0.

    Example:
        >>> total, aleatoric, epistemic = split_entropy(
        ...     np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.eye(2), tau=1.0)
        >>> round(total, 4), aleatoric, round(epistemic, 4)
        (0.6931, 0.0, 0.6931)
    """
    total = float(entr(mean).sum())
    # Both bounds hold exactly in theory; rounding may break them by an ulp.
    aleatoric = min(expected_entropy(weights, probs, tau), total)
    return total, aleatoric, total - aleatoric


def summarise(weights: Array, probs: Array, tau: float) -> MixtureSummary:
    """Mean, covariance and the split of the uncertainty of one Dirichlet mixture.

    Args:
        weights: shape ``(beams,)``, summing to 1.
        probs: component means, shape ``(beams, labels)``, rows summing to 1.
        tau: total concentration of every component, > 0.

    Raises:
        ValueError: if the ``beams`` axes differ or tau is not positive.

    Example:
        >>> summary = summarise(np.array([0.5, 0.5]), np.eye(2), tau=1.0)
        >>> round(summary.total, 4), summary.aleatoric, round(summary.epistemic, 4)
        (0.6931, 0.0, 0.6931)
    """
    if not tau > 0.0:
        raise ValueError(f"tau must be positive, got {tau}")
    mean = mixture_mean(weights, probs)
    total, aleatoric, epistemic = split_entropy(mean, weights, probs, tau)
    return MixtureSummary(
        mean=mean,
        covariance=mixture_covariance(weights, probs, tau),
        total=total,
        aleatoric=aleatoric,
        epistemic=epistemic,
    )
