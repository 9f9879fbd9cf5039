"""The same tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.reporting.run.scores import Approach, Estimate, Scores
from raypipe.reporting.run.tables import (
    CALLS,
    EMPTY,
    ESCALATED,
    INVALID,
    MEASURES,
    TOKENS,
    Measure,
    cost_measures,
    error_groups,
    slice_title,
)
from raypipe.reporting.text import amount, clean, count, percent, score

_BEST = "bold cyan"
_NAME_WIDTH = 28
# Eight columns of numbers leave a narrow terminal room for the longest plain name only so.
_HEADS = {"accuracy": "Acc.", "macro_f1": "Macro\nF1", "invalid_rate": "Inv-\nalid"}


def summary_table(metrics: pa.Table, slice_name: str = "all") -> Table:
    """Every approach with its scores, each with half the width of its 95 % interval.

    Strategies stand under their model and prompt where there are several, the constant predictors
    below a line. What answers cost stands beside them, where it is known. Names come from the
    run's tables and may hold anything: they are stripped of control characters and never read as
    rich's markup.
    """
    scores = Scores(metrics.filter(pc.equal(metrics["slice"], slice_name)))
    costs = [one for one in cost_measures(scores, slice_name) if one in (TOKENS, CALLS)]
    table = Table(
        title=Text(f"Scores on {slice_title(slice_name)}"),
        caption=Text(_caption(costs)),
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=bool(costs),
    )
    # Names of a sweep can be long, and differ at their ends: folded, never cut.
    table.add_column("strategy", overflow="fold", max_width=_NAME_WIDTH)
    for measure in (*MEASURES, INVALID, *costs):
        # Only names give way in a narrow terminal; the interval stands below its value.
        head = _HEADS.get(measure.metric, measure.title) if costs else measure.title
        table.add_column(head, justify="right", no_wrap=True)
    best = {
        measure.metric: scores.best_of(scores.approaches, measure.metric, slice_name)
        for measure in MEASURES
    }
    groups = scores.groups()
    for group in groups:
        if group.title:
            table.add_row(Text(group.title.replace(" · ", "\n"), style="bold"))
        for approach in group.approaches:
            cells = [
                _cell(
                    scores.get(approach, measure.metric, slice_name),
                    approach == best[measure.metric],
                )
                for measure in MEASURES
            ]
            invalid = None if approach.is_baseline else scores.invalid_rate(approach, slice_name)
            cells.append(Text(percent(invalid.value) if invalid is not None else EMPTY.value))
            cells += [_cost(scores.get(approach, one.metric, slice_name)) for one in costs]
            # Below the last of a group, but for the last group.
            line_below = approach == group.approaches[-1] and group != groups[-1]
            table.add_row(_name(scores, approach, slice_name), *cells, end_section=line_below)
    return table


def _caption(costs: Sequence[Measure]) -> str:
    words = ["± half of the 95 % interval; lower JS is better; bold: the best"]
    if TOKENS in costs:
        words.append("tokens: read and written per utterance")
    if CALLS in costs:
        words.append("calls: of the verifier")
    return "; ".join(words)


def _name(scores: Scores, approach: Approach, slice_name: str) -> Text:
    words = scores.short_name(approach)
    if len(words) > _NAME_WIDTH // 2:  # the settings of a sweep: one a line
        words = words.replace("[", "[\n").replace(",", ",\n")
    name = Text(words, style="dim" if approach.is_baseline else "")
    escalated = scores.get(approach, ESCALATED.metric, slice_name)
    if escalated is not None:
        name.append(f"\nescalated {percent(escalated.value, 0)}", style="dim")
    return name


def error_table(errors: pa.Table) -> Table:
    """Errors by stage and type, most utterances first, each with its first example."""
    table = Table(title="Errors", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    table.add_column("type", overflow="fold")
    table.add_column("utterances", justify="right")
    table.add_column("first example", overflow="fold")
    for group in error_groups(errors):
        place, message = group.examples[0]
        table.add_row(
            Text(group.stage),
            Text(group.error_type),
            Text(count(group.utterances)),
            Text(clean(f"{place}: {message}")),
        )
    if table.row_count == 0:
        table.add_row(Text("none"), Text(""), Text("0"), Text(""))
    return table


def _cost(estimate: Estimate | None) -> Text:
    return Text(EMPTY.value if estimate is None else amount(estimate.value))


def _cell(estimate: Estimate | None, is_best: bool) -> Text:
    if estimate is None:
        return Text(EMPTY.value)
    text = Text(score(estimate.value), style=_BEST if is_best else "")
    if estimate.low is not None and estimate.high is not None:
        half = score((estimate.high - estimate.low) / 2)
        text.append(f"\n±{half.removeprefix('0')}", style="dim")
    return text
