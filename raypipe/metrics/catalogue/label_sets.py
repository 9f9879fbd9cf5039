"""How much of the votes the label sets of a strategy hold, and how large they are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import Summand, Sums, ratio

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def _inside(scored: Scored) -> Mask:
    """Labels of the sets of utterances that are labelled and have a set."""
    if scored.label_set is None:
        return np.zeros(scored.probs.shape, dtype=np.bool_)
    return np.asarray(scored.label_set & scored.valid[:, None])


def _votes_inside(scored: Scored) -> Array:
    truth = np.where(scored.valid[:, None], scored.utterances.truth, 0.0)
    return np.asarray(np.minimum((truth * _inside(scored)).sum(axis=1), 1.0))


VOTES_INSIDE = Summand("votes_inside", _votes_inside)
LABELS_INSIDE = Summand("labels_inside", lambda scored: _inside(scored).sum(axis=1))
WITH_SET = Summand("with_set", lambda scored: np.asarray(_inside(scored).any(axis=1)))


def _coverage(sums: Sums) -> Array:
    return ratio(sums[VOTES_INSIDE], sums[WITH_SET])


def _size(sums: Sums) -> Array:
    return ratio(sums[LABELS_INSIDE], sums[WITH_SET])


METRICS = (
    SumsMetric(
        name="set_coverage",
        title="Set coverage",
        narrow="Set\ncov.",
        description="share of the annotators' votes inside the label set, every utterance's votes "
        "weighing 1 together",
        range=(0.0, 1.0),
        better="neither",
        undefined="the strategy states no label sets",
        source="mean_i sum_k p_ik [k in set_i]; Stutz et al., TMLR 2023",
        section=Section.ANNOTATORS,
        rank=40,
        add=(VOTES_INSIDE,),
        function=_coverage,
        count=WITH_SET,
        is_stated=True,
        of_speakers_to_come=True,
    ),
    SumsMetric(
        name="set_size",
        title="Set size",
        narrow="Set\nsize",
        description="mean number of labels in the label set",
        range=(1.0, math.inf),
        unit="labels",
        better="lower",
        undefined="the strategy states no label sets",
        source="mean_i |set_i|; at equal coverage smaller sets say more",
        section=Section.ANNOTATORS,
        rank=50,
        add=(LABELS_INSIDE,),
        function=_size,
        count=WITH_SET,
        is_stated=True,
        of_speakers_to_come=True,
    ),
)
