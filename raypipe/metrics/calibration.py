"""Whether a prediction knows how sure it may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

ECE_BINS = 10
"""Equal-width bins of the confidence over (0, 1]: (0, 0.1], ..., (0.9, 1]."""


def confidence_bin(confidence: Array, bins: int = ECE_BINS) -> Indices:
    """Bin of each confidence: i for the interval (i / bins, (i + 1) / bins], 0 in the first.

    A confidence on an edge, up to rounding, belongs to the lower bin.

    Example:
        >>> confidence_bin(np.array([0.0, 0.1, 0.3, 0.31, 1.0]))
        array([0, 0, 2, 3, 9])
    """
    index = np.ceil(np.asarray(confidence) * bins - 1e-9).astype(np.int64) - 1
    return np.asarray(np.clip(index, 0, bins - 1))


def expected_calibration_error(
    correct: Array, confidence: Array, weights: Array | None = None, bins: int = ECE_BINS
) -> float:
    """ECE = sum over bins of n_bin / n |accuracy_bin - mean confidence_bin|, in [0, 1].

    Args:
        correct: 1 where the dominant label is the plurality, shape ``(utterances,)``.
        confidence: share of the dominant label, shape ``(utterances,)``.
        weights: shape ``(utterances,)``; 1 each if None.
        bins: number of equal-width bins, see :func:`confidence_bin`.

    Returns:
        NaN without utterances.

    Example:
        >>> expected_calibration_error(np.array([1.0, 0.0]), np.array([0.75, 0.75]))
        0.25
    """
    weights = np.ones(np.shape(confidence)) if weights is None else weights
    index = confidence_bin(confidence, bins)
    gap = np.bincount(index, weights=weights * (correct - confidence), minlength=bins)
    total = float(np.sum(weights))
    return float(np.abs(gap).sum() / total) if total > 0.0 else float("nan")


def brier_score(correct: Array, confidence: Array, weights: Array | None = None) -> float:
    """Mean of (confidence - correct)^2 for the dominant label, in [0, 1]; NaN if empty.

    Args:
        correct: 1 where the dominant label is the plurality, shape ``(utterances,)``.
        confidence: share of the dominant label, shape ``(utterances,)``.
        weights: shape ``(utterances,)``; 1 each if None.

    Example:
        >>> brier_score(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
        0.25
    """
    weights = np.ones(np.shape(confidence)) if weights is None else weights
    total = float(np.sum(weights))
    return float(weights @ (confidence - correct) ** 2 / total) if total > 0.0 else float("nan")


def auroc(positive: Mask, score: Array) -> float:
    """Area under the ROC curve: the chance that a positive has the larger score, ties 1/2.

    Args:
        positive: e.g. true entropy above its median, shape ``(utterances,)``.
        score: e.g. predicted entropy, shape ``(utterances,)``.

    Returns:
        In [0, 1]; NaN if all or none are positive.

    Example:
        >>> auroc(np.array([False, True, True]), np.array([0.1, 0.1, 0.4]))
        0.75
    """
    _, index = np.unique(score, return_inverse=True)
    size = int(index.max()) + 1 if index.size else 0
    positives = np.bincount(index[positive], minlength=size)
    negatives = np.bincount(index[~positive], minlength=size)
    return auroc_from_counts(negatives, positives)[0]


def auroc_from_counts(
    negatives: NDArray[np.int64], positives: NDArray[np.int64], level: float = 0.95
) -> tuple[float, float, float]:
    """AUROC and its DeLong interval from counts per distinct score.

    The interval is value -+ z sqrt(S10 / n_pos + S01 / n_neg), cut to [0, 1], with S10 and S01 the
    sample variances of the placements (DeLong, DeLong and Clarke-Pearson 1988).

    Args:
        negatives: number of negatives at each score, scores ascending, shape ``(scores,)``.
        positives: number of positives likewise.
        level: of the interval.

    Returns:
        Value, lower and upper end; all NaN if a class is empty, the ends NaN if one has a single
        member.

    Example:
        >>> auroc_from_counts(np.array([1, 0]), np.array([1, 1]))[0]
        0.75
    """
    n_neg, n_pos = int(negatives.sum()), int(positives.sum())
    if n_neg == 0 or n_pos == 0:
        return float("nan"), float("nan"), float("nan")
    below = (np.cumsum(negatives) - negatives / 2.0) / n_neg
    above = (n_pos - np.cumsum(positives) + positives / 2.0) / n_pos
    value = float(positives @ below / n_pos)
    if n_neg < 2 or n_pos < 2:
        return value, float("nan"), float("nan")
    s10 = positives @ (below - value) ** 2 / (n_pos - 1)
    s01 = negatives @ (above - value) ** 2 / (n_neg - 1)
    half = float(ndtri(0.5 + level / 2.0) * np.sqrt(s10 / n_pos + s01 / n_neg))
    return value, max(value - half, 0.0), min(value + half, 1.0)
