"""A comparison of systems in a terminal and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from raypipe.metrics.comparison import Comparison, Difference, comparable_metrics, leaders
from raypipe.metrics.significance import LEVEL
from raypipe.reporting.text import NONE, clean, count, difference, interval, listing, score

MOST_NAMED = 6
"""Systems that a sentence names."""


def comparison_tables(comparison: Comparison, metrics: Sequence[str]) -> Iterable[Table]:
    """A table per metric: every system with its value and its difference from the best."""
    for metric in metrics:
        yield _table(comparison, metric)


def _table(comparison: Comparison, name: str) -> Table:
    metric = comparable_metrics()[name]
    values = {item.system: item for item in comparison.measured if item.metric == name}
    sign = 1.0 if metric.better == "lower" else -1.0
    ranked = sorted(values.values(), key=lambda item: (math.isnan(item.value), sign * item.value))
    tied = leaders(comparison, metric)
    table = Table(
        title=Text(f"{metric.title}, {metric.better} is better"),
        caption=Text(verdict(comparison, name)),
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("system", overflow="fold")
    for head in (metric.title, "from the best", "p (Holm)", "n"):
        table.add_column(head, justify="right", no_wrap=True)
    for item in ranked:
        paired = _from_best(comparison, name, tied[0], item.system) if tied else None
        cells = [f"{score(item.value)}{_ends(score, item.low, item.high)}" if item.n else NONE]
        if paired is None:
            cells += [NONE, NONE, count(item.n)]
        else:
            gap = f"{difference(paired.value)}{_ends(difference, paired.low, paired.high)}"
            cells += [gap, p_text(paired.corrected), count(paired.n)]
        style = "bold" if item.system in tied else ""
        table.add_row(Text(clean(item.system), style=style), *map(Text, cells))
    return table


def _ends(form: Callable[[float], str], low: float, high: float) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f"\n{interval(form(low), form(high))}"


def _from_best(comparison: Comparison, metric: str, best: str, system: str) -> Difference | None:
    """A system minus the best; None for the best itself."""
    for item in comparison.differences:
        if item.metric == metric and {item.left, item.right} == {best, system}:
            return item if item.left == system else item.turned()
    return None


def p_text(value: float) -> str:
    """A p-value as people write it.

    Example:
        >>> p_text(0.0312), p_text(0.00001), p_text(1.0)
        ('.031', '< .001', '1')
    """
    if math.isnan(value):
        return NONE
    if value < 0.001:
        return "< .001"
    return "1" if value >= 0.9995 else score(value).removeprefix("0")


def verdict(comparison: Comparison, metric: str) -> str:
    """Which systems are best, in a sentence: one, or those that cannot be told apart."""
    tied = leaders(comparison, comparable_metrics()[metric])
    if not tied:
        return "Nothing could be scored."
    if len(tied) == 1:
        words = f"{clean(tied[0])} is best: told apart from every other at {LEVEL:g}."
    else:
        named = [clean(name) for name in tied[:MOST_NAMED]]
        more = len(tied) - len(named)
        listed = f"{', '.join(named)} and {more} more" if more else listing(named)
        words = f"These {len(tied)} cannot be told apart: {listed}."
    return " ".join([words, *chosen_here((item.system for item in comparison.measured), tied[0])])


def chosen_here(systems: Iterable[str], best: str) -> list[str]:
    """A warning where the best is a variant among others of its strategy; else nothing.

    Its settings were chosen on the very utterances that it is scored on.
    """
    rules = Counter(name.partition("[")[0] for name in set(systems) if "[" in name)
    rule, bracket, _ = best.partition("[")
    if not bracket or rules[rule] < 2:
        return []
    return [
        f"The settings of {clean(best)} are the best of {rules[rule]} on these very utterances; on "
        "others it is likely to be worse."
    ]


def comparison_document(comparison: Comparison, metrics: Sequence[str]) -> Mapping[str, object]:
    """Everything as JSON values: systems, pairs and verdicts; None for what is not known."""
    return {
        "units": comparison.units,
        "systems": [without_nan(asdict(item)) for item in comparison.measured],
        "differences": [without_nan(asdict(item)) for item in comparison.differences],
        "best": {name: list(leaders(comparison, comparable_metrics()[name])) for name in metrics},
    }


def without_nan(values: Mapping[str, object]) -> dict[str, object]:
    """The same values with None in the place of NaN, which JSON has not."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }
