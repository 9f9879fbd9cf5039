"""An answer to SQL as a LaTeX table; of metrics, one column per metric with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from raypipe.errors import ConfigError
from raypipe.reporting.names import better, headline_metrics, number_format, title
from raypipe.reporting.query.cells import cell, check_names, plain_columns
from raypipe.reporting.text import amount, percent, score
from raypipe.store.views import text_literal

_LONG: Final = {"metric", "value"}
_BOUNDS: Final = ("ci_low", "ci_high")
# What differs from metric to metric, and does not say which row a value belongs to.
_BESIDE: Final = {*_LONG, *_BOUNDS, "n", "n_invalid"}
_ARROWS: Final = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", None: ""}
_SPECIAL: Final = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # After \\ at the end of a line, and in \item, a bracket would begin an option.
    "[": "{[}",
    "]": "{]}",
    "\N{MINUS SIGN}": "$-$",
    "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{NO-BREAK SPACE}": "~",
}


def metrics_sql(columns: Sequence[str]) -> str:
    """The query behind a table of a run's main metrics.

    Args:
        columns: further ones, in front of ``model``, ``prompt`` and ``strategy``.
    """
    keys = ", ".join((*columns, "model", "prompt", "strategy"))
    metrics = ", ".join(map(text_literal, headline_metrics()))
    return (
        f"SELECT {keys}, metric, value, ci_low, ci_high FROM metrics WHERE metric IN ({metrics})"
        " AND slice = 'all' AND versus IS NULL AND labels IS NULL"
    )


def latex_table(answer: pa.Table) -> str:
    """The answer as a ``tabular`` of the package booktabs.

    Rows of ``metrics/`` (columns ``metric`` and ``value``) become a column per metric, with the
    interval where ``ci_low`` and ``ci_high`` are there, too. The other columns are the rows' names;
    one that is the same in all rows is left out.

    Raises:
        ConfigError: if a metric has several values in one row, or two columns have one name.
    """
    check_names(answer)
    if set(answer.column_names) >= _LONG:
        return _of_metrics(answer)
    head = [_escaped(name) for name in answer.column_names]
    columns = [[_escaped(cell(value)) for value in values] for values in plain_columns(answer)]
    return _tabular(head, "l" * len(head), list(zip(*columns, strict=True)))


def _of_metrics(answer: pa.Table) -> str:
    rows = answer.to_pylist()
    names = [name for name in answer.column_names if name not in _BESIDE]
    named = [name for name in names if len({cell(row[name]) for row in rows}) > 1] or names[-1:]
    values: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        key = tuple(cell(row[name]) for name in named)
        own = values.setdefault(key, {})
        if row["metric"] in own:
            where = ", ".join(f"{name} {value}" for name, value in zip(named, key, strict=True))
            raise ConfigError(f"several values of {row['metric']} for {where}: SELECT what differs")
        own[row["metric"]] = _estimate(row)
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    head = [
        *map(_escaped, named),
        *(_escaped(title(name)) + _ARROWS[better(name)] for name in metrics),
    ]
    lines = [
        [*map(_escaped, key), *(own.get(metric, "--") for metric in metrics)]
        for key, own in values.items()
    ]
    return _tabular(head, "l" * len(named) + "r" * len(metrics), lines)


def _estimate(row: Mapping[str, object]) -> str:
    numbers = [row["value"], *(row.get(name) for name in _BOUNDS)]
    value, low, high = (
        _number(row["metric"], number) if isinstance(number, float) else None for number in numbers
    )
    if value is None:
        return "--"
    if low is None or high is None:
        return value
    return f"{value} {{\\scriptsize [{low}, {high}]}}"


def _number(metric: object, value: float) -> str:
    match number_format(str(metric)):
        case "share":
            return _escaped(percent(value))
        case "amount":
            return _escaped(amount(value))
        case _:
            return _escaped(score(value))


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)


def _tabular(head: Sequence[str], alignment: str, rows: Sequence[Sequence[str]]) -> str:
    lines = [" & ".join(line) + r" \\" for line in (head, *rows)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )
