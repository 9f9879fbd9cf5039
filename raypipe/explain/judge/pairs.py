"""Pairs of reasons for the same label of the same utterance, chosen by a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raypipe.explain.answers import names_an_emotion
from raypipe.records import ExplainedAnswer

PER_EMOTION = 50
"""Pairs of each emotion in explainable_speechlm, section 3.5."""


@dataclass(frozen=True, slots=True)
class ReasonPair:
    """Two systems' reasons for one label of one utterance.

    Attributes:
        speaker: None where neither table says.
        label: that both predicted.
        first: reason of the first system.
        second: reason of the second system.
        first_is_a: whether the pair is first asked about with the first system as A; then with the
            sides exchanged.
    """

    utterance_id: str
    speaker: str | None
    label: str
    first: str
    second: str
    first_is_a: bool


@dataclass(frozen=True, slots=True)
class ChosenPairs:
    """Pairs that a judge is asked about.

    Attributes:
        pairs: in the order of labels, then utterances.
        common: number of utterances that both systems answered.
        available: by label, pairs that could be chosen.
    """

    pairs: tuple[ReasonPair, ...]
    common: int
    available: dict[str, int]


def choose_pairs(
    first: Iterable[ExplainedAnswer],
    second: Iterable[ExplainedAnswer],
    *,
    per_emotion: int = PER_EMOTION,
    seed: int = 0,
) -> ChosenPairs:
    """Up to so many pairs of every label, of utterances for which both systems predict it.

    Both must give a reason; the label ``other`` is none.

    Args:
        first: answers of the first system.
        second: answers of the second system.
        per_emotion: most pairs of a label.
        seed: of the choice and of the sides, which do not depend on the order of the answers.
    """
    others = {answer.utterance_id: answer for answer in second}
    candidates: dict[str, list[tuple[ExplainedAnswer, ExplainedAnswer]]] = {}
    common = 0
    for answer in sorted(first, key=lambda answer: answer.utterance_id):
        other = others.get(answer.utterance_id)
        if other is None:
            continue
        common += 1
        both_say_why = answer.reason is not None and other.reason is not None
        if names_an_emotion(answer) and answer.label == other.label and both_say_why:
            candidates.setdefault(str(answer.label), []).append((answer, other))
    rng = np.random.default_rng(seed)
    pairs: list[ReasonPair] = []
    for label, available in sorted(candidates.items()):
        places = np.sort(rng.permutation(len(available))[:per_emotion])
        sides = rng.integers(2, size=len(places))
        for place, side in zip(places, sides, strict=True):
            one, other = available[place]
            pairs.append(
                ReasonPair(
                    one.utterance_id,
                    one.speaker or other.speaker,
                    label,
                    _in_one_line(one.reason),
                    _in_one_line(other.reason),
                    bool(side),
                )
            )
    counts = Counter({label: len(available) for label, available in candidates.items()})
    return ChosenPairs(tuple(pairs), common, dict(sorted(counts.items())))


def _in_one_line(reason: str | None) -> str:
    """A reason without line ends, which would tell systems apart."""
    return " ".join((reason or "").split())
