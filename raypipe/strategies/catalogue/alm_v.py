"""Strategy ``alm_v``: the beam that a verifier scores highest."""

from __future__ import annotations

import numpy as np

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import beams_with_score, invalid, scores_of, single
from raypipe.strategies.shared import MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, TAU
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    beams = beams_with_score(answers)
    if isinstance(beams, str):
        return invalid(beams, answers.beams)
    best = int(np.argmax(scores_of(beams)))  # of equal ones the lower rank
    return single(beams[best], answers.settings)


STRATEGY = Strategy(
    name="alm_v",
    summary="what the beam with the best verifier score says",
    source="test_time_scaling, 4.2.3",
    rank=70,
    questions=("beams", "verifier"),
    predict=_predict,
    reads_logits=False,
    settings=(MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, TAU),
)
