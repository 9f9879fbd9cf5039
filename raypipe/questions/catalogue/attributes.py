"""Arousal, valence and dominance, each as a number on a stated scale."""

from __future__ import annotations

from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question
from raypipe.records import Search


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    assert outline.attributes_max_new_tokens is not None  # else the question is refused
    request = Search(0, True, outline.attributes_max_new_tokens)
    return (Pass("attributes", ("attributes",), request, kind="attributes", attributes=True),)


def _refusal(outline: RunOutline) -> str | None:
    if outline.attributes_max_new_tokens is None:
        return "need attributes.scale: the corpus's lowest and highest rating, such as [1, 5]"
    return None


QUESTION = Question(
    name="attributes",
    summary="arousal, valence and dominance as numbers on a stated scale, greedily",
    noun="an answer about attributes",
    kind="attributes",
    recorded="as for greedy",
    rank=35,
    passes=_passes,
    refusal=_refusal,
)
