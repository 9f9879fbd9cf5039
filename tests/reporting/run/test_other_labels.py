"""Scores under other labels stand in a section of their own, and nowhere else."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.reporting.gains import gain_groups
from raypipe.reporting.run.other_labels import (
    other_labels_lines,
    other_labels_table,
    table_names,
)
from raypipe.reporting.run.page import html_report
from raypipe.reporting.run.scores import Approach, Scores
from raypipe.reporting.run.terminal import summary_table
from raypipe.reporting.text import NONE
from raypipe.store.head_schemas import GAINS
from raypipe.store.run_record import LabelsUsed

NAME = "relabelled <b>"


def under(metrics: pa.Table, name: str | None, shift: float = 0.0) -> pa.Table:
    labels = pa.array([name] * len(metrics), pa.string())
    for column in ("value", "ci_low", "ci_high"):
        at = metrics.schema.get_field_index(column)
        moved = pa.array(np.array(metrics[column].to_pylist(), dtype=float) + shift)
        metrics = metrics.set_column(at, metrics.schema.field(at), moved)
    return metrics.append_column("labels", labels)


@pytest.fixture(scope="module")
def both(made_up_run):
    own, other = under(made_up_run.metrics, None), under(made_up_run.metrics, NAME, -0.01)
    return pa.concat_tables([own, other])


def test_scores_are_those_under_the_own_labels_unless_others_are_asked_for(both, made_up_run):
    alone, own, other = Scores(made_up_run.metrics), Scores(both), Scores(both, NAME)
    approach = Approach("tiny-alm", "distribution", "w_bon")
    approach = next(each for each in alone.approaches if each.strategy == approach.strategy)
    assert own.approaches == alone.approaches == other.approaches
    assert own.get(approach, "js") == alone.get(approach, "js")
    before, after = own.get(approach, "js"), other.get(approach, "js")
    assert before is not None
    assert after is not None
    assert after.value == pytest.approx(before.value - 0.01)
    assert table_names(both) == (NAME,)
    assert table_names(made_up_run.metrics) == ()


def test_every_strategy_has_a_row_under_each_labels(both, made_up_run):
    table = other_labels_table(both, Scores(both), made_up_run.run)
    assert table is not None
    assert [row.labels for row in table.rows[:2]] == ["own labels", NAME]
    assert [row.heading for row in table.rows[:4]] == ["greedy", "", "token", ""]
    own, other = table.rows[0].cells[0], table.rows[1].cells[0]
    assert float(own.value) == pytest.approx(float(other.value) + 0.01, abs=1e-9)
    assert own.interval
    assert table.rows[0].n == table.rows[1].n


def test_the_page_shows_them_and_leaves_all_else_as_it_was(both, made_up_run):
    run, metrics, *tables = made_up_run
    plain, page = html_report(run, metrics, *tables), html_report(run, both, *tables)
    assert 'id="other-labels"' not in plain
    start = page.index('<section aria-labelledby="other-labels">')
    end = page.index("</section>", start) + len("</section>\n")
    assert page[:start] + page[end:] == plain
    assert "relabelled &lt;b&gt;" in page[start:end]
    assert NAME not in page


def test_a_line_tells_the_best_strategy_under_both(both, made_up_run):
    [line] = other_labels_lines(both, made_up_run.run)
    assert line.startswith(f"against labels {NAME}: JS of w_bon 0.")
    assert ", against own labels 0." in line
    assert other_labels_lines(made_up_run.metrics, made_up_run.run) == []
    shown, alone = summary_table(both), summary_table(made_up_run.metrics)
    assert shown.row_count == alone.row_count


def test_labels_in_the_place_of_the_own_ones_are_told_at_the_top(both, made_up_run):
    run, *tables = made_up_run
    used = LabelsUsed(
        name="relabelled",
        place="instead",
        table="/t",
        fingerprint="f",
        entries=9,
        matched=7,
    )
    changed = run.changed(label_tables=(used,))
    page = html_report(changed, *tables)
    table = other_labels_table(both, Scores(both), changed)
    assert table is not None
    assert [row.labels for row in table.rows[:2]] == ["relabelled", NAME]
    assert "Measured against label table relabelled in the place of" in page
    assert "7 utterances are in it" in page


def test_gains_of_a_heads_job_stand_on_its_page(made_up_run):
    ends = {"seeds_low": None, "seeds_high": None, "utterances_low": -0.01, "utterances_high": 0.03}
    common = {"run": "r", "head": "superb", "labels": NAME, "truth": None, "score": "pooled"}
    rows = [
        common | ends | {"row": row, "encoder": encoder, "without": 0.298, "relabelled": 0.307}
        for row, encoder in (("encoder", "wavlm"), ("mean_of_gains", None))
    ]
    gains = pa.Table.from_pylist([row | {"gain": 0.0308} for row in rows], schema=GAINS)
    [group] = gain_groups(gains)
    assert [(row.name, row.is_summary) for row in group.rows] == [
        ("wavlm", False),
        ("mean of gains", True),
    ]
    cell, without_batches = group.rows[0].cells
    assert (cell.without, cell.relabelled, cell.gain) == ("0.298", "0.307", "+3.08")
    assert cell.seeds == NONE
    assert cell.utterances.replace("\xa0", " ") == "[\N{MINUS SIGN}1.00, +3.00]"
    assert without_batches.gain == NONE
    page = html_report(*made_up_run, gains=gains)
    assert "superb trained from relabelled &lt;b&gt;, against the test labels" in page
    assert NAME not in page
    assert 'id="gains"' not in html_report(*made_up_run)
