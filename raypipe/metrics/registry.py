"""All metrics, found by scanning ``catalogue/``; whatever is wrong with one of them fails here.

Nothing else lists metrics: add a module to that folder and the metric is in ``predictions/``,
``metrics/``, the report, ``raypipe metrics`` and the table of the README.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raypipe.discovery import modules_in
from raypipe.errors import RegistryError
from raypipe.metrics.kinds import AurocMetric, CostMetric, Of, SumsMetric, UtteranceMetric
from raypipe.metrics.metric import (
    HUMAN_SKILL_SUFFIX,
    MEDIAN_SUFFIX,
    SKILL_SUFFIX,
    UNIFORM_SUFFIX,
    Better,
    Metric,
    ScoredMetric,
)
from raypipe.metrics.sums import VALID, Summand

Array = NDArray[np.float64]

_Kind = TypeVar("_Kind", bound=Metric)


def collect(package: str) -> dict[str, Metric]:
    """The metrics of all modules of a package by name, in the order of the tables.

    Args:
        package: its name; each of its modules names its metrics in ``METRICS``.

    Raises:
        RegistryError: if a module names no metric or not all that it declares, or if two metrics
            have one name, place or row.
    """
    modules = modules_in(package)
    metrics: list[Metric] = []
    for module in modules:
        named = getattr(module, "METRICS", ())
        if not named or not all(isinstance(metric, Metric) for metric in named):
            raise RegistryError(f"{module.__name__} names no metric: METRICS is missing or empty")
        metrics += named
    for module in modules:
        for variable, value in vars(module).items():
            if isinstance(value, Metric) and value not in metrics:
                raise RegistryError(f"{module.__name__}: {variable} is not among its METRICS")
    _refuse_doubles(metrics)
    return {metric.name: metric for metric in sorted(metrics, key=lambda metric: metric.order)}


def _refuse_doubles(metrics: Iterable[Metric]) -> None:
    """Refuse two metrics, or two summands, for one thing."""
    owners: dict[object, str] = {}
    for metric in metrics:
        place = f"rank {metric.rank} in section {metric.section.name}"
        for claim in (f"name {metric.name}", place, *(f"row {row}" for row in metric.row_names)):
            if claim in owners:
                raise RegistryError(
                    f"two metrics, {owners[claim]!r} and {metric.name!r}, have {claim}"
                )
            owners[claim] = metric.name
    summands: dict[str, Summand] = {}
    for metric in metrics:
        for summand in metric.summands if isinstance(metric, ScoredMetric) else ():
            if summands.setdefault(summand.name, summand) is not summand:
                raise RegistryError(
                    f"metric {metric.name!r}: another summand is named {summand.name}"
                )


def _of_kind(kind: type[_Kind]) -> tuple[_Kind, ...]:
    return tuple(metric for metric in METRICS.values() if isinstance(metric, kind))


METRICS: Mapping[str, Metric] = MappingProxyType(collect("raypipe.metrics.catalogue"))
"""Every metric by name, in the order of the tables."""

PER_UTTERANCE = _of_kind(UtteranceMetric)
"""Functions of (truth, prediction)."""

COLUMNS = tuple(metric.name for metric in PER_UTTERANCE if metric.column)
"""Metrics that are columns of ``predictions/``, in order."""

SCORED_METRICS = _of_kind(ScoredMetric)
"""Metrics that are functions of sums."""

SKILLED = tuple(metric for metric in SCORED_METRICS if metric.skill)
"""Metrics with a skill row."""

COMPARED = tuple(metric for metric in SCORED_METRICS if metric.difference)
"""Metrics with paired differences between strategies."""

WITH_MEDIAN = tuple(metric for metric in PER_UTTERANCE if metric.median)
"""Metrics with a row of their median."""

AUROC_METRICS = _of_kind(AurocMetric)
"""AUROCs of an uncertainty."""

UNCERTAINTY_COLUMNS = tuple(metric.column for metric in AUROC_METRICS if metric.column is not None)
"""Columns of ``predictions/`` that hold an uncertainty."""

ANALYTIC = frozenset(
    (
        *(metric.name + MEDIAN_SUFFIX for metric in WITH_MEDIAN),
        *(metric.name for metric in AUROC_METRICS),
        *(metric.name for metric in _of_kind(SumsMetric) if metric.interval),
    )
)
"""Rows whose intervals take utterances for independent: no percentiles of replicates."""

OF_SPEAKERS_TO_COME = frozenset(
    metric.name for metric in _of_kind(SumsMetric) if metric.of_speakers_to_come
)
"""Rows whose intervals are for speakers to come."""

COSTS = tuple(metric.name for metric in _of_kind(CostMetric))
"""Columns of ``predictions/`` that say what an answer cost; each metric is a column's mean."""

SUMMANDS = tuple(
    {summand: None for metric in SCORED_METRICS for summand in (VALID, *metric.summands)}
)
"""All that is added up over utterances, once each."""


def per_utterance(truth: Array, prediction: Array) -> dict[str, Array]:
    """Every per-utterance metric of every row, by name, in the order of the tables.

    Args:
        truth: soft labels, shape ``(utterances, labels)``.
        prediction: predicted distributions, same shape.

    Returns:
        Arrays of shape ``(utterances,)``, NaN where undefined.

    Raises:
        ValueError: if the shapes differ, or a metric's function does not give one value per row.

    Example:
        >>> list(per_utterance(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])))[:3]
        ['js', 'js_distance', 'bc']
    """
    columns: dict[str, Array] = {}

    def column(metric: UtteranceMetric) -> Array:
        if metric.name not in columns:
            function = metric.function
            if isinstance(function, Of):
                values = function.transform(column(function.metric))
            else:
                values = function(truth, prediction)
            if values.shape != truth.shape[:1]:
                raise ValueError(
                    f"metric {metric.name!r}: {values.shape} values for {truth.shape[0]} utterances"
                )
            columns[metric.name] = values
        return columns[metric.name]

    return {metric.name: column(metric) for metric in PER_UTTERANCE}


def metric_of(row: str) -> Metric:
    """The metric that a row of ``metrics/`` belongs to.

    Raises:
        KeyError: if it belongs to none.

    Example:
        >>> metric_of("f1=anger").title, metric_of("js.median").title, metric_of("js_skill").title
        ('F1', 'JS', 'JS')
    """
    if row in METRICS:
        return METRICS[row]
    name = row.partition("=")[0]
    for suffix in (UNIFORM_SUFFIX, MEDIAN_SUFFIX, HUMAN_SKILL_SUFFIX, SKILL_SUFFIX):
        name = name.removesuffix(suffix)
    if name not in METRICS:
        raise KeyError(f"no metric has a row {row!r}")
    return METRICS[name]


def better(row: str) -> Better:
    """Which values of a row of ``metrics/`` are better.

    Raises:
        KeyError: if it is a row of no metric.

    Example:
        >>> better("kl"), better("js.invalid_as_uniform"), better("kl_skill"), better("ties")
        ('lower', 'lower', 'higher', 'neither')
    """
    metric = metric_of(row)
    skills = (metric.name + SKILL_SUFFIX, metric.name + HUMAN_SKILL_SUFFIX)
    return "higher" if row in skills else metric.better
