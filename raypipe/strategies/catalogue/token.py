"""Strategy ``token``: raw logits of emotion words, divided by their sum."""

from __future__ import annotations

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import from_logits, invalid
from raypipe.strategies.shared import TOKEN_STEPS
from raypipe.strategies.strategy import Strategy
from raypipe.strategies.token_level import sum_normalised
from raypipe.strategies.word_logits import answer_logits, logits_source


def _predict(answers: WindowAnswers) -> Prediction:
    source = logits_source(answers)
    if source is not None and source.emotion_kind != "logit":
        return invalid("no_raw_logits")
    logits = answer_logits(answers)
    if isinstance(logits, str):
        return invalid(logits)
    probs = sum_normalised(logits)
    return invalid("non_positive_logit") if probs is None else from_logits(probs)


STRATEGY = Strategy(
    name="token",
    summary="read from the raw logits of emotion words while it answered, divided by their sum",
    source="token_level_logits, Eq. 1 and 2",
    rank=30,
    questions=("greedy",),
    instead=("beams",),  # the best beam's logits
    predict=_predict,
    settings=(TOKEN_STEPS,),
    requires=frozenset({"emotion_logits"}),
)
