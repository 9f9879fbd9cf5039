"""Statistics that no sum gives: medians and AUROCs, from counts of values.

Their intervals are analytic, not bootstrapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.auroc import auroc_from_counts
from raypipe.metrics.exact import ValueCounts, to_units
from raypipe.metrics.metric import MEDIAN_SUFFIX
from raypipe.metrics.metric_rows import Key, MetricRow, metric_row
from raypipe.metrics.registry import AUROC_METRICS, UNCERTAINTY_COLUMNS, WITH_MEDIAN
from raypipe.metrics.scored import Scored

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CountedValues:
    """Values to be counted, each in a class.

    Attributes:
        units: values in units, see :mod:`raypipe.metrics.exact`, shape ``(utterances,)``.
        known: utterances that have a value, shape ``(utterances,)``.
        classes: class of each utterance, shape ``(utterances,)``.
        class_count: number of classes.
    """

    units: Array
    known: Mask
    classes: Indices
    class_count: int

    @classmethod
    def of(cls, values: Array, classes: Indices, class_count: int) -> CountedValues:
        """Values of shape ``(utterances,)``, NaN where unknown."""
        return cls(to_units(values), ~np.isnan(values), classes, class_count)

    def counts(self, rows: Indices) -> ValueCounts:
        """Counts of the known values among some rows."""
        chosen = rows[self.known[rows]]
        return ValueCounts.of_units(self.units[chosen], self.classes[chosen], self.class_count)


def predicted_values(scored: Scored, ambiguous: Mask) -> dict[str, CountedValues]:
    """What is counted of a strategy's predictions, by row of ``metrics/``.

    Args:
        scored: the strategy.
        ambiguous: utterances with more entropy than the median, shape ``(utterances,)``.
    """
    one_class = np.zeros(ambiguous.size, dtype=np.int64)
    counted = {
        metric.name + MEDIAN_SUFFIX: CountedValues.of(metric.values(scored), one_class, 1)
        for metric in WITH_MEDIAN
    }
    for metric in AUROC_METRICS:
        if metric.function is not None:
            values = np.full(ambiguous.size, np.nan)
            values[scored.valid] = metric.function(scored.probs[scored.valid])
            counted[metric.name] = CountedValues.of(values, ambiguous.astype(np.int64), 2)
    return counted


def stated_values(
    scored: Scored, uncertainty: Array | None, ambiguous: Mask
) -> dict[str, CountedValues]:
    """What is counted of the uncertainties that a strategy states, by row of ``metrics/``.

    Args:
        scored: the strategy.
        uncertainty: its uncertainties, shape ``(utterances, columns)``; None where it has none.
        ambiguous: utterances with more entropy than the median, shape ``(utterances,)``.
    """
    counted = {}
    for metric in AUROC_METRICS:
        if metric.column is not None:
            values = np.full(ambiguous.size, np.nan)
            if uncertainty is not None:
                column = uncertainty[:, UNCERTAINTY_COLUMNS.index(metric.column)]
                values = np.where(scored.valid, column, np.nan)
            counted[metric.name] = CountedValues.of(values, ambiguous.astype(np.int64), 2)
    return counted


def counted_rows(
    key: Key, counts: Mapping[str, ValueCounts], n_invalid: int
) -> Iterator[MetricRow]:
    """Medians, then AUROCs; none of an uncertainty that no utterance has."""
    for median in WITH_MEDIAN:
        name = median.name + MEDIAN_SUFFIX
        n = int(counts[name].counts.sum())
        yield metric_row(key, name, None, counts[name].median(), n, n_invalid)
    for metric in AUROC_METRICS:
        by_class = counts[metric.name].counts
        n = int(by_class.sum())
        if n or metric.column is None:
            area = auroc_from_counts(by_class[:, 0], by_class[:, 1])
            yield metric_row(key, metric.name, None, area, n, n_invalid)
