"""Scores of arousal, valence and dominance against the annotators' means.

All are functions of sums, n, sum x, sum y, sum x^2, sum y^2, sum xy and sum |x - y| (x the
annotators' mean, y the model's), which add up exactly (:mod:`raypipe.metrics.exact`). For that,
ratings are laid onto [-8, 8] by the smallest and the largest of the corpus; correlations do not
change by it, errors are laid back.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.exact import to_units
from raypipe.metrics.sums import NO_INTERVAL, Statistic, ratio, whole
from raypipe.records import ATTRIBUTES

Array = NDArray[np.float64]
Range = tuple[float, float]

STRATEGY = "attributes"
"""In the column ``strategy`` of ``metrics/``."""
TRUTH = ATTRIBUTES
PREDICTED = tuple(f"predicted_{name}" for name in ATTRIBUTES)
"""Columns of ``predictions/`` with the annotators' means and the model's ratings."""
REASON = "attributes_reason"
METRICS = ("ccc", "pearson", "mae", "rmse")
"""Rows of ``metrics/`` begin with these, ``ccc=arousal``."""

FEWEST = 100
"""Utterances that an interval needs."""

_HALF = 8.0  # squares stay below the limit of exact sums
_SUMS = 8


def rating_range(ratings: Array) -> Range | None:
    """The smallest and the largest of all ratings; None without any, or where all are one.

    Args:
        ratings: shape ``(utterances, 6)``, the annotators' and the model's, NaN where unknown.
    """
    known = ratings[~np.isnan(ratings)]
    if not known.size or known.min() == known.max():
        return None
    return float(known.min()), float(known.max())


def attribute_units(ratings: Array, asked: NDArray[np.bool_], span: Range) -> Array:
    """Summands of utterances, in units.

    Args:
        ratings: shape ``(utterances, 6)``: the annotators' three, then the model's; NaN where
            unknown.
        asked: whether the model was asked, shape ``(utterances,)``.
        span: of the whole corpus, from :func:`rating_range`.

    Returns:
        Shape ``(utterances, 24)``: eight sums for each attribute.
    """
    low, high = span
    laid = (ratings - low) * (2.0 * _HALF / (high - low)) - _HALF
    truth, predicted = laid[:, :3], laid[:, 3:]
    rated = ~np.isnan(truth) & asked[:, None]
    both = rated & ~np.isnan(predicted)
    x, y = np.where(both, truth, 0.0), np.where(both, predicted, 0.0)
    parts = (both, x, y, x * x, y * y, x * y, np.abs(x - y), rated & ~both)
    stacked = np.stack([part.astype(np.float64) for part in parts], axis=2)
    return to_units(stacked.reshape(len(ratings), 3 * _SUMS))


def attribute_statistics(sums: Array, span: Range) -> Mapping[str, Statistic]:
    """CCC, Pearson correlation, MAE and RMSE of every attribute that the corpus rates.

    CCC is the concordance correlation coefficient 2 cov / (var x + var y + (mean x - mean y)^2) of
    Lin, Biometrics 45 (1989), with variances over n.

    Args:
        sums: of :func:`attribute_units`, shape ``(1 + replicates, 24)``, not in units.
        span: as there.
    """
    rows: dict[str, Statistic] = {}
    step = (span[1] - span[0]) / (2.0 * _HALF)
    for place, name in enumerate(ATTRIBUTES):
        n, x, y, xx, yy, xy, gap, missing = sums[:, place * _SUMS : (place + 1) * _SUMS].T
        if not n[0] + missing[0]:
            continue
        count, none, note = whole(n[0]), None, None
        if count < FEWEST:
            none = NO_INTERVAL
            note = f"no interval: {count} utterances, {FEWEST} are needed"
        mean_x, mean_y = ratio(x, n), ratio(y, n)
        var_x = np.maximum(ratio(xx, n) - mean_x**2, 0.0)
        var_y = np.maximum(ratio(yy, n) - mean_y**2, 0.0)
        covariance = ratio(xy, n) - mean_x * mean_y
        apart = np.maximum(ratio(xx - 2.0 * xy + yy, n), 0.0)
        values = {
            "ccc": ratio(2.0 * covariance, var_x + var_y + (mean_x - mean_y) ** 2),
            "pearson": ratio(covariance, np.sqrt(var_x * var_y)),
            "mae": ratio(gap, n) * step,
            "rmse": np.sqrt(apart) * step,
        }
        for metric in METRICS:
            column = np.where(n > 0, values[metric], np.nan)
            rows[f"{metric}={name}"] = Statistic(
                column, count, whole(missing[0]), interval=none, note=note
            )
    return rows
