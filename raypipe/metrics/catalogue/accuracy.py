"""Accuracy of the dominant label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import HIT, PLURALITY, PLURALITY_OF_INVALID, Sums, ratio, too_few

Array = NDArray[np.float64]


def accuracy(confusion: Array) -> float:
    """Share of the counts on the diagonal, in [0, 1]; NaN for an empty matrix.

    Example:
        >>> accuracy(np.array([[1.0, 1.0], [0.0, 2.0]]))
        0.75
    """
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total > 0.0 else float("nan")


def _accuracy(sums: Sums) -> Array:
    return ratio(sums.total(HIT), sums.total(PLURALITY))


def _withheld(sums: Sums) -> list[str | None]:
    hits = sums.total(HIT)[0]
    return [too_few({"hits": hits, "misses": sums.total(PLURALITY)[0] - hits})]


def _with_guesses(sums: Sums) -> Array:
    """Accuracy in which an invalid prediction is a hit with a chance of 1/K."""
    missing = sums[PLURALITY_OF_INVALID]
    hits = sums[HIT] + missing / len(sums.labels)
    return ratio(hits.sum(axis=1), (sums[PLURALITY] + missing).sum(axis=1))


def _hits(scored: Scored) -> Array:
    return np.where(scored.scorable, scored.hit, np.nan)


METRICS = (
    SumsMetric(
        name="accuracy",
        title="Accuracy",
        narrow="Acc.",
        description="share of utterances whose dominant label is the plurality of the annotators",
        range=(0.0, 1.0),
        better="higher",
        undefined="every utterance's plurality is tied",
        source="hits / utterances without a tie",
        section=Section.PLURALITY,
        rank=10,
        headline=True,
        add=(HIT,),
        function=_accuracy,
        withheld=_withheld,
        count=PLURALITY,
        uniform=_with_guesses,
        uniform_count=PLURALITY_OF_INVALID,
        per_utterance=_hits,
        skill=True,
        difference=True,
    ),
)
