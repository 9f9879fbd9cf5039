"""What of a run decides how its questions are asked."""

from __future__ import annotations

from dataclasses import dataclass

from raypipe.labels import LabelSet
from raypipe.records import Grammar, Sampling


@dataclass(frozen=True, slots=True)
class PromptOutline:
    """What of one prompt decides how it is asked.

    Attributes:
        label: its name in the tables.
        has_cot: there is a variant of it with step-by-step instructions.
        text_only: it is asked without the clip.
        cot_max_new_tokens: longest answer to that variant, in tokens.
        plain: it is no user's turn of a chat but a text that goes on.
    """

    label: str
    has_cot: bool = True
    text_only: bool = False
    cot_max_new_tokens: int = 512
    plain: bool = False


@dataclass(frozen=True, slots=True)
class RunOutline:
    """What of a run's config decides how its questions are asked.

    Attributes:
        prompts: at least one.
        greedy: the greedy answer is asked for.
        beam_count: beams of the main search; 0 for none.
        other_beam_counts: beams of further searches.
        samples: how answers are drawn beside those that are searched for; None for none.
        max_new_tokens: longest answer, in tokens.
        grammar: what answers are held to; None for anything.
        own_verifier: the model that answers verifies its own answers.
        labels: what is asked about; None before the corpus is known.
        questions: names of questions that are asked although no strategy reads them.
        attributes_max_new_tokens: longest answer about attributes, in tokens; None where the scale
            of the corpus's ratings is not known.
    """

    prompts: tuple[PromptOutline, ...] = (PromptOutline("distribution"),)
    greedy: bool = True
    beam_count: int = 5
    other_beam_counts: tuple[int, ...] = ()
    samples: Sampling | None = None
    max_new_tokens: int = 96
    grammar: Grammar | None = None
    own_verifier: bool = True
    labels: LabelSet | None = None
    questions: tuple[str, ...] = ()
    attributes_max_new_tokens: int | None = None
