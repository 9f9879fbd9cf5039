"""Titles, directions, definitions and order of metrics and strategies, by name.

All that a page or a terminal table knows of single metrics and strategies stands here. A name that
is not known is shown as it is, after the known ones, and never ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Better = Literal["lower", "higher"]
NumberFormat = Literal["score", "share", "amount", "number"]
"""Three digits after the point, percent, a mean of whole numbers, or any number."""

PRIMARY: Final = "js"
"""The metric by which a report ranks strategies; lower is better."""
INVALID: Final = "invalid_rate"
TOKENS: Final = "model_tokens"
CALLS: Final = "verifier_calls"
ESCALATED: Final = "escalated"
PRIOR: Final = "prior"
BASELINES: Final = (PRIOR, "uniform")
"""The constant predictors, which listen to nothing."""


@dataclass(frozen=True, slots=True)
class _MetricFacts:
    """Facts about one metric.

    Attributes:
        better: the direction in which values improve; None where neither is better.
        definition: a sentence for the list of definitions; empty for metrics outside it.
        narrow: the title in a narrow column, if another.
    """

    title: str
    better: Better | None = None
    number_format: NumberFormat = "score"
    definition: str = ""
    narrow: str = ""


_METRICS: Final[Mapping[str, _MetricFacts]] = {
    "js": _MetricFacts(
        "JS",
        "lower",
        definition="Jensen\N{EN DASH}Shannon divergence of p and q, base 2, from 0 (equal) to 1; "
        "not its square root.",
    ),
    "bc": _MetricFacts(
        "BC",
        "higher",
        definition="Bhattacharyya coefficient, Σ √(p q), from 0 to 1 (equal).",
    ),
    "r2": _MetricFacts(
        "R²",
        "higher",
        definition="Squared Pearson correlation of p and q over the labels; undefined for a "
        "constant q, which is left out and counted.",
    ),
    "accuracy": _MetricFacts(
        "Accuracy",
        "higher",
        definition="Share of utterances whose predicted label is the plurality of the votes; "
        "those whose votes are tied are left out.",
        narrow="Acc.",
    ),
    "macro_f1": _MetricFacts(
        "Macro-F1",
        "higher",
        definition="Mean over the labels of F1 of the predicted label against the plurality of "
        "the votes.",
        narrow="Macro\nF1",
    ),
    INVALID: _MetricFacts("Invalid", "lower", "share", narrow="Inv-\nalid"),
    TOKENS: _MetricFacts("Tokens", "lower", "amount"),
    CALLS: _MetricFacts("Calls", "lower", "amount"),
    ESCALATED: _MetricFacts("Escalated", None, "share"),
    "js_distance": _MetricFacts("JS distance", "lower"),
    "bd": _MetricFacts("Bhattacharyya distance", "lower"),
    "kl": _MetricFacts("KL divergence", "lower"),
    "r2_det": _MetricFacts("Coefficient of determination", "higher"),
    "r2_undefined": _MetricFacts("R² undefined", None, "amount"),
    "f1": _MetricFacts("F1", "higher"),
    "annotator_accuracy": _MetricFacts("Accuracy against any annotator", "higher"),
    "annotator_macro_f1": _MetricFacts("Macro-F1 against any annotator", "higher"),
    "threshold_macro_f1": _MetricFacts("Macro-F1 above a threshold", "higher"),
    "ece": _MetricFacts("Expected calibration error", "lower"),
    "brier": _MetricFacts("Brier score", "lower"),
    "ties": _MetricFacts("Ties", None, "amount"),
    "uncertainty_auroc": _MetricFacts(
        "AUROC: its entropy finds the more ambiguous half",
        "higher",
    ),
    "aleatoric_auroc": _MetricFacts(
        "AUROC: its aleatoric uncertainty finds the more ambiguous half", "higher"
    ),
    "epistemic_auroc": _MetricFacts(
        "AUROC: its epistemic uncertainty finds the more ambiguous half", "higher"
    ),
}
_HEADLINE: Final = ("js", "bc", "r2", "accuracy", "macro_f1")
_CHARTED: Final = ("js", "bc")
_CALIBRATION: Final = ("ece", "brier", "uncertainty_auroc")
_VARIANTS: Final = {"invalid_as_uniform": "invalid as uniform", "median": "median"}
_SKILL: Final = "_skill"
_STRATEGIES: Final = (
    "greedy",
    "cot",
    "token",
    "token_softmax",
    "bon",
    "w_bon",
    "alm_v",
    "w_alm_v",
    "adaptive",
)


def headline_metrics() -> tuple[str, ...]:
    """The metrics of the main table, from left to right."""
    return _HEADLINE


def charted_metrics() -> tuple[str, ...]:
    """The metrics that are drawn by strategy and by ambiguity."""
    return _CHARTED


def calibration_metrics() -> tuple[str, ...]:
    """The metrics beside the calibration figure."""
    return _CALIBRATION


def title(metric: str) -> str:
    """Title of a metric; its name where it is not known.

    Example:
        >>> title("js"), title("js.invalid_as_uniform"), title("f1=anger"), title("js_skill")
        ('JS', 'JS, invalid as uniform', 'F1 of anger', 'Skill in JS')
        >>> title("my_metric")
        'my_metric'
    """
    if metric in _METRICS:
        return _METRICS[metric].title
    base, _, variant = metric.partition(".")
    if base in _METRICS and variant in _VARIANTS:
        return f"{_METRICS[base].title}, {_VARIANTS[variant]}"
    base, _, label = metric.partition("=")
    if base in _METRICS and label:
        return f"{_METRICS[base].title} of {label}"
    base = metric.removesuffix(_SKILL)
    return f"Skill in {_METRICS[base].title}" if base in _METRICS else metric


def narrow_title(metric: str) -> str:
    """Title of a metric for a narrow column of a terminal; may hold a line break."""
    facts = _METRICS.get(metric)
    return facts.narrow if facts is not None and facts.narrow else title(metric)


def better(metric: str) -> Better | None:
    """The direction in which a metric improves; None if neither, or if it is not known.

    Example:
        >>> better("kl.invalid_as_uniform"), better("kl_skill"), better("my_metric")
        ('lower', 'higher', None)
    """
    facts = _base_facts(metric)
    if facts is None and metric.removesuffix(_SKILL) in _METRICS:
        return "higher"
    return None if facts is None else facts.better


def number_format(metric: str) -> NumberFormat:
    """Format of a metric's values; ``number`` where the metric is not known."""
    facts = _base_facts(metric.removesuffix(_SKILL))
    return "number" if facts is None else facts.number_format


def _base_facts(metric: str) -> _MetricFacts | None:
    return _METRICS.get(metric.split(".")[0].split("=")[0])


def definition(metric: str) -> str:
    """Definition of a metric in a sentence; empty where none is known."""
    facts = _METRICS.get(metric)
    return "" if facts is None else facts.definition


def metric_rank(metric: str) -> int:
    """Position of a metric in a list of all; unknown ones share the last."""
    base = metric.split(".")[0].split("=")[0].removesuffix(_SKILL)
    names = tuple(_METRICS)
    return names.index(base) if base in names else len(names)


def strategy_rank(name: str) -> int:
    """Position of a strategy among those of one model and prompt.

    The known ones come in the order in which they grow out of each other, unknown ones share the
    place after them, and the constant predictors are last.

    Args:
        name: with or without the settings of a sweep in brackets.

    Example:
        >>> strategy_rank("greedy") < strategy_rank("w_bon[tau=2]") < strategy_rank("mine")
        True
        >>> strategy_rank("mine") < strategy_rank("prior")
        True
    """
    order = (*_STRATEGIES, "", *BASELINES)
    rule = name.partition("[")[0]
    return order.index(rule) if rule in order else len(_STRATEGIES)
