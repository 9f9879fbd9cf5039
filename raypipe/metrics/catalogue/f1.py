"""F1 of every label, and its mean over the labels that occur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.classification import (
    ClassCounts,
    f1_per_class,
    macro_f1,
    small_sample_note,
    without_interval,
)
from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.sums import HIT, PLURALITY, PLURALITY_OF_INVALID, Summand, Sums, too_few

Array = NDArray[np.float64]

PREDICTED = Summand(
    "predicted", lambda scored: scored.choice * scored.scorable[:, None], per_label=True
)
"""Scorable utterances by their dominant label."""


def _counts(sums: Sums) -> ClassCounts:
    hit = sums[HIT]
    return ClassCounts(hit, sums[PREDICTED] - hit, sums[PLURALITY] - hit)


def _macro(sums: Sums) -> Array:
    return macro_f1(_counts(sums))


def _note(sums: Sums) -> str | None:
    return small_sample_note(sums[PLURALITY][0], sums.labels)


def _macro_withheld(sums: Sums) -> list[str | None]:
    return [without_interval(_note(sums))]


def _few_hits_or_misses(sums: Sums) -> list[str | None]:
    counts = _counts(sums)
    misses = counts.false_positives[0] + counts.false_negatives[0]
    pairs = zip(counts.true_positives[0], misses, strict=True)
    return [too_few({"hits": float(hits), "misses": float(missed)}) for hits, missed in pairs]


def _per_label(sums: Sums) -> Array:
    return f1_per_class(_counts(sums))


def _with_guesses(sums: Sums) -> Array:
    """Macro-F1 in which an invalid prediction is a vote for every label, of 1/K."""
    missing, label_count = sums[PLURALITY_OF_INVALID], len(sums.labels)
    guesses = missing.sum(axis=1, keepdims=True) / label_count
    hit, truth = sums[HIT] + missing / label_count, sums[PLURALITY] + missing
    return macro_f1(ClassCounts(hit, sums[PREDICTED] + guesses - hit, truth - hit))


METRICS = (
    SumsMetric(
        name="macro_f1",
        title="Macro-F1",
        narrow="Macro\nF1",
        description="unweighted mean F1 over the labels that occur as plurality or prediction",
        range=(0.0, 1.0),
        better="higher",
        undefined="every utterance's plurality is tied",
        source="mean_k F1_k; van Rijsbergen, Information Retrieval (1979)",
        section=Section.PLURALITY,
        rank=20,
        headline=True,
        add=(HIT, PREDICTED),
        function=_macro,
        withheld=_macro_withheld,
        count=PLURALITY,
        uniform=_with_guesses,
        uniform_count=PLURALITY_OF_INVALID,
        note=_note,
    ),
    SumsMetric(
        name="f1",
        title="F1",
        description="F1 of one label",
        range=(0.0, 1.0),
        better="higher",
        undefined="the label occurs neither as plurality nor as prediction",
        source="2 TP / (2 TP + FP + FN); van Rijsbergen, Information Retrieval (1979)",
        section=Section.PLURALITY,
        rank=30,
        add=(HIT, PREDICTED),
        function=_per_label,
        withheld=_few_hits_or_misses,
        count=PLURALITY,
        per_label=True,
    ),
)
