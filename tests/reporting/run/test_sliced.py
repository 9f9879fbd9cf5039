"""What is said of slices by columns: a slice is named worst only where it can be told apart."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from raypipe.reporting.names import better, title
from raypipe.reporting.run.page import html_report
from raypipe.reporting.run.scores import Approach, Scores
from raypipe.reporting.run.sliced import (
    empty_columns,
    sliced_tables,
    slices_of,
    verdict,
    verdict_lines,
)
from raypipe.store.schemas import METRICS

GREEDY = Approach("m", "p", "greedy")


def row(slice_name: str, metric: str, value: float, *ends: float, note: str = "") -> dict[str, Any]:
    low, high = ends or (None, None)
    return {
        **{"model": "m", "prompt": "p", "strategy": "greedy", "slice": slice_name},
        **{"metric": metric, "value": value, "ci_low": low, "ci_high": high, "n": 80},
        **{"n_invalid": 0, "note": note or None},
    }


def scores(*rows: dict[str, Any]) -> Scores:
    return Scores(table(*rows))


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([row("all", "js", 0.2, 0.19, 0.21), *rows], schema=METRICS)


def side(name: str, gap: float, half: float | None, metric: str = "js") -> list[dict[str, Any]]:
    ends = () if half is None else (gap - half, gap + half)
    return [
        row(name, metric, 0.2 + gap, 0.1, 0.3),
        row(name, f"{metric}.minus_rest", gap, *ends),
    ]


def test_the_worst_slice_is_named_with_its_difference() -> None:
    rows = [*side("gender=female", 0.03, 0.02), *side("gender=male", -0.03, 0.02)]
    said = verdict(scores(*rows), GREEDY, "gender")
    assert said.startswith(
        "Worse than the others: female in JS, +0.030 [+0.010,\N{NO-BREAK SPACE}+0.050]."
    )


def test_the_worst_in_a_score_is_the_lowest() -> None:
    rows = [
        *side("gender=female", 0.03, 0.02, "accuracy"),
        *side("gender=male", -0.03, 0.02, "accuracy"),
        *side("gender=female", 0.0, 0.02),
        *side("gender=male", 0.0, 0.02),
    ]
    said = verdict(scores(*rows), GREEDY, "gender")
    assert "male in Accuracy, \N{MINUS SIGN}0.030" in said
    assert "In JS no slice can be told to be worse." in said


def test_none_is_named_where_the_worst_cannot_be_told_apart() -> None:
    rows = [*side("gender=female", 0.01, 0.02), *side("gender=male", -0.03, 0.02)]
    assert verdict(scores(*rows), GREEDY, "gender").startswith("No slice can be told to be worse.")


def test_a_slice_without_an_interval_is_not_named() -> None:
    rows = [*side("age=1", 0.5, None), *side("age=2", 0.03, 0.02), *side("age=3", -0.03, 0.02)]
    assert "2 in JS" in verdict(scores(*rows), GREEDY, "age")
    alone = [*side("age=1", 0.5, None), *side("age=2", -0.5, None)]
    assert verdict(scores(*alone), GREEDY, "age").startswith("Nothing can be said of differences")


def test_one_value_is_said_to_be_one() -> None:
    said = verdict(scores(row("dataset=a", "js", 0.2)), GREEDY, "dataset")
    assert said == "dataset makes one slice: there are no others to compare it with."


def test_bins_stand_in_the_order_of_their_numbers() -> None:
    names = ["age=[9, 31)", "age=[31, 100)", "age=(-inf, 9)", "age=[100, inf)"]
    made = scores(*(row(name, "js", 0.2, 0.1, 0.3) for name in names))
    assert slices_of(made, GREEDY, "age") == (
        *("age=(-inf, 9)", "age=[9, 31)", "age=[31, 100)", "age=[100, inf)"),
    )
    [shown] = sliced_tables(made, GREEDY, ("age",))
    assert [each.name for each in shown.rows] == [
        *("below 9", "9 to below 31", "31 to below 100", "100 and more"),
    ]


def test_reasons_stand_below_and_many_are_cut() -> None:
    rows = [row(f"age={n}", "js", 0.2, note="no interval: 5 speakers") for n in range(5)]
    [shown] = sliced_tables(scores(*rows), GREEDY, ("age",))
    assert shown.notes == (
        *(f"{n}: no interval: 5 speakers" for n in range(3)),
        "and 2 more slices",
    )


def test_a_column_without_values_is_warned_of() -> None:
    made = scores(*side("gender=female", 0.0, 0.1))
    assert empty_columns(made, ("gender", "age")) == [
        "Sliced by age, but no utterance with votes has a value there."
    ]
    assert verdict_lines(made, ("age",)) == [
        "Warning: Sliced by age, but no utterance with votes has a value there."
    ]


def test_names_of_the_rows_are_known() -> None:
    assert title("js.minus_rest") == "JS, less the other slices'"
    assert (better("js.minus_rest"), better("accuracy.minus_rest")) == ("lower", "higher")


@pytest.fixture
def sliced_page(made_up_run: Any) -> str:
    rows = [
        each | {"model": "tiny-alm", "prompt": "distribution", "strategy": strategy}
        for strategy in ("greedy", "w_bon", "bon", "prior")
        for each in (
            *side("gender=<script>alert(1)</script>", 0.03, 0.02),
            *side("gender=male", -0.03, 0.02),
        )
    ]
    metrics = made_up_run.metrics
    more = pa.Table.from_pylist(rows, schema=METRICS).select(metrics.column_names)
    run = made_up_run.run
    run = run.changed(config={**run.config, "metrics": {"slices": ["gender", "age"]}})
    tables = pa.concat_tables([metrics, more.cast(metrics.schema)])
    return html_report(run, tables, *made_up_run[2:])


def test_the_page_has_a_table_and_a_figure_of_every_column(sliced_page: str) -> None:
    assert "by column of the corpus" in sliced_page
    assert "Sliced by age, but no utterance with votes has a value there." in sliced_page
    assert "<h3>gender</h3>" in sliced_page
    assert "JS by gender with 95 % intervals." in sliced_page
    assert "<script>" not in sliced_page
