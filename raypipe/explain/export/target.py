"""What an assistant is trained to answer (explainable_speechlm, Eq. 1)."""

from __future__ import annotations

import re

from raypipe.prompts.options import option_text

_UNSAFE = re.compile(
    r"</?\s*(?:asr|answer|reason|audio|image|video)\s*>|<\|[^|<>]*\|>", re.IGNORECASE
)


def target_text(transcript: str, label: str, reason: str | None = None) -> str:
    """The target string of one utterance, in one line.

    Args:
        transcript: the reference.
        label: gold.
        reason: the rationale; None for the form without one.

    Example:
        >>> target_text("Stop it.", "anger")
        '<asr>Stop it.</asr><answer>I think the emotion is angry</answer>'
    """
    emotion = option_text(label).lower()
    text = f"<asr>{transcript}</asr><answer>I think the emotion is {emotion}</answer>"
    return text if reason is None else f"{text}<reason>{reason}</reason>"


def in_one_line(text: str) -> str:
    """A text with single blanks instead of line ends and runs of blanks."""
    return " ".join(text.split())


def unsafe_tag(text: str) -> str | None:
    """A tag of the target string, a placeholder or a special token in a text; None without one.

    Example:
        >>> unsafe_tag("I said </asr> twice."), unsafe_tag("[laughter] <b>no</b>")
        ('</asr>', None)
    """
    match = _UNSAFE.search(text)
    return match and match[0]
