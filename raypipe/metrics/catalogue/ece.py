"""Expected calibration error of the dominant label, debiased."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.calibration import debiased_error, error_interval
from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import PLURALITY, Summand, Sums

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

    This plug-in, as published, is too large for few utterances: of a calibrated predictor it is
    .13 at 60 and .05 at 300 utterances. See :func:`debiased_calibration_error`.

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


def debiased_calibration_error(correct: Array, confidence: Array, bins: int = ECE_BINS) -> float:
    """ECE without most of the bias that noise gives the plug-in, in [0, plug-in].

    It is the error of which the plug-in would be expected to be as large as it is, see
    :func:`raypipe.metrics.calibration.debiased_error`.

    Args:
        correct: 1 where the dominant label is the plurality, shape ``(utterances,)``.
        confidence: share of the dominant label, shape ``(utterances,)``.
        bins: number of equal-width bins, see :func:`confidence_bin`.

    Returns:
        NaN without utterances.

    Example:
        >>> debiased_calibration_error(np.array([1.0, 0.0]), np.array([0.75, 0.75]))
        0.0
        >>> right, sure = np.repeat([0.0, 1.0], [300, 100]), np.full(400, 0.75)
        >>> round(debiased_calibration_error(right, sure), 6)
        0.5
    """
    if np.size(confidence) == 0:
        return float("nan")
    index, gap = confidence_bin(confidence, bins), np.asarray(correct) - confidence
    totals, squares = (np.bincount(index, weights=gap**power, minlength=bins) for power in (1, 2))
    return debiased_error(totals / gap.size, squares / gap.size**2)


def _gap(scored: Scored) -> Array:
    """Correctness minus confidence, in the column of the confidence's bin."""
    gap = np.zeros((scored.valid.size, ECE_BINS))
    rows = np.flatnonzero(scored.scorable)
    confidence = scored.confidence[rows]
    gap[rows, confidence_bin(confidence)] = scored.hit[rows] - confidence
    return gap


GAP = Summand("gap", _gap, width=ECE_BINS)
SQUARED_CALIBRATION_GAP = Summand(
    "squared_calibration_gap", lambda scored: _gap(scored) ** 2, width=ECE_BINS
)

LEAST_UTTERANCES = 300
"""Utterances from which on the interval is given. Of fewer, it holds the truth in less than 92.5 %
of some predictors' data sets (``tests/bench/bench_coverage.py``)."""


def _gaps_and_variances(sums: Sums) -> tuple[Array, Array]:
    """Mean gaps of the bins, and their sampling variances."""
    count = sums.total(PLURALITY)[0]
    return sums[GAP][0] / count, sums[SQUARED_CALIBRATION_GAP][0] / count**2


def _error(sums: Sums) -> Array:
    if sums.total(PLURALITY)[0] <= 0.0:
        return np.array([np.nan])
    return np.array([debiased_error(*_gaps_and_variances(sums))])


def _interval(sums: Sums) -> tuple[float, float]:
    counts = sums.total(PLURALITY)
    if counts[0] < LEAST_UTTERANCES:
        return float("nan"), float("nan")
    gaps, variances = _gaps_and_variances(sums)
    drawn = counts[1:] > 0.0
    replicates = sums[GAP][1:][drawn] / counts[1:][drawn, None]
    return error_interval(gaps, variances, replicates - gaps)


def _note(sums: Sums) -> str | None:
    if sums.number(PLURALITY) >= LEAST_UTTERANCES:
        return None
    return (
        f"no interval below {LEAST_UTTERANCES} utterances: of fewer, it would hold the true value "
        "in less than 92.5 % of cases for some predictors"
    )


METRICS = (
    SumsMetric(
        name="ece",
        title="ECE",
        description=f"expected calibration error of the dominant label, {ECE_BINS} equal bins, "
        "less the bias of its noise",
        range=(0.0, 1.0),
        better="lower",
        undefined="every utterance's plurality is tied",
        source="e of which sum_b n_b / n |accuracy_b - confidence_b| (Naeini et al., AAAI 2015) is "
        "expected to be what it is; MacKinnon and Smith, J. Econometrics 85 (1998)",
        section=Section.CALIBRATION,
        rank=10,
        of_humans=False,
        add=(GAP, SQUARED_CALIBRATION_GAP),
        function=_error,
        count=PLURALITY,
        interval=_interval,
        note=_note,
    ),
)
