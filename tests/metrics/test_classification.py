import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from raypipe.metrics.catalogue.accuracy import accuracy
from raypipe.metrics.catalogue.annotators import annotator_correct, annotator_counts
from raypipe.metrics.catalogue.threshold import above_threshold, threshold_counts
from raypipe.metrics.classification import (
    ClassCounts,
    confusion_matrix,
    counts_from_confusion,
    dominant,
    dominant_shares,
    f1_per_class,
    macro_f1,
    strict_majority,
)

RNG = np.random.default_rng(2)
TRUTH = RNG.integers(0, 4, 300)
PREDICTION = np.where(RNG.random(300) < 0.5, TRUTH, RNG.integers(0, 5, 300))
WEIGHTS = RNG.poisson(1.0, 300).astype(float)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_counts_agree_with_sklearn(weights: np.ndarray | None) -> None:
    confusion = confusion_matrix(TRUTH, PREDICTION, 5, weights)
    options = {"sample_weight": weights}
    reference = sklearn_metrics.confusion_matrix(TRUTH, PREDICTION, labels=range(5), **options)
    np.testing.assert_allclose(confusion, reference, atol=1e-9)
    expected = sklearn_metrics.accuracy_score(TRUTH, PREDICTION, **options)
    assert accuracy(confusion) == pytest.approx(expected, abs=1e-9)
    counts = counts_from_confusion(confusion)
    per_class = sklearn_metrics.f1_score(TRUTH, PREDICTION, average=None, **options)
    np.testing.assert_allclose(f1_per_class(counts), per_class, atol=1e-9)
    macro = sklearn_metrics.f1_score(TRUTH, PREDICTION, average="macro", **options)
    assert float(macro_f1(counts)) == pytest.approx(macro, abs=1e-9)


def test_macro_f1_is_over_the_classes_that_occur_as_in_sklearn() -> None:
    truth, prediction = np.array([0, 0, 2]), np.array([0, 2, 2])
    counts = counts_from_confusion(confusion_matrix(truth, prediction, 6))
    reference = sklearn_metrics.f1_score(truth, prediction, average="macro")
    assert float(macro_f1(counts)) == pytest.approx(reference, abs=1e-12)
    assert np.isnan(f1_per_class(counts)).tolist() == [False, True, False, True, True, True]


def test_nothing_counted_is_nan_not_zero() -> None:
    empty = np.zeros((3, 3))
    assert np.isnan(accuracy(empty))
    assert np.isnan(macro_f1(counts_from_confusion(empty)))


def test_replicates_are_one_more_axis() -> None:
    counts = counts_from_confusion(confusion_matrix(TRUTH, PREDICTION, 5))
    stacked = ClassCounts(
        *(
            np.stack([part, 2 * part])
            for part in (counts.true_positives, counts.false_positives, counts.false_negatives)
        )
    )
    np.testing.assert_allclose(macro_f1(stacked), [macro_f1(counts)] * 2)


def test_dominant_takes_the_first_of_equal_labels() -> None:
    assert dominant(np.array([[0.0, 0.5, 0.5], [1 / 3] * 3])).tolist() == [1, 0]


def test_half_of_the_votes_is_no_strict_majority() -> None:
    soft = np.array([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25], [0.51, 0.49, 0.0], [3 / 5, 1 / 5, 1 / 5]])
    assert strict_majority(soft).tolist() == [False, False, True, True]
    assert not strict_majority(np.array([[0.1 + 0.2 + 0.2, 0.5]])).any()


def test_annotator_aware_counts_by_hand() -> None:
    union = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 1]]) == 1
    truth = np.array([0, 0, 1, 2, 1])
    prediction = np.array([1, 2, 1, 0, 2])
    # 0: in the union: TP of 1, and no FN of 0. 1: miss: FP of 2, FN of 0. 2: TP of 1.
    # 3: miss: FP of 0, FN of 2. 4: in the union: TP of 2.
    assert annotator_correct(union, prediction).tolist() == [True, False, True, False, True]
    counts = annotator_counts(truth, union, prediction)
    assert counts.true_positives.tolist() == [0.0, 2.0, 1.0]
    assert counts.false_positives.tolist() == [1.0, 0.0, 1.0]
    assert counts.false_negatives.tolist() == [1.0, 0.0, 1.0]
    np.testing.assert_allclose(f1_per_class(counts), [0.0, 1.0, 0.5])
    assert float(macro_f1(counts)) == pytest.approx(0.5)


def test_annotator_aware_equals_plain_f1_when_annotators_agree() -> None:
    union = np.eye(5)[TRUTH] == 1
    plain = counts_from_confusion(confusion_matrix(TRUTH, PREDICTION, 5, WEIGHTS))
    aware = annotator_counts(TRUTH, union, PREDICTION, WEIGHTS)
    np.testing.assert_allclose(macro_f1(aware), macro_f1(plain), atol=1e-12)


def test_the_papers_threshold_example() -> None:
    # typed_descriptions, section V: four classes, two of three predictions are fully right.
    truth = np.array([[0.0, 0.5, 0.5, 0.0]] * 3)
    prediction = np.array([[0.2, 0.35, 0.35, 0.1], [0.1, 0.45, 0.45, 0.0], [0.45, 0.1, 0.0, 0.45]])
    assert above_threshold(prediction).astype(int).tolist() == [
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [1, 0, 0, 1],
    ]
    reference = sklearn_metrics.f1_score(
        above_threshold(truth), above_threshold(prediction), average="macro", zero_division=0
    )
    assert float(macro_f1(threshold_counts(truth, prediction))) == pytest.approx(reference)


@pytest.mark.parametrize("size", range(2, 13))
def test_a_share_of_exactly_one_kth_is_off_whatever_its_rounding(size: int) -> None:
    once = 1.0 / size
    smoothed = once * 0.95 + (1.0 - once) * 0.05 / (size - 1)  # a fixed point of label smoothing
    votes = 3.0 / (3 * size)
    assert not above_threshold(
        np.array([[value] * size for value in (once, smoothed, votes)])
    ).any()
    assert above_threshold(np.array([[once + 1e-6] + [once] * (size - 1)]))[0, 0]


def test_weighted_threshold_counts_agree_with_sklearn() -> None:
    truth, prediction = RNG.dirichlet(np.ones(5), 300), RNG.dirichlet(np.ones(5), 300)
    counts = threshold_counts(truth, prediction, WEIGHTS)
    reference = sklearn_metrics.f1_score(
        truth > 0.2, prediction > 0.2, average=None, sample_weight=WEIGHTS
    )
    np.testing.assert_allclose(f1_per_class(counts), reference, atol=1e-9)


def test_labels_that_tie_share_the_credit() -> None:
    probs = np.array([[0.1 + 0.2, 0.3, 0.4 - 0.1, 0.1], [0.4, 0.4, 0.1, 0.1], [0.25] * 4])
    third, half = 1 / 3, 1 / 2
    expected = [[third, third, third, 0], [half, half, 0, 0], [0.25] * 4]
    np.testing.assert_allclose(dominant_shares(probs), expected)
    clear = np.array([[0.3, 0.3 + 1e-6, 0.4 - 1e-6]])
    assert dominant_shares(clear).tolist() == [[0, 0, 1]]
    drawn = np.random.default_rng(0).dirichlet(np.ones(5), 50)
    np.testing.assert_array_equal(dominant_shares(drawn).argmax(axis=1), dominant(drawn))
