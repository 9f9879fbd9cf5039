"""Scores of arousal, valence and dominance stand apart from those of distributions."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from raypipe.reporting.run.page import html_report
from raypipe.reporting.run.rated import HEADS, rated_lines, rated_rows
from raypipe.reporting.run.scores import Scores
from raypipe.reporting.run.tables import score_table
from raypipe.store.schemas import METRICS


def row(metric: str, value: float | None, prompt: str = "p", n: int = 90) -> dict[str, Any]:
    return {
        **{"model": "m", "prompt": prompt, "strategy": "attributes", "slice": "all"},
        **{"metric": metric, "value": value, "ci_low": None, "ci_high": None},
        **{"n": n, "n_invalid": 10},
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([*rows], schema=METRICS)


def scored(name: str, **more: Any) -> list[dict[str, Any]]:
    values = {"ccc": 0.5, "pearson": 0.6, "mae": 0.7, "rmse": 0.8}
    return [row(f"{metric}={name}", value, **more) for metric, value in values.items()]


def test_a_row_has_four_scores_and_the_share_of_answers_that_are_none() -> None:
    made = Scores(table(*scored("arousal"), *scored("valence")))
    first, second = rated_rows(made)
    assert (first.attribute, first.n, first.invalid) == ("arousal", 90, "10.0\N{NO-BREAK SPACE}%")
    assert [cell.value for cell in first.cells] == ["0.500", "0.600", "0.700", "0.800"]
    assert len(HEADS) == len(first.cells)
    assert (second.attribute, second.heading) == ("valence", "")
    assert rated_lines(made) == ["CCC: arousal 0.500, valence 0.500"]


def test_several_prompts_are_named() -> None:
    made = Scores(table(*scored("arousal"), *scored("arousal", prompt="q")))
    assert [each.heading for each in rated_rows(made)] == ["m · p", "m · q"]
    assert rated_lines(made)[1] == "CCC of m · q: arousal 0.500"


def test_ratings_are_no_strategy(made_up_run: Any) -> None:
    metrics = made_up_run.metrics
    more = table(*scored("arousal")).select(metrics.column_names).cast(metrics.schema)
    both = pa.concat_tables([metrics, more])
    plain, rated = Scores(metrics), Scores(both)
    assert rated.approaches == plain.approaches
    assert rated.metrics() == plain.metrics()
    assert score_table(rated) == score_table(plain)
    page = html_report(made_up_run.run, both, *made_up_run[2:])
    assert "Arousal, valence and dominance" in page
    assert "Arousal, valence and dominance" not in html_report(*made_up_run)
