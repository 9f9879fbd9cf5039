"""What was fitted stands on the page and in the terminal, and nothing where nothing was."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raypipe.metrics.reduce import MetricRow
from raypipe.reporting.run.fitted import fitted_lines, fitted_rows
from raypipe.reporting.run.page import html_report
from raypipe.reporting.run.scores import Scores
from raypipe.store.fits import fits_table
from raypipe.store.metric_tables import metrics_table
from raypipe.strategies.fit_rows import Fit
from raypipe.strategies.fitting import CorpusFit, FoldFit

SETS = "conformal[coverage=0.8]"


def fold(number: int, speakers: tuple[str, ...], **parameters: float) -> FoldFit:
    return FoldFit(number, Fit(parameters, 0.3, 0.1), 30, 3, 10, speakers)


FITS = {
    "calibrate": CorpusFit(
        "calibrate",
        "token",
        "speakers",
        (fold(0, ("a", "b"), temperature=0.5), fold(1, ("c",), temperature=0.25)),
    ),
    SETS: CorpusFit(
        "conformal",
        "pool",
        "split:dev",
        (FoldFit(0, Fit({"threshold": 0.125}, None, 0.2), 1200, 4, 60, shared_speakers=2),),
    ),
}


def table(fits: dict[str, CorpusFit] = FITS) -> pa.Table:
    return fits_table(fits, run="r", model="m", prompt="p")


def scores() -> Scores:
    values = {("calibrate", "js"): 0.2, (SETS, "set_coverage"): 0.81, (SETS, "set_size"): 1.5}
    rows = [
        MetricRow("m", "p", strategy, "all", metric, None, value, value - 0.01, value + 0.01, 60, 0)
        for (strategy, metric), value in values.items()
    ]
    return Scores(metrics_table(rows))


@pytest.fixture
def record(made_up_run):
    settings = {"calibrate": {"target": "js"}, SETS: {"coverage": 0.8, "covers": "votes"}}
    return made_up_run.run.changed(settings=settings)


def test_a_line_says_what_was_fitted_to_whom_and_what_came_of_it(record) -> None:
    lines = [
        line.replace("\xa0", " ") for line in fitted_lines(fitted_rows(table(), scores(), record))
    ]
    assert lines == [
        "calibrate, of token (target js), fitted to the other speakers in 2 folds of 3 speakers: "
        "temperature 0.250 to 0.500",
        f"{SETS}, of pool (coverage 0.8, covers votes), fitted to the 1,200 utterances of split "
        "dev (2 of its speakers are among those it is applied to): threshold 0.125; "
        "sets of 1.50 labels on average hold 81.0 % [80.0 %, 82.0 %] of the votes",
    ]


def test_the_page_has_a_section_for_them_and_escapes_every_name(made_up_run, record) -> None:
    name = made_up_run.metrics["strategy"][0].as_py()
    hostile = {name: CorpusFit("calibrate", "<b>token", "split:<i>", FITS[SETS].folds)}
    own = made_up_run.metrics.slice(0, 1).to_pylist()[0]
    fits = fits_table(hostile, run="r", model=own["model"], prompt=own["prompt"])
    page = html_report(
        record,
        made_up_run.metrics,
        made_up_run.predictions,
        made_up_run.errors,
        made_up_run.labels,
        (),
        None,
        fits=fits,
    )
    assert 'id="fitted"' in page
    assert "&lt;b&gt;token" in page
    assert "split &lt;i&gt;" in page
    assert "<b>token" not in page


def test_there_is_no_section_where_nothing_was_fitted(made_up_run) -> None:
    assert fitted_rows(None, Scores(made_up_run.metrics), made_up_run.run) == ()
    page = html_report(
        made_up_run.run,
        made_up_run.metrics,
        made_up_run.predictions,
        made_up_run.errors,
        made_up_run.labels,
    )
    assert 'id="fitted"' not in page
