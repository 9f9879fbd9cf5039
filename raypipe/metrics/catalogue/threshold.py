"""Multi-label F1 of the labels that have more than an equal share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.classification import (
    SHARE_TOLERANCE,
    ClassCounts,
    f1_per_class,
    macro_f1,
    small_sample_note,
)
from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import VALID, Summand, Sums

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def above_threshold(probs: Array) -> Mask:
    """Classes whose share is above 1/K (typed_descriptions, section V).

    A share of exactly 1/K is off, also when it was computed with rounding.

    Args:
        probs: shape ``(utterances, labels)``.

    Example:
        >>> above_threshold(np.array([[0.1 + 0.2 - 0.05, 0.25, 0.3, 0.2]]))
        array([[False, False,  True, False]])
    """
    return np.asarray(probs > 1.0 / probs.shape[1] + SHARE_TOLERANCE)


def threshold_counts(truth: Array, prediction: Array, weights: Array | None = None) -> ClassCounts:
    """Multi-label class counts of the threshold macro-F1 (typed_descriptions, section V).

    Args:
        truth: soft labels, shape ``(utterances, labels)``.
        prediction: predicted distributions, same shape.
        weights: shape ``(utterances,)``; 1 each if None.

    Example:
        >>> counts = threshold_counts(np.array([[0.6, 0.4, 0.0]]), np.array([[0.9, 0.05, 0.05]]))
        >>> float(macro_f1(counts))
        0.5
    """
    on_truth, on_prediction = above_threshold(truth), above_threshold(prediction)
    weights = np.ones(truth.shape[0]) if weights is None else weights
    return ClassCounts(
        weights @ (on_truth & on_prediction),
        weights @ (~on_truth & on_prediction),
        weights @ (on_truth & ~on_prediction),
    )


PUBLISHED_BATCH = 32
"""Clips of which EMO-SUPERB's published code takes a score, before the mean over the batches."""


def batch_threshold_macro_f1(
    truth: Array, prediction: Array, batch_size: int = PUBLISHED_BATCH
) -> float:
    """Mean over batches of the threshold macro-F1, as EMO-SUPERB's published code logs it.

    It depends on the order of the clips and is lower than the pooled score. A label that a batch
    has neither in the truth nor in the prediction counts as 0 there, as with scikit-learn's
    ``classification_report``.

    Args:
        truth: soft labels, shape ``(utterances, labels)``, at least one row.
        prediction: predicted distributions, same shape, in the same order.
        batch_size: clips in a batch; the last one may have fewer.

    Example:
        >>> truth = np.array([[0.9, 0.1], [0.1, 0.9]])
        >>> batch_threshold_macro_f1(truth, truth, 2), batch_threshold_macro_f1(truth, truth, 1)
        (1.0, 0.5)
    """
    scores = []
    for begin in range(0, len(truth), batch_size):
        rows = slice(begin, begin + batch_size)
        per_class = f1_per_class(threshold_counts(truth[rows], prediction[rows]))
        scores.append(np.nan_to_num(per_class).mean())
    return float(np.mean(scores))


def _class_counts(scored: Scored) -> Mask:
    """True positives, false positives and false negatives of every label side by side."""
    valid = scored.valid[:, None]
    truth = above_threshold(np.where(valid, scored.utterances.truth, 0.0))
    prediction = above_threshold(np.where(valid, scored.probs, 0.0))
    return np.hstack([truth & prediction, ~truth & prediction, truth & ~prediction])


CLASS_COUNTS = Summand("threshold_class_counts", _class_counts, width=3, per_label=True)


def _macro(sums: Sums) -> Array:
    return macro_f1(ClassCounts(*np.split(sums[CLASS_COUNTS], 3, axis=1)))


def _note(sums: Sums) -> str | None:
    hits, _, missed = np.split(sums[CLASS_COUNTS][0], 3)
    return small_sample_note(hits + missed, sums.labels)


METRICS = (
    SumsMetric(
        name="threshold_macro_f1",
        title="Threshold macro-F1",
        description="multi-label macro-F1 of the labels with more than a share of 1/K",
        range=(0.0, 1.0),
        better="higher",
        undefined="no label has more than 1/K, in no soft label and no prediction",
        source="typed_descriptions, section V",
        section=Section.ANNOTATORS,
        rank=30,
        add=(CLASS_COUNTS,),
        function=_macro,
        count=VALID,
        note=_note,
    ),
)
