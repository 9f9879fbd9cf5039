"""Scores of the dominant label, from weighted counts.

Labels are indices into the label set. Utterances whose plurality is tied have no true class:
leave them out before counting (the reduce counts them as ``ties``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

# Shares are votes / n_votes or smoothed by a few roundings; 1/K itself must stay "off".
SHARE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """True positives, false positives and false negatives of every class.

    Attributes:
        true_positives: shape ``(..., labels)``, non-negative, weighted.
        false_positives: same shape, non-negative, weighted.
        false_negatives: same shape, non-negative, weighted.
    """

    true_positives: Array
    false_positives: Array
    false_negatives: Array


def dominant(probs: Array) -> Indices:
    """Index of the largest share of each row; of equal ones the first in label order.

    Args:
        probs: shape ``(utterances, labels)``.

    Returns:
        Shape ``(utterances,)``.

    Example:
        >>> dominant(np.array([[0.2, 0.4, 0.4]]))
        array([1])
    """
    return np.asarray(np.argmax(probs, axis=1), dtype=np.int64)


def dominant_shares(probs: Array) -> Array:
    """Share of the credit that each label gets as the dominant one; each row sums to 1.

    All of it for the label with the largest share; where several have that share, to within
    rounding, an equal part for each of them.

    Args:
        probs: shape ``(utterances, labels)``, without NaN.

    Returns:
        Same shape.

    Example:
        >>> dominant_shares(np.array([[0.2, 0.5, 0.3], [0.2, 0.4, 0.4]]))
        array([[0. , 1. , 0. ],
               [0. , 0.5, 0.5]])
    """
    leading = probs >= probs.max(axis=1, keepdims=True) - SHARE_TOLERANCE
    return np.asarray(leading / leading.sum(axis=1, keepdims=True))


def confusion_matrix(
    truth: Indices, prediction: Indices, label_count: int, weights: Array | None = None
) -> Array:
    """Weighted count of every (true class, predicted class) pair.

    Args:
        truth: true classes, shape ``(utterances,)``.
        prediction: predicted classes, shape ``(utterances,)``.
        label_count: K.
        weights: shape ``(utterances,)``; 1 each if None.

    Returns:
        Shape ``(labels, labels)``: rows are truth, columns are prediction.

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        array([[1., 1.],
               [0., 1.]])
    """
    cells = truth * label_count + prediction
    counts = np.bincount(cells, weights=weights, minlength=label_count**2).astype(np.float64)
    return np.asarray(counts.reshape(label_count, label_count))


def counts_from_confusion(confusion: Array) -> ClassCounts:
    """Class counts of a confusion matrix, shape ``(labels, labels)``, rows are truth."""
    hits = np.diagonal(confusion)
    return ClassCounts(hits, confusion.sum(axis=0) - hits, confusion.sum(axis=1) - hits)


def f1_per_class(counts: ClassCounts) -> Array:
    """F1 = 2 TP / (2 TP + FP + FN) of every class, in [0, 1].

    NaN for a class that occurs neither in the truth nor in the prediction.

    Returns:
        Shape ``(..., labels)``.

    Example:
        >>> f1_per_class(ClassCounts(np.array([1.0, 0.0]), np.array([1.0, 0.0]),
        ...                          np.array([1.0, 0.0])))
        array([0.5, nan])
    """
    doubled = 2.0 * counts.true_positives
    denominator = doubled + counts.false_positives + counts.false_negatives
    present = denominator > 0.0
    return np.where(present, doubled / np.where(present, denominator, 1.0), np.nan)


def macro_f1(counts: ClassCounts) -> Array:
    """Unweighted mean F1 over the classes that occur in the truth or in the prediction.

    This is scikit-learn's ``f1_score(average="macro")`` with its default labels. NaN if no class
    occurs.

    Returns:
        Shape ``(...)``, without the labels axis.

    Example:
        >>> confusion = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
        >>> float(macro_f1(counts_from_confusion(confusion)).round(6))
        0.733333
    """
    per_class = f1_per_class(counts)
    present = ~np.isnan(per_class)
    number = present.sum(axis=-1)
    total = np.where(present, per_class, 0.0).sum(axis=-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


FEW = 10
"""Utterances of a label below which macro-F1's bias is worth a word."""


def small_sample_note(counts: Array, labels: LabelSet) -> str | None:
    """That a macro-F1 is biased by a label of which there are few utterances; None if none is.

    Averaged over data sets macro-F1 lies below that of a large corpus where few utterances have a
    label: by up to .05 for less than 10, two fifths of its standard error
    (``tests/bench/bench_coverage.py``).

    Args:
        counts: utterances of each label in the truth, shape ``(labels,)``; labels without any do
            not count as rare.
        labels: the K labels.

    Example:
        >>> small_sample_note(np.array([40.0, 3.0]), LabelSet(("anger", "fear")))
        'fear is the label of 3 utterances: macro-F1 is then up to .05 too low on average'
    """
    present = np.flatnonzero(counts > 0.0)
    if present.size == 0:
        return None
    rarest = int(present[np.argmin(counts[present])])
    if counts[rarest] >= FEW:
        return None
    return (
        f"{labels.names[rarest]} is the label of {round(float(counts[rarest]))} utterances: "
        "macro-F1 is then up to .05 too low on average"
    )


def without_interval(note: str | None) -> str | None:
    """The note of a macro-F1 that has no interval for what it says; None for None."""
    return None if note is None else f"no interval: {note}"


def strict_majority(soft_label: Array) -> Mask:
    """Utterances with one label above 50 % of the votes; exactly 50 % is none.

    Args:
        soft_label: shape ``(utterances, labels)``.

    Example:
        >>> strict_majority(np.array([[0.5, 0.5], [0.6, 0.4]]))
        array([False,  True])
    """
    return np.asarray(soft_label.max(axis=1) > 0.5 + SHARE_TOLERANCE)
