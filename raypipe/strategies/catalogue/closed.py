"""Strategy ``closed``: the option that an answer to a closed form chooses."""

from __future__ import annotations

from raypipe.parsing.choices import read_choice
from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.making import invalid
from raypipe.strategies.naming import named
from raypipe.strategies.strategy import Strategy


def _predict(answers: WindowAnswers) -> Prediction:
    if answers.greedy is None:
        return invalid("no_greedy")
    if not answers.options:
        return invalid("no_options")
    hypothesis = answers.greedy.hypothesis
    if not hypothesis.is_answer:
        return invalid(hypothesis.finish_reason)
    chosen = read_choice(hypothesis.text, answers.labels, answers.options)
    return named(chosen, answers.labels)


STRATEGY = Strategy(
    name="closed",
    summary="the option that the greedy answer to a closed form chooses",
    source="explainable_speechlm, 3.1",
    rank=110,
    questions=("greedy",),
    predict=_predict,
    reads_logits=False,
    reads_options=True,
)
