"""Strategy ``bon``: the most likely of B beams."""

from __future__ import annotations

import numpy as np

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import alphas_of, beams_with_alpha, invalid, single
from raypipe.strategies.shared import LENGTH_NORMALISED, MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, TAU
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    beams = beams_with_alpha(answers)
    if isinstance(beams, str):
        return invalid(beams, answers.beams)
    best = int(np.argmax(alphas_of(beams, answers.settings)))  # of equal ones the lower rank
    return single(beams[best], answers.settings)


STRATEGY = Strategy(
    name="bon",
    summary="what the most likely of B beams says",
    source="test_time_scaling, 4.2.2",
    rank=50,
    questions=("beams",),
    predict=_predict,
    reads_logits=False,
    settings=(MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, LENGTH_NORMALISED, TAU),
    requires=frozenset({"token_logprobs"}),
)
