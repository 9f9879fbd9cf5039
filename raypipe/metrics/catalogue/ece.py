"""Expected calibration error of the dominant label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import PLURALITY, Summand, Sums, ratio

Array = NDArray[np.float64]
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


def _gap(scored: Scored) -> Array:
    """Correctness minus confidence, in the column of the confidence's bin."""
    gap = np.zeros((scored.valid.size, ECE_BINS))
    rows = np.flatnonzero(scored.scorable)
    confidence = scored.confidence[rows]
    gap[rows, confidence_bin(confidence)] = scored.hit[rows] - confidence
    return gap


GAP = Summand("gap", _gap, width=ECE_BINS)


def _error(sums: Sums) -> Array:
    return ratio(np.abs(sums[GAP]).sum(axis=1), sums.total(PLURALITY))


METRICS = (
    SumsMetric(
        name="ece",
        title="ECE",
        description=f"expected calibration error of the dominant label, {ECE_BINS} equal bins",
        range=(0.0, 1.0),
        better="lower",
        undefined="every utterance's plurality is tied",
        source="sum_b n_b / n |accuracy_b - confidence_b|; Naeini et al., AAAI 2015",
        section=Section.CALIBRATION,
        rank=10,
        add=(GAP,),
        function=_error,
        count=PLURALITY,
    ),
)
