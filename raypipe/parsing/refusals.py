"""Answers that say that the model cannot judge."""

from __future__ import annotations

import re

_REFUSAL = re.compile(
    r"\bas an ai\b|\bas a(?:n)? (?:large )?(?:audio |text )?language model\b"
    r"|\b(?:can(?:not|'t| not)|won't|(?:un|not )able to|don't have the ability to)\s+"
    r"(?:\w+\s+){0,2}?(?:identify|determine|analy[sz]e|assess|process|listen|hear|provide|detect|"
    r"infer|recogni[sz]e|assist|help|tell|classify|access|judge|answer|estimate|comply|say|"
    r"rate|predict|perceive|interpret|evaluate|give|play|complete|fulfil+)\b",
    re.IGNORECASE,
)
_STILL = re.compile(
    r"\b(?:but|however|nevertheless|nonetheless|that said|still|if i had to|best guess|would guess|"
    r"based on)\b",
    re.IGNORECASE,
)

_NOT_HEARD = re.compile(
    r"\b(?:can(?:not|'t| not)|could(?: not|n't)|(?:un|not )able to|don't have the ability to)\s+"
    r"(?:\w+\s+){0,2}?(?:listen|hear|process|access|play|receive)\b"
    r"|\b(?:need|upload|provide|share|send|attach)\s(?:me\s)?(?:the|an|your)\s(?:audio|recording|clip)"
    r"|\bwithout (?:the|any|an) (?:audio|recording)\b",
    re.IGNORECASE,
)


def is_refusal_to_listen(text: str) -> bool:
    """Whether a text says that the audio was not heard, and gives no answer in spite of it."""
    refusals = list(_NOT_HEARD.finditer(text))
    return bool(refusals) and _STILL.search(text, refusals[-1].end()) is None


def is_refusal(text: str) -> bool:
    """Whether a text says that the model cannot do what was asked.

    Example:
        >>> is_refusal("I cannot identify emotions."), is_refusal("She cannot stop laughing.")
        (True, False)
    """
    return _REFUSAL.search(text) is not None


def without_refusal(text: str) -> str | None:
    """What is said in spite of a refusal, after "but" and the like; None if nothing is."""
    refusals = list(_REFUSAL.finditer(text))
    if not refusals:
        return text
    still = _STILL.search(text, refusals[-1].end())
    return None if still is None else text[still.end() :]
