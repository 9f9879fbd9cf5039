"""Debiased calibration error and its interval, from the gaps of confidence bins.

The plug-in ECE, the sum of |gap| over the bins, is too large: noise in a gap never cancels. Both
the estimate and the interval below ask which true error would make the plug-in as large as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

LOW_TAIL, HIGH_TAIL = 0.0275, 0.015
"""Probabilities of a true error below and above the interval. Not equal: of a calibrated predictor
only the low end can miss, and of others bootstrap replicates are a little too narrow at the top."""

# Bisections: to the last bits of a double, and as finely as replicates can tell.
_STEPS = 50
_STEPS_OF_AN_INTERVAL = 30


def folded_mean(mean: Array, deviation: Array) -> Array:
    """E|X| of normal X; |mean| where the deviation is 0.

    Args:
        mean: of X, any shape.
        deviation: standard deviation of X, same shape.

    Example:
        >>> folded_mean(np.array([0.0, 2.0]), np.array([1.0, 0.0])).round(6)
        array([0.797885, 2.      ])
    """
    scale = np.where(deviation > 0.0, deviation, 1.0)
    ratio = mean / scale
    folded = scale * np.sqrt(2.0 / np.pi) * np.exp(-0.5 * ratio**2)
    folded += mean * (1.0 - 2.0 * ndtr(-ratio))
    return np.asarray(np.where(deviation > 0.0, folded, np.abs(mean)))


def debiased_error(gaps: Array, variances: Array) -> float:
    """The error of which the plug-in would be expected to be as large as it is, in [0, plug-in].

    The true gaps are taken to be in the proportions of the observed ones; 0 where a calibrated
    predictor is expected to have as large a plug-in. The idea is MacKinnon and Smith's (Journal of
    Econometrics 85 (1998)), with normal noise in every gap.

    Args:
        gaps: sum of correct - confidence in each bin over the number of utterances, shape
            ``(bins,)``.
        variances: sampling variances of the gaps, shape ``(bins,)``.

    Example:
        >>> debiased_error(np.array([0.1, 0.0]), np.array([0.0, 0.0]))
        0.1
        >>> debiased_error(np.array([0.1, -0.1]), np.array([0.04, 0.04]))
        0.0
    """
    deviations = np.sqrt(variances)
    plug_in = float(np.abs(gaps).sum())

    def is_not_too_large(part: float) -> bool:
        return float(folded_mean(part * gaps, deviations).sum()) <= plug_in

    return plug_in * _last(is_not_too_large, 1.0)


def error_interval(gaps: Array, variances: Array, noise: Array) -> tuple[float, float]:
    """95 % interval of the calibration error, by test inversion.

    An error belongs to it if a plug-in as small and one as large as the observed one are both
    credible under it, with the replicates' deviations as noise (hybrid resampling: Chuang and Lai,
    Statistica Sinica 10 (2000)). The true gaps are not known, only their sum: for the low end they
    are those nearest to the observed ones, which are small or none where noise can explain them;
    for the high end they are in the observed proportions.

    Args:
        gaps: as for :func:`debiased_error`.
        variances: as for :func:`debiased_error`.
        noise: replicates less the observed gaps, shape ``(replicates, bins)``.

    Returns:
        Low and high end, in [0, 1].
    """
    noisy = variances > 0.0  # the other bins have no gap
    size, variances = np.abs(gaps[noisy]), variances[noisy]
    aligned = np.where(gaps[noisy] < 0.0, -1.0, 1.0) * noise[:, noisy]
    plug_in = float(size.sum())
    if plug_in == 0.0:
        return 0.0, 0.0

    def share_as_large(true_size: Array) -> float:
        simulated = np.abs(true_size + aligned).sum(axis=1)
        return float((simulated >= plug_in).mean())

    def shrunk(amount: float) -> Array:
        return np.maximum(size - amount * variances, 0.0)

    def is_large_enough(amount: float) -> bool:
        return share_as_large(shrunk(amount)) >= LOW_TAIL

    def is_small_enough(factor: float) -> bool:
        return share_as_large(factor * size) <= 1.0 - HIGH_TAIL

    most = float((size / variances).max())
    low = 0.0
    if share_as_large(np.zeros(size.shape)) < LOW_TAIL:
        low = float(shrunk(_last(is_large_enough, most, _STEPS_OF_AN_INTERVAL)).sum())
    high = plug_in * _last(is_small_enough, 1.0 / plug_in, _STEPS_OF_AN_INTERVAL)
    return low, high


def _last(holds: Callable[[float], bool], end: float, steps: int = _STEPS) -> float:
    """Last point of [0, end] up to which a condition holds, by bisection; 0 if it never does."""
    if not holds(0.0):
        return 0.0
    if holds(end):
        return end
    low, high = 0.0, end
    for _ in range(steps):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
