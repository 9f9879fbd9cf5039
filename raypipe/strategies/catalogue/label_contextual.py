"""Strategy ``label_contextual``: scored labels, with what the model says of silence taken off.

Contextual calibration with the weights of Zhao et al. 2021 (arXiv 2102.09690, section 4): each
label's probability is divided by the one that it has for an input without content, here silence as
long as the clip. Whether that helps is a question of the model; ``calibrate`` fits a bias instead.
"""

from __future__ import annotations

import numpy as np

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.catalogue.label_score import scores_of
from raypipe.strategies.catalogue.token_softmax import TOKEN_TEMPERATURE
from raypipe.strategies.making import from_logits, invalid
from raypipe.strategies.shared import LENGTH_NORMALISED
from raypipe.strategies.strategy import Strategy
from raypipe.strategies.token_level import softmax_normalised


def _predict(answers: WindowAnswers) -> Prediction:
    heard, silent = scores_of(answers, "label", "labels"), scores_of(answers, "silence", "silence")
    if isinstance(heard, str):
        return invalid(heard)
    if isinstance(silent, str):
        return invalid(silent)
    shares = softmax_normalised(np.asarray(heard - silent), answers.settings[TOKEN_TEMPERATURE])
    return from_logits(shares)


STRATEGY = Strategy(
    name="label_contextual",
    summary="the same, with the labels' log-likelihoods for silence taken off",
    source="",
    rank=46,
    questions=("labels", "silence"),
    predict=_predict,
    settings=(LENGTH_NORMALISED, TOKEN_TEMPERATURE),
    reads_logits=False,
)
