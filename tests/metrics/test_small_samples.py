"""What rows say of macro-F1 where a label is rare."""

import numpy as np
import pytest
from tables_of_predictions import predictions_table

from raypipe.labels import LabelSet
from raypipe.metrics.metric_rows import MetricRow
from raypipe.metrics.reduce import CorpusSummary, MetricState

LABELS = LabelSet(("anger", "fear", "joy"))
MACRO_F1S = ("macro_f1", "macro_f1.invalid_as_uniform", "annotator_macro_f1", "threshold_macro_f1")


def rows_of(*pluralities: int) -> dict[str, MetricRow]:
    """Metrics of a strategy on so many utterances of each label."""
    votes = np.repeat(np.eye(3) * 5, pluralities, axis=0)
    ids = [f"u{number}" for number in range(len(votes))]
    probs = np.random.default_rng(0).dirichlet(np.ones(3), len(votes))
    table = predictions_table(ids, votes, {"greedy": probs}, LABELS)
    summary = CorpusSummary.from_table(table, LABELS)
    rows = MetricState.from_table(table, summary.frame, LABELS, replicates=0).finish()
    return {
        row.metric: row
        for row in rows
        if (row.strategy, row.slice, row.versus) == ("greedy", "all", None)
    }


@pytest.mark.parametrize("metric", MACRO_F1S)
def test_macro_f1_says_that_it_is_biased_where_a_label_is_rare(metric: str) -> None:
    assert rows_of(40, 10, 30)[metric].note is None
    note = "fear is the label of 9 utterances: macro-F1 is then up to .05 too low on average"
    assert rows_of(40, 9, 30)[metric].note == note
    assert rows_of(40, 0, 30)[metric].note is None  # none of the labels that occur is rare


def test_other_metrics_say_nothing_of_it() -> None:
    noted = {name for name, row in rows_of(40, 9, 30).items() if row.note is not None}
    assert noted == {*MACRO_F1S, "ece"}  # whose own note says that so few have no interval
