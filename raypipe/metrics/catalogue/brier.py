"""Brier score of the dominant label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import PLURALITY, Summand, Sums, ratio

Array = NDArray[np.float64]


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


def _squared_gap(scored: Scored) -> Array:
    """E (confidence - hit)^2 for a hit with the probability ``correct``; 0 where not scorable."""
    squared = np.zeros(scored.valid.size)
    rows = np.flatnonzero(scored.scorable)
    confidence, correct = scored.confidence[rows], scored.hit[rows]
    squared[rows] = confidence**2 - 2.0 * confidence * correct + correct
    return squared


SQUARED_GAP = Summand("brier", _squared_gap)


def _score(sums: Sums) -> Array:
    return ratio(sums[SQUARED_GAP], sums.total(PLURALITY))


METRICS = (
    SumsMetric(
        name="brier",
        title="Brier",
        description="Brier score of the dominant label: mean squared gap of share and correctness",
        range=(0.0, 1.0),
        better="lower",
        undefined="every utterance's plurality is tied",
        source="mean (confidence - correct)^2; Brier, Mon. Weather Rev. 78 (1950)",
        section=Section.CALIBRATION,
        rank=20,
        add=(SQUARED_GAP,),
        function=_score,
        count=PLURALITY,
    ),
)
