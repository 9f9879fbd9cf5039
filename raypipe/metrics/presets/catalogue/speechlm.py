"""Preset ``speechlm``: macro-F1 against the majority's and against any annotator's label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.classification import ClassCounts, macro_f1
from raypipe.metrics.presets.preset import (
    PaperPreset,
    PresetMetric,
    PresetRows,
    SummedScore,
    of_classes,
)

Array = NDArray[np.float64]


def _annotator_counts(rows: PresetRows) -> Array:
    """True and false positives and false negatives of every label, then what counts at all."""
    right = rows.predicted_class * rows.union
    wrong = rows.predicted_class * ~rows.union
    # An invalid answer, which counts as wrong, misses its utterance and predicts nothing.
    missed = 1.0 - right.sum(axis=1, keepdims=True)
    scorable = np.asarray(rows.true_class.any(axis=1))[:, None]
    columns = [right, wrong, missed * rows.true_class, np.ones(scorable.shape)]
    return np.asarray(scorable * np.hstack(columns))


def _annotator_aware(sums: Array) -> Array:
    return macro_f1(ClassCounts(*np.split(sums[:, :-1], 3, axis=1)))


_macro = of_classes(macro_f1)
_any_annotator = SummedScore(_annotator_counts, _annotator_aware)
_ALL = "macro-F1 in which any annotator's label is right for the predicted label"

PRESET = PaperPreset(
    name="speechlm",
    rank=50,
    title="Explainable SpeechLM (explainable_speechlm), section 3 and Table 1",
    paper="explainable_speechlm",
    corpora=("MSP-Podcast",),
    labels="8, without other",
    base="no logarithm",
    eps="none",
    direction="none",
    truth_ties="left_out",
    predicted_ties="first",
    invalid="wrong",
    subset="Test1 of v1.12; each score also where one label has more than half of the votes",
    open_questions="whether secondary labels are among the annotators' is not stated: primary ones "
    "are here, as in metrics.annotator_labels by default.",
    metrics=(
        PresetMetric(
            name="macro_f1",
            definition="macro-F1 against the majority's label (MV)",
            better="higher",
            score=_macro,
            published="macro_f1",
        ),
        PresetMetric(
            name="annotator_macro_f1",
            definition=f"{_ALL} (All)",
            better="higher",
            score=_any_annotator,
            published="annotator_aware_macro_f1",
        ),
        PresetMetric(
            name="macro_f1_majority",
            definition="macro_f1 where one label has more than half of the votes",
            better="higher",
            score=_macro,
            subset="strict_majority",
            published="macro_f1",
        ),
        PresetMetric(
            name="annotator_macro_f1_majority",
            definition="annotator_macro_f1 where one label has more than half of the votes",
            better="higher",
            score=_any_annotator,
            subset="strict_majority",
            published="annotator_aware_macro_f1",
        ),
    ),
)
