"""Oracle: the rule of the paper, utterance by utterance."""

from dataclasses import replace

import numpy as np
import pytest
from answers import LABELS, Answers, K, some_answers, table_of

from raypipe.metrics.reduce import CorpusSummary, MetricState


def accuracy(answers: Answers) -> float:
    rows = np.flatnonzero(answers.valid)
    return float(np.mean([(answers.votes[row, answers.leading[row]] > 0).mean() for row in rows]))


def macro_f1(answers: Answers) -> float:
    hits, false, missed = np.zeros((3, K))
    for row in np.flatnonzero(answers.scorable):
        for label in answers.leading[row]:
            part = 1 / len(answers.leading[row])
            if answers.votes[row, label] > 0:
                hits[label] += part
            else:
                false[label] += part
                missed[answers.plurality[row]] += part
    return float(np.nanmean(2 * hits / (2 * hits + false + missed)))


ORACLES = {"annotator_accuracy": accuracy, "annotator_macro_f1": macro_f1}


def test_secondary_labels_count_on_request() -> None:
    answers = some_answers()
    table = table_of(answers)
    summary = CorpusSummary.from_table(table, LABELS)

    def value(metric: str, **options: str) -> float:
        state = MetricState.from_table(table, summary.frame, LABELS, replicates=0, **options)  # type: ignore[arg-type]
        (row,) = [
            row
            for row in state.finish()
            if (row.strategy, row.slice, row.metric) == ("w_bon", "all", metric)
        ]
        assert row.value is not None
        return row.value

    mentioned = replace(answers, votes=answers.votes + answers.secondary / 10)
    assert value("annotator_accuracy") == pytest.approx(accuracy(answers), abs=1e-9)
    both = {"annotator_labels": "primary+secondary"}
    assert value("annotator_accuracy", **both) == pytest.approx(accuracy(mentioned), abs=1e-9)
    assert value("annotator_accuracy", **both) > value("annotator_accuracy") + 0.01
    assert value("annotator_macro_f1", **both) > value("annotator_macro_f1") + 0.01
