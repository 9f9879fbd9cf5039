"""Area under the ROC curve and its DeLong interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


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
        positives: number of positives at each score, shape ``(scores,)``.
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
