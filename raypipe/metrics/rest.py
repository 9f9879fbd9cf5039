"""A slice beside the rest of its column: how far its metrics are from those of all other slices.

Slices of a column share no utterance, so no difference is paired. The rest's sums are those of
the other slices, added: nothing is read again, and the bits do not depend on any cut.

The intervals of a column's slices hold together with 95 %: each runs between the same ranks r and
R + 1 - r of its R replicates, with the largest r at which 95 % of the replicates lie inside of all
(balanced simultaneous percentiles; Beran, J. Am. Stat. Assoc. 83 (1988)). So the most distant of
many slices is not taken for one that differs because there are many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics.columns import SlicedColumn
from raypipe.metrics.drawn import NOT_INDEPENDENT, without_interval
from raypipe.metrics.exact import SCALE
from raypipe.metrics.metric import REST_SUFFIX
from raypipe.metrics.metric_rows import Key, MetricRow, metric_row
from raypipe.metrics.registry import ANALYTIC, SCORED_METRICS
from raypipe.metrics.statistics import named_sums
from raypipe.metrics.sums import Statistic

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

COMPARED_WITH_REST = tuple(metric for metric in SCORED_METRICS if metric.headline)
"""Metrics whose differences from the rest are given."""

LEVEL = 0.95


def rest_rows(
    approach: tuple[str, str, str],
    column: SlicedColumn,
    sums: Mapping[str, Integers],
    labels: LabelSet,
) -> dict[Key, list[MetricRow]]:
    """Rows of the differences of a column's slices from the rest, by slice.

    Args:
        approach: model, prompt and strategy.
        column: the column.
        sums: of every slice of the column that the approach has rows in, shape
            ``(1 + replicates, columns)``.
        labels: the K labels.
    """
    if len(sums) < 2:
        return {}
    inner = {name: _statistics(block, labels) for name, block in sums.items()}
    whole = np.sum(list(sums.values()), axis=0)
    outer = {name: _statistics(whole - block, labels) for name, block in sums.items()}
    rows: dict[Key, list[MetricRow]] = {(*approach, name): [] for name in sums}
    for metric in COMPARED_WITH_REST:
        own = {name: inner[name][metric.name] for name in sums}
        others = {name: outer[name][metric.name] for name in sums}
        values = {name: own[name].values - others[name].values for name in sums}
        reasons = {
            name: column.too_few_to_compare(name, own[name].n, others[name].n) for name in sums
        }
        usable = [name for name in sums if reasons[name] is None and values[name].size > 1]
        ends = dict(zip(usable, together([values[name] for name in usable]), strict=True))
        for name in sums:
            low, high = ends.get(name, (float("nan"), float("nan")))
            rows[(*approach, name)].append(
                metric_row(
                    (*approach, name),
                    metric.name + REST_SUFFIX,
                    None,
                    (float(values[name][0]), low, high),
                    own[name].n,
                    own[name].n_invalid,
                    reasons[name],
                )
            )
    return rows


def of_speakers(rows: Sequence[MetricRow], column: SlicedColumn) -> list[MetricRow]:
    """Rows of a slice, without the intervals that do not hold for it.

    Where a column is the same for all utterances of a speaker, whole speakers are drawn. With few
    of them there is no interval, and none of medians, AUROCs and ECE, whose utterances would count
    as independent.
    """
    if not column.of_speaker:
        return [*rows]
    few = {name: column.too_few(name) for name in {row.slice for row in rows}}
    return [
        without_interval(row, few[row.slice] or NOT_INDEPENDENT)
        if few[row.slice] or row.metric in ANALYTIC
        else row
        for row in rows
    ]


def _statistics(sums: Integers, labels: LabelSet) -> dict[str, Statistic]:
    named = named_sums(sums / SCALE, labels)
    return {metric.name: metric.rows(named)[metric.name] for metric in COMPARED_WITH_REST}


def together(differences: Sequence[Array]) -> list[tuple[float, float]]:
    """Intervals that hold together, from differences of shape ``(1 + replicates,)`` each.

    NaN where a slice has no replicates, or none that differ.
    """
    none = (float("nan"), float("nan"))
    if not differences:
        return []
    drawn = np.stack(differences)[:, 1:]
    drawn = drawn[:, ~np.isnan(drawn).any(axis=0)]
    count = drawn.shape[1]
    if not count:
        return [none] * len(differences)
    ordered = np.sort(drawn, axis=1)
    # Of equal replicates the depth is that of the outermost: both ends count them as inside.
    below = [
        np.searchsorted(row, values, "right") for row, values in zip(ordered, drawn, strict=True)
    ]
    above = [
        count - np.searchsorted(row, values) for row, values in zip(ordered, drawn, strict=True)
    ]
    depth = np.minimum(np.stack(below), np.stack(above)).min(axis=0)
    rank = max(int(np.sort(depth)[int((1.0 - LEVEL) * count)]), 1)
    return [
        none if row[0] == row[-1] else (float(row[rank - 1]), float(row[count - rank]))
        for row in ordered
    ]
