"""The rows of ``metrics/``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from raypipe.metrics.bootstrap import intervals
from raypipe.metrics.significance import p_value
from raypipe.metrics.sums import LEAST_UTTERANCES, Statistic

Key = tuple[str, str, str, str]
"""(model, prompt, strategy, slice)."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One row of ``metrics/``.

    Attributes:
        versus: the other strategy of a paired difference (strategy minus versus); None otherwise.
        value: None where undefined, e.g. without any valid utterance.
        ci_low: lower end of the 95 % interval; None where there is none.
        ci_high: its upper end; None where there is none.
        n: number of utterances behind the value.
        n_invalid: number of invalid predictions left out of it.
        note: what a reader has to know of the value, or why it has no interval; None for nothing.
        p_value: of a paired difference being 0, two-sided, not corrected for how many there are;
            None otherwise, and without replicates.
    """

    model: str
    prompt: str
    strategy: str
    slice: str
    metric: str
    versus: str | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_invalid: int
    note: str | None = None
    p_value: float | None = None


def metric_rows(
    key: Key,
    statistics: Mapping[str, Statistic],
    versus: str | None = None,
    units: int | None = None,
) -> list[MetricRow]:
    """Statistics by metric as rows, with percentile intervals over the replicates.

    Args:
        key: model, prompt, strategy and slice.
        statistics: by name of the row.
        versus: the other strategy, for paired differences.
        units: how many speakers the replicates draw from; None where they draw utterances.
    """
    drawn = [
        name
        for name, item in statistics.items()
        if item.bootstrapped and item.interval is None and item.values.size > 1
    ]
    none = float("nan"), float("nan")
    ends = {name: item.interval or none for name, item in statistics.items()}
    if drawn:
        both = intervals(np.stack([statistics[name].values[1:] for name in drawn]))
        ends |= {name: (low, high) for name, (low, high) in zip(drawn, both, strict=True)}
    return [
        metric_row(
            key,
            name,
            versus,
            (float(item.values[0]), *ends[name]),
            item.n,
            item.n_invalid,
            item.note,
            _p_value(item, units) if versus is not None else math.nan,
        )
        for name, item in statistics.items()
    ]


def _p_value(difference: Statistic, units: int | None) -> float:
    """Of a paired difference; NaN where its interval is withheld."""
    if difference.interval:
        return math.nan
    return p_value(difference.values, difference.n if units is None else min(units, difference.n))


def metric_row(
    key: Key,
    metric: str,
    versus: str | None,
    estimate: tuple[float, float, float],
    n: int,
    n_invalid: int,
    note: str | None = None,
    p: float = math.nan,
) -> MetricRow:
    """One row: a value, lower and upper end of its interval, its p-value, each None for NaN.

    Of fewer than :data:`~raypipe.metrics.sums.LEAST_UTTERANCES` utterances there is no interval.
    """
    if n < LEAST_UTTERANCES and not math.isnan(estimate[1]):
        estimate, p = (estimate[0], math.nan, math.nan), math.nan
        note = note or f"no interval: {n} utterances, {LEAST_UTTERANCES} are needed"
    p_or_none = None if math.isnan(p) else p
    value, low, high = (None if math.isnan(number) else float(number) for number in estimate)
    if value is None:
        low = high = note = None
    return MetricRow(*key, metric, versus, value, low, high, n, n_invalid, note, p_or_none)
