"""Strategy ``w_bon``: a Dirichlet mixture of the valid beams, weighted by softmax(alpha)."""

from __future__ import annotations

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.dirichlet import softmax_weights
from raypipe.strategies.making import (
    alphas_of,
    beams_with_alpha,
    invalid,
    mixture,
    uniform_mixture,
)
from raypipe.strategies.shared import LENGTH_NORMALISED, MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, TAU
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    if any(beam.hypothesis.alpha_kind == "none" for beam in answers.beams):
        return uniform_mixture(answers)  # an endpoint that tells no probabilities
    beams = beams_with_alpha(answers)
    if isinstance(beams, str):
        return invalid(beams, answers.beams)
    weights = softmax_weights(alphas_of(beams, answers.settings))
    return mixture(beams, weights, answers.settings, "alpha")


STRATEGY = Strategy(
    name="w_bon",
    summary="the mean of a Dirichlet mixture of all beams, weighted by likelihood",
    source="test_time_scaling, Eq. 2 and 3",
    rank=60,
    questions=("beams",),
    predict=_predict,
    reads_logits=False,
    settings=(MAX_DROPPED_SHARE, MERGE_TOKENISATIONS, LENGTH_NORMALISED, TAU),
)
