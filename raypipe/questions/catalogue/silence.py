"""How likely each label is as the whole answer about silence, which tells what a model prefers."""

from __future__ import annotations

import dataclasses

from raypipe.questions.catalogue import labels
from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question


def _passes(outline: RunOutline) -> tuple[Pass, ...]:
    return tuple(
        dataclasses.replace(
            asking, name="silence", questions=("silence",), kind="silence", silent=True
        )
        for asking in labels.QUESTION.passes(outline)
    )


def _refusal(outline: RunOutline) -> str | None:
    for prompt in outline.prompts:
        if prompt.text_only:
            return f"need a clip to be silent; prompt {prompt.label} is asked without one"
    return None


QUESTION = Question(
    name="silence",
    summary="how likely each label is as the whole answer about silence as long as the clip",
    noun="the labels' log-likelihoods without a sound",
    kind="silence",
    recorded="as for labels",
    rank=39,
    passes=_passes,
    requires=labels.QUESTION.requires,
    cost=labels.QUESTION.cost,
    refusal=_refusal,
)
