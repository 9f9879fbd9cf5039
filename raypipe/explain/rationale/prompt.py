"""What a teacher is asked: the paper's prompt, and what its last answer broke."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from raypipe.prompts import render
from raypipe.prompts.options import option_text


def rationale_prompt(
    source: str,
    label: str,
    transcript: str | None,
    broken: Sequence[str] = (),
    refused: int = 1,
) -> str:
    """The text of a teacher's turn, which comes with the clip.

    Args:
        source: text of the template; it sees ``transcript`` (None without one), ``emotion``,
            ``broken`` and ``refused``.
        label: the gold label.
        transcript: what is said; None where the corpus does not say.
        broken: rules that the last answers broke, as the teacher is told them.
        refused: number of those answers.

    Raises:
        ConfigError: if the template cannot be filled.
    """
    return render(
        source,
        transcript=transcript,
        emotion=option_text(label),
        broken=list(broken),
        refused=refused,
    )


def rationale_prompt_hash(source: str) -> str:
    """SHA-256 of the template, filled with what any utterance might be like."""
    texts = [rationale_prompt(source, "anger", "Stop it.", ["DO NOT ask anything."])]
    texts.append(rationale_prompt(source, "anger", "Stop it.", ["DO NOT ask anything."], 2))
    texts.append(rationale_prompt(source, "anger", None))
    return hashlib.sha256("\n\n".join(texts).encode()).hexdigest()
