"""Strategy ``token_softmax``: the same logits through a softmax, defined for any sign.

Log-probabilities give the same: they are the logits less one constant per step.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import from_logits, invalid
from raypipe.strategies.setting import Setting
from raypipe.strategies.shared import TOKEN_STEPS
from raypipe.strategies.strategy import Strategy
from raypipe.strategies.token_level import softmax_normalised
from raypipe.strategies.word_logits import answer_logits

TOKEN_TEMPERATURE: Setting[float] = Setting(
    name="token_temperature",
    annotation=Annotated[float, Field(gt=0, allow_inf_nan=False)],
    default=1.0,
    summary="temperature of token_softmax, letters and label_score; larger is flatter",
    examples=(1.0, 3.0),
)


def _predict(answers: WindowAnswers) -> Prediction:
    logits = answer_logits(answers)
    if isinstance(logits, str):
        return invalid(logits)
    return from_logits(softmax_normalised(logits, answers.settings[TOKEN_TEMPERATURE]))


STRATEGY = Strategy(
    name="token_softmax",
    summary="read from the same logits through a softmax",
    source="",
    rank=40,
    questions=("greedy",),
    instead=("beams",),  # the best beam's logits
    predict=_predict,
    settings=(TOKEN_STEPS, TOKEN_TEMPERATURE),
    requires=frozenset({"emotion_logprobs"}),
)
