"""Macro-F1 as Table 1 of explainable_speechlm lays it out, with intervals and a paired test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import REPLICATES, id_hashes, interval, weights_from_hashes
from raypipe.metrics.classification import ClassCounts, macro_f1
from raypipe.votes import AnnotatorLabels

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

Subset = Literal["all", "majority"]
Scoring = Literal["mv", "any"]
SUBSETS: tuple[Subset, ...] = ("all", "majority")
SCORINGS: tuple[Scoring, ...] = ("mv", "any")

ALL_RULE = (
    "A label that any annotator gave is right, for the predicted label; any other prediction "
    "is wrong for the predicted label and missed for the label of the majority."
)
"""How a prediction is scored against any annotator."""

LABELS_RULE: Mapping[AnnotatorLabels, str] = {
    "primary": "An annotator gives the primary label alone.",
    "primary+secondary": "An annotator gives the primary label and the secondary ones.",
}
"""Which labels those are."""

LEVEL = 0.05
"""p-value up to which a difference gets its star."""


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """What annotators said about an utterance.

    Attributes:
        utterance_id: of the utterance.
        speaker: None where the corpus does not say.
        reference: of the majority.
        union: labels of the annotators that scoring ``any`` takes for right.
        majority: whether one label has more than half of the votes.
    """

    utterance_id: str
    speaker: str | None
    reference: str
    union: frozenset[str]
    majority: bool


@dataclass(frozen=True, slots=True)
class Score:
    """One cell of the table.

    Attributes:
        system: name of the row.
        macro_f1: in [0, 1]; NaN without utterances.
        low: lower end of its 95 % interval.
        high: upper end.
        n: utterances that count: those with one most-voted label.
        other: of them, those whose answer names no label of the set.
        against: the system it is compared with; None for the only one of its column.
        difference: macro-F1 less that of ``against``.
        difference_low: lower end of the difference's 95 % interval.
        difference_high: upper end.
        p_value: two-sided, of a paired bootstrap.
    """

    system: str
    subset: Subset
    scoring: Scoring
    macro_f1: float
    low: float
    high: float
    n: int
    other: int
    against: str | None = None
    difference: float = float("nan")
    difference_low: float = float("nan")
    difference_high: float = float("nan")
    p_value: float = float("nan")

    @property
    def starred(self) -> bool:
        """Whether it is better than ``against`` by more than chance, p <= 0.05."""
        return self.difference > 0.0 and self.p_value <= LEVEL


def table_scores(
    items: Sequence[LabelledItem],
    predictions: Mapping[str, Sequence[str]],
    labels: LabelSet,
    *,
    against: str | None = None,
    by_speaker: bool = True,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Score]:
    """Every cell of the columns of one form.

    All systems share the bootstrap's weights, so that differences are paired.

    Args:
        items: the utterances that every system was asked about.
        predictions: system -> predicted label of every item, ``other`` for a failure.
        labels: the label set.
        against: the system that all others are compared with; None for the best other one of each
            column.
        by_speaker: draw speakers, not utterances; utterances without a speaker are drawn alone.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    units = [
        item.speaker if by_speaker and item.speaker is not None else item.utterance_id
        for item in items
    ]
    weights = np.ones((1 + replicates, len(items)))
    if items:
        weights[1:] = weights_from_hashes(id_hashes(units), replicates, seed).T
    scores = []
    for subset in SUBSETS:
        chosen = np.array([subset == "all" or item.majority for item in items], dtype=bool)
        for scoring in SCORINGS:
            values = {
                system: _macro_f1s(items, named, labels, scoring, weights * chosen)
                for system, named in predictions.items()
            }
            scores += [
                _score(system, subset, scoring, values, predictions[system], chosen, against)
                for system in predictions
            ]
    return scores


def _macro_f1s(
    items: Sequence[LabelledItem],
    named: Sequence[str],
    labels: LabelSet,
    scoring: Scoring,
    weights: Array,
) -> Array:
    """Macro-F1 of the items and of every replicate, shape ``(1 + replicates,)``."""
    size = len(labels)
    hits, wrong, missed = (np.zeros((len(items), size)) for _ in range(3))
    for row, (item, label) in enumerate(zip(items, named, strict=True)):
        right = label == item.reference if scoring == "mv" else label in item.union
        if label in labels.names:
            (hits if right else wrong)[row, labels.names.index(label)] = 1.0
        if not right or label not in labels.names:
            missed[row, labels.names.index(item.reference)] = 1.0
    counts = ClassCounts(weights @ hits, weights @ wrong, weights @ missed)
    return macro_f1(counts)


def _score(
    system: str,
    subset: Subset,
    scoring: Scoring,
    values: Mapping[str, Array],
    named: Sequence[str],
    chosen: Mask,
    against: str | None,
) -> Score:
    own = values[system]
    low, high = interval(own[1:])
    counted = [label for label, counts in zip(named, chosen.tolist(), strict=True) if counts]
    known = {
        "system": system,
        "subset": subset,
        "scoring": scoring,
        "macro_f1": float(own[0]),
        "low": low,
        "high": high,
        "n": len(counted),
        "other": sum(label == "other" for label in counted),
    }
    others = {name: float(value[0]) for name, value in values.items() if name != system}
    rival = against if against in others else max(others, key=lambda n: others[n], default=None)
    if rival is None or against == system:
        return Score(**known)  # type: ignore[arg-type]
    difference = own - values[rival]
    difference_low, difference_high = interval(difference[1:])
    return Score(
        **known,  # type: ignore[arg-type]
        against=rival,
        difference=float(difference[0]),
        difference_low=difference_low,
        difference_high=difference_high,
        p_value=paired_p_value(difference[1:]),
    )


def paired_p_value(differences: Array) -> float:
    """Two-sided p-value of a paired bootstrap: twice the smaller share beyond 0, never 0.

    Args:
        differences: of every replicate, shape ``(replicates,)``.

    Example:
        >>> paired_p_value(np.array([0.1, 0.2, 0.3]))
        0.5
    """
    differences = differences[~np.isnan(differences)]
    beyond = min((differences <= 0.0).sum(), (differences >= 0.0).sum())
    return float(min(1.0, 2.0 * (1 + beyond) / (1 + differences.size)))
