"""The strategies of a run that are best, as far as they can be told apart."""

from __future__ import annotations

from dataclasses import dataclass

from raypipe.metrics.significance import LEVEL, holm
from raypipe.reporting.comparison import p_text
from raypipe.reporting.names import PRIMARY
from raypipe.reporting.run.scores import Approach, Estimate, Scores
from raypipe.reporting.text import difference, interval


def leaders(scores: Scores, slice_name: str = "all") -> tuple[Approach, ...]:
    """The best strategy by the ranking metric, and after it those not told apart from it.

    Two strategies of one model and prompt are told apart by the p-value of their paired
    difference, corrected for all pairs of strategies that the table has (Holm); two of different
    ones, and those without a paired difference, where their intervals do not touch. Best first;
    empty without any score. Strategies that are scored on a part of the utterances are left out.
    """
    best = scores.best(PRIMARY, slice_name)
    if best is None:
        return ()
    corrected = _corrected(scores, slice_name)
    partial = scores.partial(scores.strategies(), slice_name)
    estimates = {
        approach: estimate
        for approach in scores.strategies()
        if approach not in partial
        and (estimate := scores.get(approach, PRIMARY, slice_name)) is not None
    }
    tied = [
        approach
        for approach, estimate in estimates.items()
        if approach != best
        and not _told_apart(estimates[best], estimate, corrected.get(frozenset((best, approach))))
    ]
    return best, *sorted(tied, key=lambda approach: estimates[approach].value)


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One strategy minus the best one of its model and prompt in the ranking metric, as texts."""

    heading: str
    name: str
    difference: str
    interval: str
    p: str
    is_told_apart: bool


def difference_rows(scores: Scores) -> tuple[DifferenceRow, ...]:
    """Every strategy's paired difference from the best one of the same model and prompt."""
    corrected = _corrected(scores, "all")
    rows = []
    for group in scores.groups():
        best = scores.best_of(group.approaches, PRIMARY)
        if best is None or best.is_reference:
            continue
        heading = group.title
        for approach in group.approaches:
            paired = scores.get(approach, PRIMARY, versus=best.strategy)
            p = corrected.get(frozenset((approach, best)))
            if paired is None or p is None or paired.low is None or paired.high is None:
                continue
            name = f"{approach.strategy} \N{MINUS SIGN} {best.strategy}"
            ends = interval(difference(paired.low), difference(paired.high))
            gap = difference(paired.value)
            rows.append(DifferenceRow(heading, name, gap, ends, p_text(p), p < LEVEL))
            heading = ""
    return tuple(rows)


def _corrected(scores: Scores, slice_name: str) -> dict[frozenset[Approach], float]:
    """p-values of the paired differences in the ranking metric, corrected, by pair."""
    values: dict[frozenset[Approach], float] = {}
    strategies = scores.strategies()
    for approach in strategies:
        for other in strategies:
            if (approach.model, approach.prompt) == (other.model, other.prompt):
                paired = scores.get(approach, PRIMARY, slice_name, versus=other.strategy)
                if paired is not None and paired.p_value is not None:
                    values[frozenset((approach, other))] = paired.p_value
    return dict(zip(values, holm(list(values.values())), strict=True))


def _told_apart(best: Estimate, other: Estimate, corrected: float | None) -> bool:
    if corrected is not None:
        return corrected < LEVEL
    # Lower is better. Without intervals there is nothing that could tell them apart.
    return best.high is not None and other.low is not None and best.high < other.low
