import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from raypipe.metrics.auroc import auroc, auroc_from_counts
from raypipe.metrics.catalogue.brier import brier_score
from raypipe.metrics.catalogue.ece import confidence_bin, expected_calibration_error

RNG = np.random.default_rng(4)
CONFIDENCE = RNG.uniform(0.2, 1.0, 400)
CORRECT = (RNG.random(400) < CONFIDENCE**2).astype(float)
WEIGHTS = RNG.poisson(1.0, 400).astype(float)


def test_brier_agrees_with_sklearn() -> None:
    assert brier_score(CORRECT, CONFIDENCE) == pytest.approx(
        brier_score_loss(CORRECT, CONFIDENCE), abs=1e-9
    )
    assert brier_score(CORRECT, CONFIDENCE, WEIGHTS) == pytest.approx(
        brier_score_loss(CORRECT, CONFIDENCE, sample_weight=WEIGHTS), abs=1e-9
    )


def test_ece_agrees_with_the_textbook_loop() -> None:
    total = 0.0
    for index in range(10):
        inside = (index / 10 < CONFIDENCE) & ((index + 1) / 10 >= CONFIDENCE)
        if inside.any():
            gap = abs(CORRECT[inside].mean() - CONFIDENCE[inside].mean())
            total += inside.mean() * gap
    assert expected_calibration_error(CORRECT, CONFIDENCE) == pytest.approx(total, abs=1e-12)


def test_ece_weights_count_rows_several_times() -> None:
    repeated = np.repeat(np.arange(400), WEIGHTS.astype(int))
    assert expected_calibration_error(CORRECT, CONFIDENCE, WEIGHTS) == pytest.approx(
        expected_calibration_error(CORRECT[repeated], CONFIDENCE[repeated]), abs=1e-12
    )


def test_confidences_on_an_edge_belong_to_the_lower_bin() -> None:
    edges = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert confidence_bin(edges).tolist() == list(range(10))
    assert confidence_bin(np.array([0.1 + 0.2])).tolist() == [2]


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_auroc_agrees_with_sklearn_with_and_without_ties(digits: int) -> None:
    score = np.round(CONFIDENCE, digits)
    assert auroc(CORRECT == 1.0, score) == pytest.approx(roc_auc_score(CORRECT, score), abs=1e-9)


def test_auroc_of_one_class_or_none_is_nan() -> None:
    assert np.isnan(auroc(np.ones(3, dtype=bool), np.arange(3.0)))
    assert np.isnan(auroc(np.ones(0, dtype=bool), np.zeros(0)))


def test_auroc_interval_agrees_with_resampling() -> None:
    score = np.round(CONFIDENCE, 2)
    _, index = np.unique(score, return_inverse=True)
    size = index.max() + 1
    value, low, high = auroc_from_counts(
        np.bincount(index[CORRECT == 0], minlength=size),
        np.bincount(index[CORRECT == 1], minlength=size),
    )
    replicates = []
    for _ in range(1500):
        rows = RNG.integers(0, 400, 400)
        replicates.append(auroc(CORRECT[rows] == 1.0, score[rows]))
    expected = np.percentile(replicates, [2.5, 97.5])
    np.testing.assert_allclose([low, high], expected, atol=0.012)
    assert low < value < high


def test_scores_without_rows_are_nan() -> None:
    empty = np.zeros(0)
    assert np.isnan(brier_score(empty, empty))
    assert np.isnan(expected_calibration_error(empty, empty))
