"""The most likely answers to a prompt that a beam search finds, or samples of an endpoint."""

from __future__ import annotations

from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question
from raypipe.records import Search


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    counts = (outline.beam_count, *outline.other_beam_counts)
    return tuple(
        Pass(
            f"{count} beams" if place else "beams",
            ("beams",),
            Search(count, False, outline.max_new_tokens, outline.grammar),
        )
        for place, count in enumerate(counts)
        if count
    )


def _is_offered(outline: RunOutline) -> bool:
    return bool(outline.beam_count or outline.other_beam_counts)


def _can_wait(outline: RunOutline) -> bool:
    return outline.greedy  # somebody has to be asked something before it is known who is ambiguous


def _refusal(outline: RunOutline) -> str | None:
    return None if outline.beam_count else "need decoding.beam_count >= 1"


QUESTION = Question(
    name="beams",
    summary="the B most likely answers that a beam search finds (an endpoint: B samples)",
    noun="beams",
    kind="beam",
    recorded="as for greedy, of every beam, with its rank and cumulative log-likelihood alpha",
    rank=20,
    passes=_passes,
    requires=frozenset({"hypotheses"}),
    is_offered=_is_offered,
    can_wait=_can_wait,
    refusal=_refusal,
)
