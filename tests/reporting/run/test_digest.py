import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from raypipe.labels import LabelSet
from raypipe.reporting.run.confusion import confusion
from raypipe.reporting.run.digest import MOST_KEYS, OTHER, digest_predictions
from raypipe.reporting.run.scores import Approach

GREEDY = Approach("tiny-alm", "distribution", "greedy")


@pytest.fixture(scope="module")
def greedy_rows(made_up_run):
    table = made_up_run.predictions
    return table.filter(pc.equal(table["strategy"], "greedy")).to_pylist()


@pytest.fixture(scope="module")
def digest(made_up_run):
    return digest_predictions(made_up_run.predictions, made_up_run.labels)


def test_every_strategy_has_a_tally_of_all_its_rows(made_up_run, digest):
    counts = {approach.strategy: tally.rows for approach, tally in digest.tallies.items()}
    assert counts == dict.fromkeys(["greedy", "token", "token_softmax", "bon", "w_bon"], 200)
    assert digest.labelled == 200


def test_confusion_agrees_with_scikit_learn(made_up_run, digest, greedy_rows):
    kept = [row for row in greedy_rows if row["valid"] and row["plurality"] is not None]
    expected = confusion_matrix(
        [row["plurality"] for row in kept],
        [row["predicted"] for row in kept],
        labels=list(made_up_run.labels.names),
    )
    np.testing.assert_array_equal(digest.tallies[GREEDY].confusion, expected)


def test_labels_that_tie_in_a_prediction_share_its_count():
    labels = LabelSet(("anger", "fear", "joy"))
    rows = [
        {"strategy": "greedy", "probs": probs, "soft_label": [1.0, 0.0, 0.0], "plurality": truth}
        for probs, truth in [
            ([0.4, 0.4, 0.2], "anger"),
            ([1 / 3, 1 / 3, 1 / 3], "fear"),
            ([0.1, 0.2, 0.7], "fear"),
            ([0.5, 0.5, 0.0], None),
        ]
    ]
    (tally,) = digest_predictions(pa.Table.from_pylist(rows), labels).tallies.values()
    expected = [[1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3 + 1], [0, 0, 0]]
    np.testing.assert_allclose(tally.confusion, expected)
    assert (tally.tied, tally.ties) == (3, 1)
    assert tally.confidence_right.sum() == pytest.approx(1 / 2 + 1 / 3)
    shown = confusion(tally, labels)
    assert (shown.n, shown.tied, [cell.text for cell in shown.rows[0].cells]) == (
        *(3, 3),
        ["50", "50", "0"],
    )


def test_calibration_sums_agree_with_scikit_learn(digest, greedy_rows):
    kept = [row for row in greedy_rows if row["valid"] and row["plurality"] is not None]
    right, confidence = calibration_curve(
        [row["plurality"] == row["predicted"] for row in kept],
        [max(row["probs"]) for row in kept],
        n_bins=10,
    )
    tally = digest.tallies[GREEDY]
    held = tally.confidence_n > 0
    found = tally.confidence_right[held] / tally.confidence_n[held]
    np.testing.assert_allclose(found, right)
    found = tally.confidence_sum[held] / tally.confidence_n[held]
    np.testing.assert_allclose(found, confidence)


def test_a_reason_per_utterance_does_not_grow_the_digest(made_up_run):
    rows = [
        {"utterance_id": str(i), "strategy": "greedy", "valid": False, "invalid_reason": f"no {i}"}
        for i in range(500)
    ]
    found = digest_predictions(pa.Table.from_pylist(rows), made_up_run.labels)
    reasons = found.tallies[Approach("", "", "greedy")].reasons
    assert len(reasons) == MOST_KEYS + 1
    assert reasons[OTHER] == 500 - MOST_KEYS
    assert sum(reasons.values()) == 500


def test_tables_with_dictionary_columns_are_read(made_up_run):
    table = made_up_run.predictions
    for name in ("model", "prompt", "strategy", "predicted", "parse_rule"):
        at = table.column_names.index(name)
        table = table.set_column(at, name, table[name].dictionary_encode())
    found = digest_predictions(table, made_up_run.labels)
    assert found.tallies[GREEDY].confusion.sum() > 0
