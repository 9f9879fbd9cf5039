"""The scores of a run for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.reporting.names import (
    CALLS,
    ESCALATED,
    HUMANS,
    INVALID,
    PREDICTION_TIES,
    PRIMARY,
    TOKENS,
    better,
    headline_metrics,
    narrow_title,
    title,
)
from raypipe.reporting.run.scores import Approach, Estimate, Scores
from raypipe.reporting.run.sweep import common_name, rows_apart, swept_metrics
from raypipe.reporting.run.tables import cost_metrics, slice_title
from raypipe.reporting.text import NONE, amount, percent, score

_BEST = "bold cyan"
_NAME_WIDTH = 28
_TIES_NAMED = 3


def summary_table(metrics: pa.Table, slice_name: str = "all") -> Table:
    """Scores of every approach, each with half the width of its 95 % interval.

    Strategies stand under their model and prompt where there are several, references below
    a line. What answers cost stands beside them, where it is known; of a sweep whose settings
    change an uncertainty and no score, that uncertainty does. Variants of a strategy that are equal
    in all columns are one row. Names come from the run's tables and may hold anything: they are
    stripped of control characters and never read as rich's markup.
    """
    scores = Scores(metrics.filter(pc.equal(metrics["slice"], slice_name)))
    swept = swept_metrics(scores, (*headline_metrics(), INVALID), slice_name)
    costs = [name for name in cost_metrics(scores, slice_name) if name in (TOKENS, CALLS)]
    costs = [] if swept else costs  # 80 columns have no room for both
    scored = (*headline_metrics(), *swept)
    rows = rows_apart(scores, (*scored, INVALID, *costs), slice_name)
    table = Table(
        title=Text(f"Scores on {slice_title(slice_name)}"),
        caption=Text(
            "; ".join(
                (
                    _caption(costs, len(rows) < len(scores.approaches)),
                    *_cautions(scores, slice_name),
                )
            )
        ),
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=bool(costs or swept),
    )
    # Names of a sweep can be long, and differ at their ends: folded, never cut.
    table.add_column("strategy", overflow="fold", max_width=_NAME_WIDTH)
    for metric in (*scored, INVALID, *costs):
        # Only names give way in a narrow terminal; the interval stands below its value. Eight
        # columns of numbers leave room for the longest plain name only below narrow titles.
        head = narrow_title(metric) if costs or swept else title(metric)
        table.add_column(head, justify="right", no_wrap=True)
    best = {metric: scores.best_of(scores.ranked(), metric, slice_name) for metric in scored}
    groups = scores.groups()
    for group in groups:
        if group.title:
            table.add_row(Text(group.title.replace(" · ", "\n"), style="bold"))
        shown = [approach for approach in group.approaches if approach in rows]
        for approach in shown:
            cells = [
                _cell(scores.get(approach, metric, slice_name), approach == best[metric])
                for metric in scored
            ]
            invalid = None if approach.is_reference else scores.invalid_rate(approach, slice_name)
            cells.append(Text(percent(invalid.value) if invalid is not None else NONE))
            cells += [_cost(scores.get(approach, metric, slice_name)) for metric in costs]
            # Below the last of a group, but for the last group.
            line_below = approach == shown[-1] and group != groups[-1]
            name = _name(scores, rows[approach], slice_name)
            table.add_row(name, *cells, end_section=line_below)
    return table


def _caption(costs: Sequence[str], has_variants: bool) -> str:
    words = [
        f"± half of the 95 % interval; {better(PRIMARY)} {title(PRIMARY)} is better; bold: the best"
    ]
    if TOKENS in costs:
        words.append("tokens: read and written per utterance")
    if CALLS in costs:
        words.append("calls: of the verifier")
    if has_variants:
        words.append("variants: of other settings, too, with the same numbers")
    return "; ".join(words)


def _cautions(scores: Scores, slice_name: str) -> tuple[str, ...]:
    """What a reader has to know of the values."""
    ties = _ties_in_words(scores, slice_name)
    if any(approach.strategy == HUMANS for approach in scores.approaches):
        ties.append(f"{HUMANS}: half of the votes against the other half")
    parts: dict[str, list[str]] = {}
    for approach, (own, most) in scores.partial(scores.strategies(), slice_name).items():
        parts.setdefault(f"{own} of {most}", []).append(scores.short_name(approach))
    ties += [f"not ranked, on {part} utterances: {', '.join(of)}" for part, of in parts.items()]
    return *ties, *scores.notes(scores.strategies(), headline_metrics(), slice_name)


def _ties_in_words(scores: Scores, slice_name: str) -> list[str]:
    """How many predictions give several labels the largest share; nothing where none does."""
    shares = {
        scores.short_name(approach): estimate.value / estimate.n
        for approach in scores.strategies()
        if (estimate := scores.get(approach, PREDICTION_TIES, slice_name)) and estimate.value
    }
    if not shares:
        return []
    worst = sorted(shares, key=lambda name: -shares[name])
    named = ", ".join(f"{percent(shares[name], 0)} of {name}" for name in worst[:_TIES_NAMED])
    more = f" and less of {len(worst) - _TIES_NAMED} more" if len(worst) > _TIES_NAMED else ""
    return [f"labels that tie in a prediction share its credit: {named}{more}"]


def _name(scores: Scores, variants: Sequence[Approach], slice_name: str) -> Text:
    first = variants[0]
    words = scores.short_name(first)
    if len(variants) > 1:
        words = common_name([variant.strategy for variant in variants])
    if len(words) > _NAME_WIDTH // 2:  # the settings of a sweep: one a line
        words = words.replace("[", "[\n").replace(",", ",\n")
    name = Text(words, style="dim" if first.is_reference else "")
    escalated = scores.get(first, ESCALATED, slice_name)
    if escalated is not None:
        name.append(f"\nescalated {percent(escalated.value, 0)}", style="dim")
    if len(variants) > 1:
        name.append(f"\n{len(variants)} variants", style="dim")
    return name


def _cost(estimate: Estimate | None) -> Text:
    return Text(NONE if estimate is None else amount(estimate.value))


def _cell(estimate: Estimate | None, is_best: bool) -> Text:
    if estimate is None:
        return Text(NONE)
    text = Text(score(estimate.value), style=_BEST if is_best else "")
    if estimate.low is not None and estimate.high is not None:
        half = score((estimate.high - estimate.low) / 2)
        text.append(f"\n±{half.removeprefix('0')}", style="dim")
    return text
