"""Strategy ``cot``: a chain of thought before the answer."""

from __future__ import annotations

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import invalid, single
from raypipe.strategies.shared import MAX_DROPPED_SHARE, TAU
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    if answers.cot is None:
        return invalid("no_cot")
    return single(answers.cot, answers.settings)


STRATEGY = Strategy(
    name="cot",
    summary="what the greedy answer to the prompt's step-by-step variant says",
    source="test_time_scaling, 4.2.1",
    rank=20,
    questions=("cot",),
    predict=_predict,
    reads_logits=False,
    settings=(MAX_DROPPED_SHARE, TAU),
)
