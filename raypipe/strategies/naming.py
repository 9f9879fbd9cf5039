"""Predictions of answers that name one emotion: what strategies ``open`` and ``closed`` share."""

from __future__ import annotations

import numpy as np

from raypipe.labels import LabelSet
from raypipe.parsing.choices import NamedEmotion
from raypipe.records import Prediction
from raypipe.strategies.making import entropy_bits
from raypipe.votes import OTHER


def named(emotion: NamedEmotion, labels: LabelSet) -> Prediction:
    """All probability on the label that is named.

    Without one, or with ``other`` where the label set has no such label, the prediction is
    invalid: ``other``, or why no emotion was read.
    """
    if emotion.label is None:
        return Prediction("", None, emotion.rule, emotion.fault)
    if emotion.label not in labels.names:
        return Prediction("", None, emotion.rule, OTHER)
    probs = np.zeros(len(labels))
    probs[labels.names.index(emotion.label)] = 1.0
    return Prediction("", probs, emotion.rule, entropy=entropy_bits(probs))
