"""A metric or strategy that the report never heard of appears in it, and is not ranked."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from raypipe.reporting.run.metric_tables import metric_tables
from raypipe.reporting.run.page import html_report
from raypipe.reporting.run.scores import Scores
from raypipe.reporting.run.tables import score_table
from raypipe.reporting.text import NONE

Build = Callable[..., pa.Table]


def of_everything(metric_rows: Build) -> pa.Table:
    return metric_rows(
        {"strategy": "greedy", "metric": "js", "value": 0.3},
        {"strategy": "mine", "metric": "js", "value": 0.2},
        {"strategy": "prior", "metric": "js", "value": 0.1},
        {"strategy": "greedy", "metric": "my_metric", "value": 1234.5},
        {"strategy": "mine", "metric": "my_metric", "value": -0.5},
        {"strategy": "greedy", "metric": "invalid_rate", "value": 0.0},
        {"strategy": "mine", "metric": "invalid_rate", "value": 0.0},
        {"strategy": "greedy", "metric": "elsewhere", "value": 1.0, "slice": "label=anger"},
        {"strategy": "greedy", "metric": "paired_only", "value": 1.0, "versus": "prior"},
    )


def test_all_metrics_of_the_slice_are_listed_the_unknown_ones_last(metric_rows: Build) -> None:
    (table,) = metric_tables(Scores(of_everything(metric_rows)))
    assert table.columns == ("greedy", "mine", "prior")
    assert [row.metric for row in table.rows] == ["js", "invalid_rate", "my_metric"]
    assert table.rows[-1].title == "my_metric"
    assert [cell.value for cell in table.rows[-1].cells] == ["1,234", "\N{MINUS SIGN}0.500", NONE]


def test_only_strategies_are_ranked_and_only_where_a_direction_is_known(
    metric_rows: Build,
) -> None:
    (table,) = metric_tables(Scores(of_everything(metric_rows)))
    marked = {row.metric: [cell.is_best for cell in row.cells] for row in table.rows}
    assert marked == {
        "js": [False, True, False],
        "invalid_rate": [False, False, False],  # no value differs from another
        "my_metric": [False, False, False],
    }


def test_an_unknown_metric_has_no_best_strategy(metric_rows: Build) -> None:
    scores = Scores(of_everything(metric_rows))
    assert scores.best("my_metric") is None
    assert scores.best("my_metric.invalid_as_uniform") is None


def test_an_unknown_strategy_stands_before_the_constant_predictors(metric_rows: Build) -> None:
    rows = score_table(Scores(of_everything(metric_rows))).rows
    assert [row.name for row in rows] == ["greedy", "mine", "prior"]


def test_every_model_and_prompt_has_a_table_with_its_constant_predictors(grid: pa.Table) -> None:
    tables = metric_tables(Scores(grid))
    assert tables[0].heading == "Qwen2-Audio-7B-Instruct · distribution"
    assert len(tables) == 4
    for table in tables:
        assert [name.split(" · ")[0] for name in table.columns[-2:]] == ["prior", "uniform"]


def test_the_page_shows_a_metric_that_nobody_told_it_of(made_up_run, metric_rows: Build) -> None:
    run, metrics, *rest = made_up_run
    own = metric_rows(
        {"model": "tiny-alm", "prompt": "distribution", "strategy": "w_bon"}
        | {"metric": "<b>my_metric", "value": 0.25}
    )
    page = html_report(run, pa.concat_tables([metrics, own]), *rest)
    assert '<th scope="row">&lt;b&gt;my_metric</th><td>\N{EN DASH}</td>' in page
    assert "0.250" in page


def test_notes_stand_below_the_table_once_from_the_fewest_utterances(metric_rows: Build) -> None:
    table = metric_rows(
        {"strategy": "greedy", "metric": "ece", "value": 0.1, "n": 40},
        {"strategy": "bon", "metric": "ece", "value": 0.2, "n": 30},
        {"strategy": "bon", "metric": "macro_f1", "value": 0.2, "n": 40},
    )
    assert metric_tables(Scores(table))[0].notes == ()
    noted = table.append_column("note", pa.array(["no interval", "fewer [/x]", None]))
    scores = Scores(noted)
    assert metric_tables(scores)[0].notes == ("ECE: fewer [/x]",)
    assert scores.notes(scores.strategies(), ["macro_f1"]) == ()
