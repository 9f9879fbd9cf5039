"""The greedy answer to a prompt's variant with step-by-step instructions."""

from __future__ import annotations

from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question
from raypipe.records import Search


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    longest = max(prompt.cot_max_new_tokens for prompt in outline.prompts)
    return (Pass("cot", ("cot",), Search(0, True, longest), kind="cot", cot=True),)


def _refusal(outline: RunOutline) -> str | None:
    for prompt in outline.prompts:
        if not prompt.has_cot:
            return (
                f"need a variant of prompt {prompt.label} with step-by-step instructions; name "
                "one as its cot"
            )
    return None


QUESTION = Question(
    name="cot",
    summary="the greedy answer to the prompt's variant with step-by-step instructions",
    noun="a chain of thought",
    kind="cot",
    recorded="as for greedy",
    rank=30,
    passes=_passes,
    refusal=_refusal,
)
