"""The greedy answer to a prompt."""

from __future__ import annotations

from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question
from raypipe.records import Search


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    search = Search(0, True, outline.max_new_tokens, outline.grammar)
    return (Pass("greedy", ("greedy",), search),)


def _is_offered(outline: RunOutline) -> bool:
    return outline.greedy


def _can_wait(outline: RunOutline) -> bool:
    return False  # it costs next to nothing beside the prompt, which is read anyway


def _refusal(outline: RunOutline) -> str | None:
    return None if outline.greedy else "need decoding.greedy: true"


QUESTION = Question(
    name="greedy",
    summary="the answer of the most likely token at every step",
    noun="a greedy answer",
    kind="greedy",
    recorded="text, tokens, log-probabilities, raw logits of emotion tokens",
    rank=10,
    passes=_passes,
    is_offered=_is_offered,
    can_wait=_can_wait,
    refusal=_refusal,
)
