"""Strategy ``open``: the emotion that a free answer names."""

from __future__ import annotations

from raypipe.parsing.choices import read_free
from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import invalid
from raypipe.strategies.naming import named
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    if answers.greedy is None:
        return invalid("no_greedy")
    hypothesis = answers.greedy.hypothesis
    if not hypothesis.is_answer:
        return invalid(hypothesis.finish_reason)
    return named(read_free(hypothesis.text, answers.labels), answers.labels)


STRATEGY = Strategy(
    name="open",
    summary="the one label that the greedy answer names, in its own words if need be",
    source="explainable_speechlm, 3.1",
    rank=100,
    questions=("greedy",),
    predict=_predict,
    reads_logits=False,
)
