import pyarrow as pa
import pytest

from raypipe.reporting.errors import error_groups
from raypipe.reporting.run.confusion import confusion, short_names
from raypipe.reporting.run.digest import PredictionTally
from raypipe.reporting.run.scores import Scores
from raypipe.reporting.run.tables import score_table, slice_table


def test_the_best_value_of_a_column_is_marked_even_if_a_baseline_has_it(metric_rows):
    scores = Scores(
        metric_rows(
            {"strategy": "greedy", "metric": "accuracy", "value": 0.4},
            {"strategy": "prior", "metric": "accuracy", "value": 0.5},
        )
    )
    table = score_table(scores)
    column = table.columns.index("Accuracy")
    marks = {row.name: row.cells[column].is_best for row in table.rows}
    assert marks == {"greedy": False, "prior": True}


def test_values_that_print_alike_are_all_best(metric_rows):
    rows = ({"strategy": s, "metric": "js", "value": v} for s, v in (("a", 0.1231), ("b", 0.1233)))
    table = score_table(Scores(metric_rows(*rows)))
    assert [row.cells[0].is_best for row in table.rows] == [True, True]
    assert [row.is_best for row in table.rows] == [True, True]  # nothing tells them apart


def test_a_column_counts_invalid_as_uniform_only_where_answers_are_invalid(metric_rows):
    rows = [
        {"strategy": "a", "metric": "js", "value": 0.1},
        {"strategy": "a", "metric": "js.invalid_as_uniform", "value": 0.1},
    ]
    assert "JS, invalid as uniform" not in score_table(Scores(metric_rows(*rows))).columns
    rows[0] |= {"n": 90, "n_invalid": 10}
    assert "JS, invalid as uniform" in score_table(Scores(metric_rows(*rows))).columns


def test_every_row_has_a_cell_for_every_column(made_up_run):
    table = score_table(Scores(made_up_run.metrics))
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}
    assert [row.name for row in table.rows][-2:] == ["prior", "uniform"]


def test_slices_are_judged_against_the_prior_of_the_slice(made_up_run):
    scores = Scores(made_up_run.metrics)
    best = scores.best("js")
    assert best is not None
    rows = slice_table(scores, best)
    assert [row.name for row in rows][:2] == ["all utterances", "one label has > 50 % of the votes"]
    assert {row.verdict for row in rows} == {"below the prior"}


def test_errors_count_utterances_not_rows():
    errors = pa.Table.from_pylist(
        [
            {"shard": "s1", "stage": "read", "error_type": "ShardError", "utterances": 512},
            {"utterance_id": "u1", "stage": "decode", "error_type": "silent", "utterances": 1},
            {"utterance_id": "u2", "stage": "decode", "error_type": "silent", "utterances": 1},
        ],
        schema=pa.schema(
            [(n, pa.string()) for n in ("shard", "utterance_id", "stage", "error_type", "message")]
            + [("row", pa.int64()), ("utterances", pa.int64())]
        ),
    )
    groups = error_groups(errors)
    assert [(g.error_type, g.utterances) for g in groups] == [("ShardError", 512), ("silent", 2)]
    assert groups[0].examples[0][0] == "shard s1"
    assert [place for place, _ in groups[1].examples] == ["u1", "u2"]


def test_a_label_nobody_chose_has_a_row_without_shares(made_up_run):
    tally = PredictionTally.empty(len(made_up_run.labels))
    tally.confusion[0, 1] = 3
    found = confusion(tally, made_up_run.labels)
    assert found is not None
    assert [cell.text for cell in found.rows[0].cells][:3] == ["0", "100", "0"]
    assert {cell.text for cell in found.rows[1].cells} == {"\N{EN DASH}"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(("fear", "sadness"), ("fea", "sad")), (("joy", "joyful"), ("joy", "joyf"))],
)
def test_short_names_stay_distinct(labels, expected):
    assert short_names(labels) == expected
