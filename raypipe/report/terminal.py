"""The same tables for a terminal."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.report.scores import Estimate, Scores
from raypipe.report.tables import EMPTY, INVALID, MEASURES, error_groups, slice_title
from raypipe.report.text import clean, count, percent, score

_BEST = "bold cyan"
_NAME_WIDTH = 28


def summary_table(metrics: pa.Table, slice_name: str = "all") -> Table:
    """Every approach with its scores, each with half the width of its 95 % interval.

    The constant predictors stand below a line. Names come from the run's tables and may hold
    anything: they are stripped of control characters and never read as rich's markup.
    """
    scores = Scores(metrics.filter(pc.equal(metrics["slice"], slice_name)))
    table = Table(
        title=Text(f"Scores on {slice_title(slice_name)}"),
        caption=Text("± half of the 95 % interval; lower JS is better; bold: the best"),
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    # Names of a sweep can be long, and differ at their ends: folded, never cut.
    table.add_column("strategy", overflow="fold", max_width=_NAME_WIDTH)
    for measure in (*MEASURES, INVALID):
        # Only names give way in a narrow terminal; the interval stands below its value.
        table.add_column(measure.title, justify="right", no_wrap=True)
    best = {
        measure.metric: scores.best_of(scores.approaches, measure.metric, slice_name)
        for measure in MEASURES
    }
    approaches = scores.approaches
    for approach, following in zip(approaches, (*approaches[1:], None), strict=True):
        cells = [
            _cell(
                scores.get(approach, measure.metric, slice_name), approach == best[measure.metric]
            )
            for measure in MEASURES
        ]
        invalid = None if approach.is_baseline else scores.invalid_rate(approach, slice_name)
        cells.append(Text(percent(invalid.value) if invalid is not None else EMPTY.value))
        line_below = following is not None and following.is_baseline and not approach.is_baseline
        name = Text(scores.name(approach), style="dim" if approach.is_baseline else "")
        table.add_row(name, *cells, end_section=line_below)
    return table


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


def _cell(estimate: Estimate | None, is_best: bool) -> Text:
    if estimate is None:
        return Text(EMPTY.value)
    text = Text(score(estimate.value), style=_BEST if is_best else "")
    if estimate.low is not None and estimate.high is not None:
        half = score((estimate.high - estimate.low) / 2)
        text.append(f"\n±{half.removeprefix('0')}", style="dim")
    return text
