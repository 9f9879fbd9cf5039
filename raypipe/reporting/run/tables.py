"""Tables of the page about a run as texts, ready for a page or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from raypipe.metrics.metric import HUMAN_SKILL_SUFFIX
from raypipe.reporting.names import (
    CALLS,
    ESCALATED,
    HUMANS,
    INVALID,
    PRIMARY,
    PRIOR,
    TOKENS,
    NumberFormat,
    headline_metrics,
    number_format,
    title,
)
from raypipe.reporting.run.digest import PredictionTally
from raypipe.reporting.run.headline import compare
from raypipe.reporting.run.leaders import leaders
from raypipe.reporting.run.scores import Approach, Estimate, Scores
from raypipe.reporting.run.sweep import common_name, rows_apart, swept_metrics
from raypipe.reporting.text import (
    NONE,
    amount,
    clean,
    count,
    difference,
    interval,
    percent,
    score,
)

PENALISED: Final = f"{PRIMARY}.invalid_as_uniform"
"""The ranking metric with every invalid answer counted as the uniform distribution."""

HUMAN_SKILL: Final = f"{PRIMARY}{HUMAN_SKILL_SUFFIX}"
"""Skill in the ranking metric between the prior and the annotators."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One value as text, with its interval where it has one."""

    value: str
    interval: str = ""
    is_best: bool = False


EMPTY: Final = TableCell(NONE)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One approach and its cells, aligned with the table's columns.

    Attributes:
        heading: of the group that begins with this row; empty where none does.
        is_best: whether it is the best strategy, or not told apart from it.
        variants: number of the strategy's variants with these numbers, for which the row stands.
    """

    name: str
    heading: str
    is_reference: bool
    is_best: bool
    cells: tuple[TableCell, ...]
    variants: int = 1


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Approaches by metrics.

    Attributes:
        n: utterances behind the first column, smallest and largest; (0, 0) if nothing is scored.
    """

    columns: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    n: tuple[int, int]


def estimate_cell(
    estimate: Estimate | None, form: NumberFormat = "score", *, best: bool = False
) -> TableCell:
    """A value and its interval as text."""
    if estimate is None:
        return EMPTY
    value = percent(estimate.value) if form == "share" else _bound(estimate.value, form)
    if estimate.low is None or estimate.high is None:
        return TableCell(value, is_best=best)
    ends = interval(_bound(estimate.low, form), _bound(estimate.high, form))
    return TableCell(value, ends, best)


def _bound(value: float, form: NumberFormat) -> str:
    if form == "amount" or (form == "number" and abs(value) >= 100):
        return amount(value)
    return score(100 * value, 1) if form == "share" else score(value)


def cost_metrics(scores: Scores, slice_name: str = "all") -> tuple[str, ...]:
    """Names of the cost metrics that the table has; verifier calls only if there were any."""

    def values(metric: str) -> list[float]:
        estimates = (scores.get(approach, metric, slice_name) for approach in scores.strategies())
        return [estimate.value for estimate in estimates if estimate is not None]

    wanted = {
        TOKENS: bool(values(TOKENS)),
        CALLS: any(values(CALLS)),
        ESCALATED: bool(values(ESCALATED)),
    }
    return tuple(metric for metric, is_wanted in wanted.items() if is_wanted)


def score_table(scores: Scores, slice_name: str = "all") -> ScoreTable:
    """Every approach with every headline metric, the best value of each column marked.

    A constant predictor may hold the best value of a score and is marked like any other; it is
    never best at giving valid answers, because it gives none. The annotators' agreement is not
    ranked: it is measured on other votes. Variants of a strategy that are equal
    in all columns are one row; where a sweep's settings change an uncertainty and no score, that
    uncertainty is a column.
    """
    metrics = list(headline_metrics())
    if any(_penalised(scores, approach, slice_name) for approach in scores.strategies()):
        metrics.insert(1, PENALISED)
    metrics += swept_metrics(scores, (*metrics, INVALID), slice_name)
    best = {metric: _best_value(scores, scores.ranked(), metric, slice_name) for metric in metrics}
    ranked_first = leaders(scores, slice_name)
    versus = _versus_prior(scores, slice_name)
    skills = any(scores.get(each, HUMAN_SKILL, slice_name) for each in scores.strategies())
    costs = cost_metrics(scores, slice_name)
    apart = rows_apart(scores, (*metrics, INVALID, *costs), slice_name)
    headings = {group.approaches[0]: group.title for group in scores.groups()}
    rows = []
    for approach, variants in apart.items():
        cells = [_cell(scores, approach, metric, slice_name, best[metric]) for metric in metrics]
        if skills:
            cells.insert(1, estimate_cell(scores.get(approach, HUMAN_SKILL, slice_name)))
        if versus:
            cells.insert(1, versus.get(approach, EMPTY))
        invalid = scores.invalid_rate(approach, slice_name)
        form = number_format(INVALID)
        cells.append(EMPTY if approach.is_reference else estimate_cell(invalid, form))
        for metric in costs:
            cost = scores.get(approach, metric, slice_name)
            cells.append(estimate_cell(cost, number_format(metric)))
        rows.append(
            ScoreRow(
                _row_name(scores, variants),
                headings.get(approach, ""),
                approach.is_reference,
                approach in ranked_first,
                tuple(cells),
                len(variants),
            )
        )
    titles = [title(metric) for metric in (*metrics, INVALID, *costs)]
    if skills:
        titles.insert(1, title(HUMAN_SKILL))
    if versus:
        titles.insert(1, f"{title(PRIMARY)} \N{MINUS SIGN} prior's")
    estimates = [scores.get(approach, PRIMARY, slice_name) for approach in scores.approaches]
    sizes = [estimate.n for estimate in estimates if estimate is not None] or [0]
    return ScoreTable(tuple(titles), tuple(rows), (min(sizes), max(sizes)))


