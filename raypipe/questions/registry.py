"""Every question by its name."""

from __future__ import annotations

from collections.abc import Mapping

from raypipe.discovery import objects_in
from raypipe.errors import ConfigError
from raypipe.questions.question import Question

QUESTIONS: Mapping[str, Question] = objects_in("raypipe.questions.catalogue", "QUESTION", Question)
"""Every question by its name, in the order in which they are asked."""


def question_named(name: str) -> Question:
    """The question of a name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in QUESTIONS:
        raise ConfigError(f"unknown question {name!r}; known: {', '.join(QUESTIONS)}")
    return QUESTIONS[name]
