"""Scores that take any annotator's label for right.

Whether an annotator's primary label alone or secondary ones, too, is ``metrics.annotator_labels``
of the config.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.classification import (
    ClassCounts,
    macro_f1,
    small_sample_note,
    without_interval,
)
from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import PLURALITY, Summand, Sums, ratio, too_few

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


def annotator_correct(union: Mask, prediction: Indices) -> Mask:
    """Whether any annotator gave the predicted label (explainable_speechlm, section 3).

    Args:
        union: labels any annotator gave, shape ``(utterances, labels)``.
        prediction: predicted classes, shape ``(utterances,)``.

    Returns:
        Shape ``(utterances,)``.
    """
    return np.asarray(union[np.arange(prediction.size), prediction])


def annotator_counts(
    truth: Indices, union: Mask, prediction: Indices, weights: Array | None = None
) -> ClassCounts:
    """Class counts of the annotator-aware macro-F1 (explainable_speechlm, section 3).

    A prediction in the union is a true positive of the predicted class; any other is a false
    positive of the predicted class and a false negative of the plurality class.

    Args:
        truth: plurality classes, shape ``(utterances,)``.
        union: labels any annotator gave, shape ``(utterances, labels)``.
        prediction: predicted classes, shape ``(utterances,)``.
        weights: shape ``(utterances,)``; 1 each if None.

    Example:
        >>> counts = annotator_counts(np.array([0, 0]), np.array([[1, 1, 0], [1, 0, 0]]) == 1,
        ...                           np.array([1, 2]))
        >>> counts.true_positives, counts.false_positives, counts.false_negatives
        (array([0., 1., 0.]), array([0., 0., 1.]), array([1., 0., 0.]))
    """
    weights = np.ones(prediction.size) if weights is None else weights
    correct = annotator_correct(union, prediction)
    size = union.shape[1]

    def count(classes: Indices, chosen: Mask) -> Array:
        return np.bincount(classes, weights=weights * chosen, minlength=size).astype(np.float64)

    return ClassCounts(
        count(prediction, correct), count(prediction, ~correct), count(truth, ~correct)
    )


def _known(scored: Scored) -> Mask:
    """Valid predictions for utterances with any vote inside the label set."""
    return np.asarray(scored.valid & scored.utterances.union.any(axis=1))


def _union_hit(scored: Scored) -> Array:
    return np.asarray((scored.choice * scored.utterances.union).sum(axis=1))


def _class_counts(scored: Scored) -> Array:
    """True positives, false positives and false negatives of every label side by side."""
    utterances, choice = scored.utterances, scored.choice
    wrong = choice * ~utterances.union
    missed = wrong.sum(axis=1, keepdims=True) * utterances.plurality_matrix
    both = (_known(scored) & scored.scorable)[:, None]
    return np.asarray(both * np.hstack([choice * utterances.union, wrong, missed]))


UNION = Summand("union", _known)
UNION_HIT = Summand("union_hit", _union_hit)
CLASS_COUNTS = Summand("annotator_class_counts", _class_counts, width=3, per_label=True)


def _accuracy(sums: Sums) -> Array:
    return ratio(sums[UNION_HIT], sums[UNION])


def _few_misses(sums: Sums) -> list[str | None]:
    hits = sums[UNION_HIT][0]
    return [too_few({"hits": hits, "misses": sums[UNION][0] - hits})]


def _withheld(sums: Sums) -> list[str | None]:
    hits, _, missed = np.split(sums[CLASS_COUNTS][0], 3)
    few = too_few({"hits": hits.sum(), "misses": missed.sum()})
    return [few or without_interval(small_sample_note(sums[PLURALITY][0], sums.labels))]


def _macro(sums: Sums) -> Array:
    return macro_f1(ClassCounts(*np.split(sums[CLASS_COUNTS], 3, axis=1)))


METRICS = (
    SumsMetric(
        name="annotator_accuracy",
        title="Annotator accuracy",
        description="share of utterances whose dominant label any annotator gave, by default "
        "as the primary one",
        range=(0.0, 1.0),
        better="higher",
        undefined="no utterance has a vote inside the label set",
        source="explainable_speechlm, section 3",
        section=Section.ANNOTATORS,
        rank=10,
        of_humans=False,
        add=(UNION_HIT,),
        function=_accuracy,
        withheld=_few_misses,
        count=UNION,
    ),
    SumsMetric(
        name="annotator_macro_f1",
        title="Annotator macro-F1",
        description="macro-F1 in which any label an annotator gave, by default as the primary one, "
        "is right",
        range=(0.0, 1.0),
        better="higher",
        undefined="every utterance's plurality is tied",
        source="explainable_speechlm, section 3",
        section=Section.ANNOTATORS,
        rank=20,
        of_humans=False,
        add=(CLASS_COUNTS,),
        function=_macro,
        withheld=_withheld,
        count=PLURALITY,
        note=lambda sums: small_sample_note(sums[PLURALITY][0], sums.labels),
    ),
)
