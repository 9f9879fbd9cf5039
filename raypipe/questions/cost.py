"""What a question costs: tokens read and written, and calls of a verifier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from raypipe.records import Hypothesis


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent.

    Attributes:
        model_tokens: read and written by the model and, where there is one, the verifier; None
            where an endpoint does not say, or what is needed was not asked.
        verifier_calls: calls of the verifier, equal candidates sharing one; None where that is
            not known.
    """

    model_tokens: int | None
    verifier_calls: int | None = 0


def total(counts: Iterable[int | None]) -> int | None:
    """The sum; None as soon as one of the counts is unknown.

    Example:
        >>> total([1, 2]), total([1, None])
        (3, None)
    """
    known = list(counts)
    return None if None in known else sum(cast(list[int], known))


def answer_cost(answers: Sequence[Hypothesis], candidates: Sequence[Hypothesis]) -> Cost:
    """The prompt, audio included, and everything written in answer to it.

    Args:
        answers: all hypotheses that answer the question, in one window; empty if it was not
            asked, or failed.
        candidates: not looked at.
    """
    if not answers:
        return Cost(None)
    return Cost(total([answers[0].prompt_tokens, *(_written(answer) for answer in answers)]))


def _written(answer: Hypothesis) -> int | None:
    unknown = answer.step_count is None and not answer.token_ids
    return None if unknown else answer.steps
