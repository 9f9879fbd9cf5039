"""Comparison of two sets of answers to the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raypipe.errors import EngineError
from raypipe.records import Failure, Generation, Hypothesis

SCORE_TOLERANCE = 1e-4
SCORE_RELATIVE_TOLERANCE = 2e-6
LOGIT_TOLERANCE = 1e-4

Replies = Sequence[Generation | Failure]


@dataclass(frozen=True, slots=True)
class AnswerAgreement:
    """Differences between two sets of answers.

    Attributes:
        utterances: compared.
        failed: utterances that failed in both the same way.
        failed_once: utterances that failed in one set only, or differently.
        changed: utterances of which any hypothesis has another text or stands elsewhere.
        changed_first: utterances whose greedy or best hypothesis has another text.
        hypotheses: compared, in order.
        changed_hypotheses: of them, those with other tokens.
        score_difference: largest |difference| of alpha where the tokens are equal; None if no
            scores could be compared; the same for the next two.
        score_excess: largest of these beyond ``1e-4 + 2e-6 * |alpha|``, 0 if there is none.
        logit_difference: largest |difference| of a recorded raw logit.
    """

    utterances: int
    failed: int
    failed_once: int
    changed: int
    changed_first: int
    hypotheses: int
    changed_hypotheses: int
    score_difference: float | None
    score_excess: float | None
    logit_difference: float | None

    @property
    def agrees(self) -> bool:
        """Whether all texts, scores and logits are equal up to the rounding of float32."""
        return (
            self.failed_once == self.changed == self.changed_hypotheses == 0
            and not self.score_excess
            and (self.logit_difference or 0.0) <= LOGIT_TOLERANCE
        )


def compare(first: Replies, second: Replies) -> AnswerAgreement:
    """Compare two sets of answers to the same inputs.

    A difference that is not a number, because a score is not, counts as infinite.

    Args:
        first: an answer or a failure for each input.
        second: the same, in the same order.

    Raises:
        EngineError: if they are not about the same utterances.
    """
    if [x.utterance_id for x in first] != [x.utterance_id for x in second]:
        raise EngineError("the answers to compare are not about the same utterances")
    pairs = list(zip(first, second, strict=True))
    both = [(a, b) for a, b in pairs if isinstance(a, Generation) and isinstance(b, Generation)]
    failed = sum(_same_failure(a, b) for a, b in pairs)
    hypotheses = [pair for a, b in both for pair in zip(a.hypotheses, b.hypotheses, strict=False)]
    equal = [(a, b) for a, b in hypotheses if a.token_ids == b.token_ids]
    scores = [
        (abs(a.alpha - b.alpha), abs(a.alpha))
        for a, b in equal
        if a.alpha is not None and b.alpha is not None
    ]
    return AnswerAgreement(
        utterances=len(pairs),
        failed=failed,
        failed_once=len(pairs) - len(both) - failed,
        changed=sum(_texts(a) != _texts(b) for a, b in both),
        changed_first=sum(_first_texts(a) != _first_texts(b) for a, b in both),
        hypotheses=len(hypotheses),
        changed_hypotheses=len(hypotheses) - len(equal),
        score_difference=_largest([difference for difference, _ in scores]),
        score_excess=_largest([_excess(d, alpha) for d, alpha in scores]),
        logit_difference=_largest([d for a, b in equal for d in _logit_difference(a, b)]),
    )


def _same_failure(first: Generation | Failure, second: Generation | Failure) -> bool:
    return (
        isinstance(first, Failure)
        and isinstance(second, Failure)
        and first.error_type == second.error_type
    )


def _texts(generation: Generation) -> list[tuple[str, int, str]]:
    return [(each.kind, each.rank, each.text) for each in generation.hypotheses]


def _first_texts(generation: Generation) -> list[tuple[str, int, str]]:
    return [text for text in _texts(generation) if text[1] == 0]


def _excess(difference: float, alpha: float) -> float:
    allowed = SCORE_TOLERANCE + SCORE_RELATIVE_TOLERANCE * alpha
    return float(np.maximum(0.0, difference - allowed))  # lets a NaN through


def _logit_difference(first: Hypothesis, second: Hypothesis) -> list[float]:
    if (
        first.emotion_logits is None
        or second.emotion_logits is None
        or not first.emotion_logits.size
    ):
        return []
    return [float(np.abs(first.emotion_logits - second.emotion_logits).max())]


def _largest(values: Sequence[float]) -> float | None:
    if not values:
        return None
    return float("inf") if np.isnan(values).any() else max(values)
