"""A score of every distinct distribution that the beams stand for."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.questions.cost import Cost, total
from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question
from raypipe.records import Hypothesis


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    return ()  # it is about what other questions found, and may be put to another model


def _refusal(outline: RunOutline) -> str | None:
    if outline.own_verifier and all(prompt.text_only for prompt in outline.prompts):
        return (
            "need a verifier that hears: the model scores its answers by ear, and no prompt lets "
            "it hear; name another model as verifier.model"
        )
    return None


def _cost(answers: Sequence[Hypothesis], candidates: Sequence[Hypothesis]) -> Cost:
    """Calls of the verifier with their tokens; unknown where it is not known which there were.

    A run may have only its first candidates scored. A beam without a distribution is none, and
    without any there is nothing to call for.
    """
    calls = {
        candidate.verifier_call: candidate.verifier_tokens
        for candidate in candidates
        if candidate.verifier_call is not None
    }
    scored = [
        candidate
        for candidate in candidates
        if candidate.verifier_score is not None or candidate.verifier_error
    ]
    uncounted = any(candidate.verifier_call is None for candidate in scored)
    if not answers or uncounted or (candidates and not calls):
        return Cost(None, None)
    return Cost(total(calls.values()), len(calls))


QUESTION = Question(
    name="verifier",
    summary="a score in [0, 1] of every distinct distribution that a valid beam stands for",
    noun="a verifier's scores",
    kind="beam",
    recorded="verifier_score, verifier_text, verifier_error and verifier_call of every beam",
    rank=90,
    passes=_passes,
    about="candidates",
    refusal=_refusal,
    cost=_cost,
)
