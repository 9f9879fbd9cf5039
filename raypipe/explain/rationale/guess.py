"""A text model that sees a rationale alone: if it guesses the label, the label is in there."""

from __future__ import annotations

from raypipe.explain.rationale.draft import words_of
from raypipe.explain.rationale.label_words import label_words
from raypipe.labels import LabelSet
from raypipe.prompts.options import lettered


def guess_prompt(rationale: str, labels: LabelSet) -> str:
    """What a text model is asked about a rationale."""
    options = ", ".join(option.text for option in lettered(labels))
    return (
        "Somebody explained which emotion they hear in a recording, without naming it:\n"
        f'"{rationale}"\n'
        f"Which emotion is it? Choose one of: {options}.\n"
        "Answer with this word only. If the explanation does not tell, answer Other."
    )


def guessed_label(reply: str, labels: LabelSet) -> str | None:
    """The label that a reply names first; None if it names none.

    Example:
        >>> guessed_label("I guess: Sad.", LabelSet(("anger", "sadness")))
        'sadness'
    """
    by_word = {word: label for label in labels.names for word in label_words(label, synonyms=False)}
    return next((by_word[word] for word in words_of(reply) if word in by_word), None)
