"""Tables of a sweep: what its settings change is shown, equal variants are one row."""

from __future__ import annotations

import io
import itertools

import pyarrow as pa
import pytest
from rich.console import Console

from raypipe.reporting.names import headline_metrics
from raypipe.reporting.run.scores import Scores
from raypipe.reporting.run.sweep import common_name, rows_apart, swept_metrics
from raypipe.reporting.run.tables import score_table
from raypipe.reporting.run.terminal import summary_table

SHOWN = (*headline_metrics(), "invalid_rate")


@pytest.fixture
def sweep(metric_rows) -> pa.Table:
    """Beams change the score, tau the epistemic uncertainty alone, merging nothing at all."""
    rows = []
    for merged, beams, tau in itertools.product(("false", "true"), (3, 5), (0.5, 1, 2)):
        name = f"w_bon[beams={beams}of7,merge_tokenisations={merged},tau={tau}]"
        values = {"js": beams / 100, "accuracy": 0.75, "epistemic_auroc": 0.5 + tau / beams / 10}
        rows += [{"strategy": name, "metric": metric, "value": v} for metric, v in values.items()]
    rows += [{"strategy": "greedy", "metric": "js", "value": 0.03}]
    return metric_rows(*rows)


def test_variants_that_are_equal_in_every_column_are_one_row(sweep) -> None:
    rows = rows_apart(Scores(sweep), (*SHOWN, "epistemic_auroc"))
    assert sorted(map(len, rows.values())) == [1] + [2] * 6
    assert sum(map(len, rows.values())) == len(Scores(sweep).approaches) == 13
    assert sorted(map(len, rows_apart(Scores(sweep), SHOWN).values())) == [1, 6, 6]


def test_another_strategy_with_the_same_numbers_keeps_its_row(metric_rows) -> None:
    same = ({"strategy": name, "metric": "js", "value": 0.2} for name in ("bon", "w_bon"))
    assert len(rows_apart(Scores(metric_rows(*same)), SHOWN)) == 2


def test_an_interval_makes_a_difference(metric_rows) -> None:
    rows = metric_rows(
        *(
            {"strategy": f"bon[tau={tau}]", "metric": "js", "value": 0.2, "ci_low": low}
            for tau, low in ((1, 0.1), (2, 0.11))
        )
    )
    with_high = rows.set_column(
        rows.schema.get_field_index("ci_high"), "ci_high", pa.array([0.3, 0.3])
    )
    assert len(rows_apart(Scores(with_high), SHOWN)) == 2


def test_what_a_setting_changes_alone_is_shown(sweep, made_up_run) -> None:
    assert swept_metrics(Scores(sweep), SHOWN) == ("epistemic_auroc",)
    assert swept_metrics(Scores(sweep), (*SHOWN, "epistemic_auroc")) == ()
    assert swept_metrics(Scores(made_up_run.metrics), SHOWN) == ()


def test_the_page_s_table_names_what_its_rows_have_in_common(sweep) -> None:
    table = score_table(Scores(sweep))
    assert "AUROC, epistemic" in table.columns
    assert {row.name: row.variants for row in table.rows} == {
        "greedy": 1,
        **{f"w_bon[beams={b}of7,tau={tau}]": 2 for b in (3, 5) for tau in (0.5, 1, 2)},
    }


def test_the_terminal_s_table_fits_80_columns(sweep) -> None:
    stream = io.StringIO()
    Console(file=stream, width=80, color_system=None).print(summary_table(sweep))
    shown = stream.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert "merge" not in shown
    assert shown.count("2 variants") == 6
    for value in ("0.517", "0.533", "0.567", "0.510", "0.520", "0.540"):
        assert value in shown


def test_a_common_name_has_the_settings_of_all() -> None:
    nested = "adaptive[cheap=greedy,expensive=w_bon[beams=3,tau=1],threshold={}]"
    names = [nested.format(threshold) for threshold in (0.5, 1.0)]
    assert common_name(names) == "adaptive[cheap=greedy,expensive=w_bon[beams=3,tau=1]]"
    assert common_name(names[:1]) == names[0]
    assert common_name(["bon[beams=3]", "bon[beams=5]"]) == "bon"
    assert common_name(["bon", "bon[beams=5]"]) == "bon"
