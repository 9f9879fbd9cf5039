"""What a table of a sweep shows: the metrics that its settings change, one row for equal ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raypipe.metrics.registry import AUROC_METRICS
from raypipe.reporting.run.scores import Approach, Scores


def swept_metrics(scores: Scores, shown: Sequence[str], slice_name: str = "all") -> tuple[str, ...]:
    """Metrics of a stated uncertainty in which variants differ that are equal in all else.

    A setting such as ``tau`` changes nothing else, so that a table of scores alone would show its
    values as so many equal rows.

    Args:
        scores: of the run.
        shown: metrics that the table has anyway.
        slice_name: of the table.
    """
    uncertainties = (metric.name for metric in AUROC_METRICS if metric.column is not None)
    rows = rows_apart(scores, shown, slice_name)
    return tuple(
        metric
        for metric in uncertainties
        if metric not in shown and len(rows_apart(scores, (*shown, metric), slice_name)) > len(rows)
    )


def rows_apart(
    scores: Scores, metrics: Sequence[str], slice_name: str = "all"
) -> Mapping[Approach, tuple[Approach, ...]]:
    """The approaches that a table shows, each with those that it stands for, itself included.

    Variants of one strategy are equal if every estimate of these metrics is, interval included:
    the first one stands for all of them.
    """
    alike: dict[object, list[Approach]] = {}
    for approach in scores.approaches:
        rule = approach.strategy.partition("[")[0]
        estimates = tuple(scores.get(approach, metric, slice_name) for metric in metrics)
        alike.setdefault((approach.model, approach.prompt, rule, estimates), []).append(approach)
    return {variants[0]: tuple(variants) for variants in alike.values()}


def common_name(strategies: Sequence[str]) -> str:
    """The name of variants of one strategy: with the settings that all of them have.

    Example:
        >>> common_name(["bon[beams=2of5,tau=1]", "bon[beams=3of5,tau=1]"])
        'bon[tau=1]'
        >>> common_name(["adaptive[cheap=w_bon[beams=3,tau=1]]"])
        'adaptive[cheap=w_bon[beams=3,tau=1]]'
    """
    if len(strategies) == 1:
        return strategies[0]
    rule = strategies[0].partition("[")[0]
    first, *others = (_settings(name) for name in strategies)
    common = [setting for setting in first if all(setting in other for other in others)]
    return f"{rule}[{','.join(common)}]" if common else rule


def _settings(name: str) -> list[str]:
    """The settings in a name's brackets; brackets inside them are a part of theirs."""
    inside = name.partition("[")[2].removesuffix("]")
    settings, depth = [""], 0
    for character in inside:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            settings.append("")
        else:
            settings[-1] += character
    return [setting for setting in settings if setting]
