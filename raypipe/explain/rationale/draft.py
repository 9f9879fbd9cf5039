"""What a teacher wrote about an utterance, on its way through the rules."""

# ruff: noqa: RUF001  quotation marks of every kind
from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

QuotedLabel = Literal["refused", "allowed"]
"""What becomes of the label's word inside words that the transcript has."""

_THOUGHTS = re.compile(r"^.*</think>|<think>.*", re.DOTALL)
_HEADING = re.compile(r"^\W{0,4}(reasoning|rationale|explanation|answer)\W{0,4}:\W{0,4}\s*", re.I)
_TARGET_TAGS = re.compile(r"</?\s*(reason|reasoning|rationale)\s*>", re.I)
_QUOTATION = re.compile(r"\"([^\"]*)\"|“([^”]*)”|«([^»]*)»|‘([^’]*)’(?!\w)|(?<!\w)'([^']*)'(?!\w)")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """How strict the rules are.

    Attributes:
        fewest_words: of a rationale.
        most_words: of a rationale.
        synonyms: whether synonyms of the label break the rule as its word forms do.
        quoted_label: whether the label's word may stand in words quoted from the transcript.
    """

    fewest_words: int = 10
    most_words: int = 150
    synonyms: bool = True
    quoted_label: QuotedLabel = "refused"


@dataclass(frozen=True, slots=True)
class Draft:
    """A rationale that is to be checked.

    Attributes:
        text: as :func:`tidied` leaves it.
        label: the gold label.
        transcript: None where the corpus has none.
    """

    text: str
    label: str
    transcript: str | None
    settings: RuleSettings = field(default_factory=RuleSettings)

    @property
    def own_words(self) -> str:
        """The text without quotations of the transcript."""
        spoken = words_of(self.transcript or "")
        return _QUOTATION.sub(
            lambda quotation: " … " if _is_part(words_of(quotation[0]), spoken) else quotation[0],
            self.text,
        )


def tidied(text: str) -> str:
    """A teacher's answer in one line, without its thoughts, a heading, or marks around the whole.

    Example:
        >>> tidied('**Reasoning:**  The words  "lost it" say little.')
        'The words "lost it" say little.'
    """
    text = text.encode("utf-8", "replace").decode()  # no table takes half of a surrogate pair
    text = _TARGET_TAGS.sub(" ", _THOUGHTS.sub("", text))
    text = " ".join(text.split())
    text = _HEADING.sub("", text)
    for mark in ('"', "**", "`"):
        whole = text.startswith(mark) and text.endswith(mark) and len(text) > 2 * len(mark)
        if whole and text.count(mark) == 2:
            text = text[len(mark) : -len(mark)].strip()
    return text


def words_of(text: str) -> list[str]:
    """Words of a text in lower case, without punctuation.

    Example:
        >>> words_of("I’m late, well-known Anna!")
        ["i'm", 'late', 'well', 'known', 'anna']
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return _WORD.findall(folded)


def _is_part(words: list[str], spoken: list[str]) -> bool:
    """Whether words stand in the transcript, one after the other."""
    size = len(words)
    return size > 0 and any(
        spoken[start : start + size] == words for start in range(len(spoken) - size + 1)
    )
