"""Answers drawn from the model's own distribution."""

from __future__ import annotations

from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    assert outline.samples is not None  # else the question is refused
    return (Pass("samples", ("samples",), outline.samples, kind="sample"),)


def _is_offered(outline: RunOutline) -> bool:
    return outline.samples is not None


def _refusal(outline: RunOutline) -> str | None:
    if outline.samples is None:
        return "need decoding.samples, such as {count: 5, temperature: 0.7}"
    if outline.grammar is not None:
        return "are not held to decoding.grammar: leave one of the two out"
    return None


QUESTION = Question(
    name="samples",
    summary="answers drawn token by token, by temperature, top-p and a seed",
    noun="samples",
    kind="sample",
    recorded="as for greedy, of every sample; log-probabilities before temperature and top-p",
    rank=25,
    passes=_passes,
    requires=frozenset({"seeded_samples"}),
    is_offered=_is_offered,
    refusal=_refusal,
)