def _row_name(scores: Scores, variants: Sequence[Approach]) -> str:
    if len(variants) == 1:
        return scores.short_name(variants[0])
    return common_name([variant.strategy for variant in variants])


def _penalised(scores: Scores, approach: Approach, slice_name: str) -> bool:
    estimate = scores.get(approach, PENALISED, slice_name)
    invalid = scores.invalid_rate(approach, slice_name)
    return estimate is not None and invalid is not None and invalid.value > 0


def _best_value(
    scores: Scores, approaches: Iterable[Approach], metric: str, slice_name: str
) -> str | None:
    """The best value as it is printed: values that print alike are all best."""
    best = scores.best_of(approaches, metric, slice_name)
    estimate = scores.get(best, metric, slice_name) if best is not None else None
    return None if estimate is None else estimate_cell(estimate, number_format(metric)).value


def _cell(
    scores: Scores, approach: Approach, metric: str, slice_name: str, best: str | None
) -> TableCell:
    form = number_format(metric)
    estimate = scores.get(approach, metric, slice_name)
    ranked = approach.strategy != HUMANS and estimate is not None
    is_best = ranked and estimate_cell(estimate, form).value == best
    return estimate_cell(estimate, form, best=is_best)


def _versus_prior(scores: Scores, slice_name: str) -> dict[Approach, TableCell]:
    """Paired differences from the prior in the ranking metric, by approach that has one."""
    cells = {}
    for approach in scores.strategies():
        paired = scores.get(approach, PRIMARY, slice_name, versus=PRIOR)
        if paired is None:
            continue
        bounds = ""
        if paired.low is not None and paired.high is not None:
            bounds = interval(difference(paired.low), difference(paired.high))
        cells[approach] = TableCell(difference(paired.value), bounds)
    return cells


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice: the best strategy beside the prior."""

    name: str
    n: int
    best: TableCell
    prior: TableCell
    verdict: str
    accuracy: TableCell


VERDICTS: Final = {
    "better": "below the prior",
    "worse": "above the prior",
    "equal": "not separable",
}


def slice_table(
    scores: Scores, best: Approach, columns: Sequence[str] = ()
) -> tuple[SliceRow, ...]:
    """The best strategy's and the prior's score on every slice but the ambiguity bins.

    Args:
        scores: of the run.
        best: the strategy.
        columns: whose slices have a table of their own.
    """
    prior = scores.prior(best)
    rows = []
    for name in scores.slices:
        estimate = scores.get(best, PRIMARY, name)
        if name.startswith("ambiguity_") or name.startswith("speaker=") or estimate is None:
            continue
        if name.partition("=")[0] in columns:
            continue
        reference = scores.get(prior, PRIMARY, name) if prior is not None else None
        verdict = ""
        if reference is not None:
            paired = scores.get(best, PRIMARY, name, versus=PRIOR)
            verdict = VERDICTS[compare(estimate, reference, paired)]
        rows.append(
            SliceRow(
                slice_title(name),
                estimate.n,
                estimate_cell(estimate),
                estimate_cell(reference),
                verdict,
                estimate_cell(scores.get(best, "accuracy", name)),
            )
        )
    return tuple(rows)


def slice_title(name: str) -> str:
    """Title of a slice.

    Example:
        >>> slice_title("label=anger")
        'plurality anger'
    """
    known = {"all": "all utterances", "majority": "one label has > 50 % of the votes"}
    return known.get(name, clean(name).replace("label=", "plurality ").replace("=", " ", 1))


@dataclass(frozen=True, slots=True)
class ParsingRow:
    """Parsing rules of an approach's valid answers, and reasons for the invalid ones."""

    name: str
    rows: int
    valid: int
    rules: tuple[tuple[str, str], ...]
    reasons: tuple[tuple[str, str], ...]


def parsing_table(
    scores: Scores, tallies: Mapping[Approach, PredictionTally]
) -> tuple[ParsingRow, ...]:
    """Parsing rules and reasons for invalid answers by approach, most frequent first."""
    return tuple(
        ParsingRow(
            scores.name(approach),
            tally.rows,
            tally.valid,
            _most_common(tally.rules.most_common(6)),
            _most_common(tally.reasons.most_common(6)),
        )
        for approach, tally in sorted(tallies.items(), key=lambda item: rank_of(item[0], scores))
    )


def rank_of(approach: Approach, scores: Scores) -> int:
    """Position of an approach in the strategies table; unknown ones come last."""
    known = scores.approaches
    return known.index(approach) if approach in known else len(known)


def _most_common(counted: Sequence[tuple[str, int]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, count(number)) for key, number in counted)
