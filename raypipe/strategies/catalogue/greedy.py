"""Strategy ``greedy``: no test-time scaling."""

from __future__ import annotations

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import invalid, single
from raypipe.strategies.shared import MAX_DROPPED_SHARE, TAU
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    if answers.greedy is None:
        return invalid("no_greedy")
    return single(answers.greedy, answers.settings)


STRATEGY = Strategy(
    name="greedy",
    summary="what the greedy answer says",
    source="",
    rank=10,
    questions=("greedy",),
    predict=_predict,
    reads_logits=False,
    settings=(MAX_DROPPED_SHARE, TAU),
)
