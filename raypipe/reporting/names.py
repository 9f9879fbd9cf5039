"""Titles, directions, definitions and order of metrics and strategies, by name.

All of it is asked of the registries of metrics and strategies; a page or a terminal table knows no
single one beside those named here. A name that is not known is shown as it is, after the known
ones, and never ranked.
"""

from __future__ import annotations

from typing import Final, Literal

from raypipe.metrics.baselines import HUMANS, PRIOR, REFERENCES
from raypipe.metrics.metric import (
    HUMAN_SKILL_SUFFIX,
    MEDIAN_SUFFIX,
    REST_SUFFIX,
    SKILL_SUFFIX,
    UNIFORM_SUFFIX,
    Metric,
    Section,
)
from raypipe.metrics.registry import AUROC_METRICS, METRICS, WITH_MEDIAN
from raypipe.strategies.registry import STRATEGIES

__all__ = ["HUMANS", "PRIOR", "REFERENCES"]

Better = Literal["lower", "higher"]
NumberFormat = Literal["score", "share", "amount", "number"]
"""Three digits after the point, percent, a mean of whole numbers, or any number."""

PRIMARY: Final = "js"
"""The metric by which a report ranks strategies; lower is better."""
INVALID: Final = "invalid_rate"
TOKENS: Final = "model_tokens"
CALLS: Final = "verifier_calls"
ESCALATED: Final = "escalated"
PREDICTION_TIES: Final = "prediction_ties"

_VARIANTS: Final = {
    UNIFORM_SUFFIX: "invalid as uniform",
    MEDIAN_SUFFIX: "median",
    REST_SUFFIX: "less the other slices'",
}


def headline_metrics() -> tuple[str, ...]:
    """The metrics of the main table, from left to right."""
    return tuple(metric.name for metric in METRICS.values() if metric.headline)


def charted_metrics() -> tuple[str, ...]:
    """The metrics that are drawn by strategy and by ambiguity."""
    return tuple(metric.name for metric in WITH_MEDIAN if metric.headline)


def calibration_metrics() -> tuple[str, ...]:
    """The metrics beside the calibration figure."""
    calibrated = [metric for metric in METRICS.values() if metric.section == Section.CALIBRATION]
    by_entropy = [metric for metric in AUROC_METRICS if metric.column is None]
    return tuple(metric.name for metric in (*calibrated, *by_entropy))


def title(metric: str) -> str:
    """Title of a metric; its name where it is not known.

    Example:
        >>> title("js"), title("js.invalid_as_uniform"), title("f1=anger"), title("js_skill")
        ('JS', 'JS, invalid as uniform', 'F1 of anger', 'Skill in JS')
        >>> title("my_metric")
        'my_metric'
    """
    known = _known(metric)
    if known is None:
        return metric
    rest = metric.removeprefix(known.name)
    if rest == SKILL_SUFFIX:
        return f"Skill in {known.title}"
    if rest == HUMAN_SKILL_SUFFIX:
        return f"{known.title}, prior 0, humans 1"
    if rest in _VARIANTS:
        return f"{known.title}, {_VARIANTS[rest]}"
    return f"{known.title} of {rest[1:]}" if rest.startswith("=") else known.title


def narrow_title(metric: str) -> str:
    """Title of a metric for a narrow column of a terminal; may hold a line break."""
    known = METRICS.get(metric)
    return known.narrow if known is not None and known.narrow else title(metric)


def better(metric: str) -> Better | None:
    """The direction in which a metric improves; None if neither, or if it is not known.

    Example:
        >>> better("kl.invalid_as_uniform"), better("kl_skill"), better("my_metric")
        ('lower', 'higher', None)
    """
    known = _known(metric)
    if known is None or known.better == "neither":
        return None
    skills = (known.name + SKILL_SUFFIX, known.name + HUMAN_SKILL_SUFFIX)
    return "higher" if metric in skills else known.better


def number_format(metric: str) -> NumberFormat:
    """Format of a metric's values; ``number`` where the metric is not known."""
    known = _known(metric)
    if known is None:
        return "number"
    if known.section not in (Section.COVERAGE, Section.COST):
        return "score"
    return "share" if known.range == (0.0, 1.0) else "amount"


def definition(metric: str) -> str:
    """Definition of a metric in a sentence; empty where none is known."""
    known = METRICS.get(metric)
    if known is None:
        return ""
    return f"{known.description[0].upper()}{known.description[1:]}: {known.source}."


def metric_rank(metric: str) -> int:
    """Position of a metric in a list of all; unknown ones share the last."""
    known, names = _known(metric), tuple(METRICS)
    return len(names) if known is None else names.index(known.name)


def _known(metric: str) -> Metric | None:
    """The metric that a row of ``metrics/`` derives from; None where there is none.

    ``f1=anger`` is one of several rows of ``f1``; ``js.median``, ``js.invalid_as_uniform`` and
    ``js_skill`` derive from ``js``.
    """
    name = metric.partition("=")[0]
    for suffix in ("", *_VARIANTS, HUMAN_SKILL_SUFFIX, SKILL_SUFFIX):
        known = METRICS.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if known is not None:
            return known
    return None


def strategy_rank(name: str) -> int:
    """Position of a strategy among those of one model and prompt.

    The known ones come in the order of the registry, unknown ones share the place after them, and
    references are last.

    Args:
        name: with or without the settings of a sweep in brackets.

    Example:
        >>> strategy_rank("greedy") < strategy_rank("w_bon[tau=2]") < strategy_rank("mine")
        True
        >>> strategy_rank("mine") < strategy_rank("prior")
        True
    """
    order = (*STRATEGIES, "", *REFERENCES)
    rule = name.partition("[")[0]
    return order.index(rule) if rule in order else len(STRATEGIES)
