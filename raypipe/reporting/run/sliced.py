"""Slices of a run by columns of its corpus: a table, a figure and a verdict for each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from raypipe.metrics.metric import REST_SUFFIX
from raypipe.reporting.charts import MOST_CHARACTERS, Chart
from raypipe.reporting.names import PRIMARY, better, headline_metrics, number_format, title
from raypipe.reporting.run import figures
from raypipe.reporting.run.headline import with_interval
from raypipe.reporting.run.scores import Approach, Estimate, Scores, natural
from raypipe.reporting.run.tables import EMPTY, TableCell, estimate_cell
from raypipe.reporting.text import clean, difference, interval, listing, score, shortened
from raypipe.store.run_record import RunRecord

MOST_NOTES: Final = 3


@dataclass(frozen=True, slots=True)
class SlicedRow:
    """One slice of a column.

    Attributes:
        n: utterances with votes and a valid prediction.
        cells: its values in the headline metrics.
        apart: the ranking metric less that of the column's other slices.
        prior_apart: the same of the constant predictor ``prior``.
    """

    name: str
    n: int
    cells: tuple[TableCell, ...]
    apart: TableCell
    prior_apart: TableCell


@dataclass(frozen=True, slots=True)
class SlicedTable:
    """One column's slices, and what can be said of them.

    Attributes:
        column: its name.
        heads: of the headline metrics.
        verdict: which slice is worst, if one can be told apart, in sentences.
        notes: why values have no interval.
        chart: the ranking metric by slice; None without values.
    """

    column: str
    heads: tuple[str, ...]
    rows: tuple[SlicedRow, ...]
    verdict: str
    notes: tuple[str, ...]
    chart: Chart | None


def columns_of(run: RunRecord) -> tuple[str, ...]:
    """The columns that a run was sliced by."""
    metrics = run.config.get("metrics")
    columns = metrics.get("slices") if isinstance(metrics, Mapping) else None
    return tuple(map(str, columns or ()))


def slices_of(scores: Scores, approach: Approach, column: str) -> tuple[str, ...]:
    """The slices of a column in which an approach has a value, numbers in their order."""
    names = (name for name in scores.slices if name.partition("=")[0] == column)
    scored = (name for name in names if scores.get(approach, PRIMARY, name) is not None)
    return tuple(sorted(scored, key=_place))


def sliced_tables(
    scores: Scores, approach: Approach, columns: tuple[str, ...]
) -> tuple[SlicedTable, ...]:
    """A table for every column that cuts the corpus."""
    tables = (_table(scores, approach, column) for column in columns)
    return tuple(table for table in tables if table.rows)


def empty_columns(scores: Scores, columns: tuple[str, ...]) -> list[str]:
    """Warnings about columns of which no utterance with votes has a value."""
    known = {name.partition("=")[0] for name in scores.slices}
    return [
        f"Sliced by {clean(column)}, but no utterance with votes has a value there."
        for column in columns
        if column not in known
    ]


def verdict(scores: Scores, approach: Approach, column: str) -> str:
    """The worst slice by every headline metric that can tell it from the others, in sentences."""
    names = slices_of(scores, approach, column)
    if len(names) == 1:
        return f"{clean(column)} makes one slice: there are no others to compare it with."
    worst, alike, without = [], [], []
    for metric in headline_metrics():
        known = {
            name: estimate
            for name in names
            if (estimate := scores.get(approach, metric + REST_SUFFIX, name)) is not None
        }
        with_ends = {name: gap for name, gap in known.items() if gap.low is not None}
        if not with_ends:
            without.append(title(metric))
            continue
        name = max(with_ends, key=lambda name: _badness(metric, with_ends[name].value))
        gap = with_ends[name]
        if _is_worse(metric, gap):
            ends = interval(difference(gap.low or 0.0), difference(gap.high or 0.0))
            worst.append(f"{_part(name)} in {title(metric)}, {difference(gap.value)} {ends}")
        else:
            alike.append(title(metric))
    sentences = []
    if worst:
        sentences.append(f"Worse than the others: {'; '.join(worst)}.")
    if alike:
        which = "" if not worst else "In " + listing(alike) + " "
        sentences.append(f"{which}{'N' if not which else 'n'}o slice can be told to be worse.")
    if without:
        whose = "" if not (worst or alike) else f" in {listing(without)}"
        sentences.append(f"Nothing can be said of differences{whose}: there is no interval.")
    return " ".join(sentences)


def verdict_lines(scores: Scores, columns: tuple[str, ...]) -> list[str]:
    """A line per column for a terminal, about the best strategy."""
    best = scores.best()
    if best is None:
        return []
    lines = [
        f"{clean(column)}, {clean(scores.name(best))}: {verdict(scores, best, column)}"
        for column in columns
        if slices_of(scores, best, column)
    ]
    return [*lines, *(f"Warning: {text}" for text in empty_columns(scores, columns))]


def _table(scores: Scores, approach: Approach, column: str) -> SlicedTable:
    metrics = headline_metrics()
    prior = scores.prior(approach)
    names = slices_of(scores, approach, column)
    rows = []
    for name in names:
        estimate = scores.get(approach, PRIMARY, name)
        assert estimate is not None  # slices_of() only names slices with a value
        cells = tuple(
            estimate_cell(scores.get(approach, metric, name), number_format(metric))
            for metric in metrics
        )
        prior_gap = None if prior is None else scores.get(prior, PRIMARY + REST_SUFFIX, name)
        gap = scores.get(approach, PRIMARY + REST_SUFFIX, name)
        rows.append(SlicedRow(_part(name), estimate.n, cells, _apart(gap), _apart(prior_gap)))
    return SlicedTable(
        clean(column),
        tuple(title(metric) for metric in metrics),
        tuple(rows),
        verdict(scores, approach, column),
        _notes(scores, approach, names),
        _chart(scores, approach, column, names),
    )


def _apart(gap: Estimate | None) -> TableCell:
    if gap is None:
        return EMPTY
    if gap.low is None or gap.high is None:
        return TableCell(difference(gap.value))
    return TableCell(difference(gap.value), interval(difference(gap.low), difference(gap.high)))


def _notes(scores: Scores, approach: Approach, names: tuple[str, ...]) -> tuple[str, ...]:
    """Why slices lack an interval in the ranking metric; the first few of many."""
    notes = []
    for name in names:
        own = [scores.get(approach, PRIMARY + suffix, name) for suffix in ("", REST_SUFFIX)]
        for what, estimate in zip(("", " beside the others"), own, strict=True):
            if estimate is not None and estimate.note:
                notes.append(f"{_part(name)}{what}: {estimate.note}")
    more = len(notes) - MOST_NOTES
    return (*notes[:MOST_NOTES], f"and {more} more slices") if more > 0 else tuple(notes)


def _chart(scores: Scores, approach: Approach, column: str, names: tuple[str, ...]) -> Chart | None:
    estimates = {name: scores.get(approach, PRIMARY, name) for name in names}
    known = {name: estimate for name, estimate in estimates.items() if estimate is not None}
    if len(known) < 2:
        return None
    bars = [
        figures.StrategyBar(shortened(_part(name), MOST_CHARACTERS), estimate, False, False)
        for name, estimate in known.items()
    ]
    whole = scores.get(approach, PRIMARY)
    words = "; ".join(f"{_part(name)} {with_interval(each)}" for name, each in known.items())
    svg = figures.interval_panel(
        bars,
        name=title(PRIMARY),
        alt=f"{title(PRIMARY)} by {clean(column)}: {words}",
        better=better(PRIMARY),
        reference=None if whole is None else whole.value,
    )
    caption = f"{title(PRIMARY)} by {clean(column)} with 95 % intervals."
    if whole is not None:
        caption += f" Dashed: all utterances, {score(whole.value)}."
    return Chart(svg, caption)


def _part(slice_name: str) -> str:
    """The value that a slice stands for.

    Example:
        >>> _part("gender=female"), _part("age=[31, 40)"), _part("age=(-inf, 31)")
        ('female', '31 to below 40', 'below 31')
    """
    value = slice_name.partition("=")[2]
    low, comma, high = value[1:-1].partition(", ")
    if not comma or value[0] not in "([" or not value.endswith(")"):
        return clean(value)
    if low == "-inf":
        return f"below {high}"
    return f"{low} and more" if high == "inf" else f"{low} to below {high}"


def _place(slice_name: str) -> tuple[bool, tuple[str | float, ...]]:
    """Sort key: bins and numbers in their order, what is left over last."""
    value = slice_name.partition("=")[2]
    if value.startswith("(-inf"):
        return False, ("",)
    return value == "(other)", natural(value)


def _badness(metric: str, gap: float) -> float:
    return gap if better(metric) == "lower" else -gap


def _is_worse(metric: str, gap: Estimate) -> bool:
    """Whether the whole interval lies on the worse side of zero."""
    if gap.low is None or gap.high is None:
        return False
    return gap.low > 0 if better(metric) == "lower" else gap.high < 0
