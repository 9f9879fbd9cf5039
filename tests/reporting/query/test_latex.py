"""LaTeX tables of answers, and of metrics with their intervals."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest

from raypipe.errors import ConfigError
from raypipe.reporting.names import headline_metrics
from raypipe.reporting.query.latex import latex_table, metrics_sql


def metric_rows(*rows: tuple[Any, ...]) -> pa.Table:
    names = ("model", "strategy", "metric", "value", "ci_low", "ci_high", "n")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])


ROWS = [
    ("m", "w_bon[tau=0.5]", "js", 0.1562, 0.141, 0.1723, 400),
    ("m", "w_bon[tau=0.5]", "r2", -0.25, None, None, 400),
    ("m", "w_bon[tau=0.5]", "invalid_rate", 0.021, 0.01, 0.03, 400),
    ("m", "uniform", "js", 0.5044, 0.494, 0.515, 400),
    ("m", "uniform", "r2", None, None, None, 400),
]


def test_metrics_are_columns_with_their_intervals() -> None:
    text = latex_table(metric_rows(*ROWS))
    assert text.splitlines() == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"strategy & JS $\downarrow$ & R$^2$ $\uparrow$ & Invalid $\downarrow$ \\",
        r"\midrule",
        r"w\_bon{[}tau=0.5{]} & 0.156 {\scriptsize [0.141, 0.172]} & $-$0.250"
        r" & 2.1~\% {\scriptsize [1.0~\%, 3.0~\%]} \\",
        r"uniform & 0.504 {\scriptsize [0.494, 0.515]} & -- & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_what_differs_between_rows_is_named() -> None:
    text = latex_table(metric_rows(*ROWS[:1], ("other", *ROWS[0][1:])))
    assert "\nm & 0.156 " in text
    assert "\nother & 0.156 " in text
    assert "tau" not in text


def test_two_values_for_one_place_are_refused() -> None:
    with pytest.raises(ConfigError, match="several values of js for strategy uniform"):
        latex_table(metric_rows(*ROWS, ROWS[3]))


def test_any_other_answer_is_a_plain_table_in_which_no_character_means_anything() -> None:
    nasty = r"50 % of $x$ & {y}_2 \textbf{#} ~^"
    text = latex_table(pa.table({"a_b": [nasty, "[2ex]"], "n": [1, 2]}))
    assert r"a\_b & n \\" in text
    assert (
        r"50 \% of \$x\$ \& \{y\}\_2 \textbackslash{}textbf\{\#\} \textasciitilde{}"
        r"\textasciicircum{} & 1 \\"
    ) in text
    # LaTeX takes a bracket after \\ for the distance to the next line.
    assert not re.search(r"\\\\\s*\[", text)
    assert "{[}2ex{]} & 2" in text


def test_the_query_of_the_main_metrics_names_them() -> None:
    sql = metrics_sql(["source"])
    assert sql.startswith("SELECT source, model, prompt, strategy, metric, value, ci_low, ci_high")
    assert all(f"'{metric}'" in sql for metric in headline_metrics())
