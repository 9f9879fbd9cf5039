"""Preset ``msp_challenge``: categorical emotions of the MSP-Podcast challenges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.classification import ClassCounts, macro_f1
from raypipe.metrics.presets.preset import PaperPreset, PresetMetric, accuracy_of, of_classes
from raypipe.metrics.sums import ratio

Array = NDArray[np.float64]


def micro_f1(counts: ClassCounts) -> Array:
    """2 TP / (2 TP + FP + FN) over all labels at once."""
    doubled = 2.0 * counts.true_positives.sum(axis=-1)
    wrong = (counts.false_positives + counts.false_negatives).sum(axis=-1)
    return ratio(doubled, doubled + wrong)


def macro_precision(counts: ClassCounts) -> Array:
    """Unweighted mean precision of the labels that occur; 0 of one that is never predicted."""
    return _mean(counts, counts.false_positives)


def macro_recall(counts: ClassCounts) -> Array:
    """Unweighted mean recall of the labels that occur; 0 of one that is never true."""
    return _mean(counts, counts.false_negatives)


def _mean(counts: ClassCounts, missed: Array) -> Array:
    occurs = (counts.true_positives + counts.false_positives + counts.false_negatives) > 0.0
    shares = np.nan_to_num(ratio(counts.true_positives, counts.true_positives + missed))
    return ratio((shares * occurs).sum(axis=-1), occurs.sum(axis=-1).astype(np.float64))


_macro, _micro = of_classes(macro_f1), of_classes(micro_f1, per_label=False)
_precision, _recall = of_classes(macro_precision), of_classes(macro_recall)
_accuracy = of_classes(accuracy_of, per_label=False)

PRESET = PaperPreset(
    name="msp_challenge",
    rank=60,
    title="MSP-Podcast challenges, Odyssey 2024 and Interspeech 2025: categorical emotion",
    paper=None,
    corpora=("MSP-Podcast",),
    labels="8: anger, sadness, happiness, surprise, fear, disgust, contempt, neutral",
    base="no logarithm",
    eps="none",
    direction="none",
    truth_ties="left_out",
    predicted_ties="first",
    invalid="wrong",
    subset="utterances whose consensus is one of the eight: neither other (O) nor no agreement (X)",
    open_questions="the consensus counts Other as a class: ingest with plurality: corpus, or 2.6 % "
    "of utterances have another label. The challenge's test set is balanced and its labels are not "
    "public: Odyssey's winner has macro-F1 .357 and accuracy .373 there, the best single system "
    "of Interspeech 2025 more than .40.",
    metrics=(
        PresetMetric(
            name="macro_f1",
            definition="unweighted mean F1 of the labels that occur",
            better="higher",
            score=_macro,
        ),
        PresetMetric(
            name="micro_f1",
            definition="F1 over all labels at once",
            better="higher",
            score=_micro,
        ),
        PresetMetric(
            name="macro_precision",
            definition="unweighted mean precision; 0 of a label that is never predicted",
            better="higher",
            score=_precision,
        ),
        PresetMetric(
            name="macro_recall",
            definition="unweighted mean recall; 0 of a label that is never true",
            better="higher",
            score=_recall,
        ),
        PresetMetric(
            name="accuracy",
            definition="share of utterances whose predicted label is the consensus",
            better="higher",
            score=_accuracy,
        ),
    ),
)
