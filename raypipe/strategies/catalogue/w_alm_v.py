"""Strategy ``w_alm_v``: a Dirichlet mixture of the scored beams, weighted by the scores."""

from __future__ import annotations

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.dirichlet import verifier_weights
from raypipe.strategies.making import beams_with_score, invalid, mixture, scores_of
from raypipe.strategies.shared import MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, TAU
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    beams = beams_with_score(answers)
    if isinstance(beams, str):
        return invalid(beams, answers.beams)
    return mixture(beams, verifier_weights(scores_of(beams)), answers.settings, "verifier")


STRATEGY = Strategy(
    name="w_alm_v",
    summary="the mixture, weighted by the verifier's scores",
    source="test_time_scaling, 4.2.3",
    rank=80,
    questions=("beams", "verifier"),
    predict=_predict,
    reads_logits=False,
    settings=(MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, TAU),
)
