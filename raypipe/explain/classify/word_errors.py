"""Word errors of transcripts, counted by jiwer."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

_NO_WORD = re.compile(r"[^\w']+|(?<!\w)'|'(?!\w)")


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Word errors of one transcript.

    Attributes:
        words: in the reference.
        substitutions: words heard as others.
        deletions: words not heard; all of them where there is no transcript.
        insertions: words heard that were not said.
    """

    words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions


def normalised(text: str) -> str:
    """A transcript as it is compared: lower case, no punctuation but apostrophes inside words.

    Example:
        >>> normalised("Anna's ticket -- TODAY!")
        "anna's ticket today"
    """
    plain = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    return " ".join(_NO_WORD.sub(" ", plain).replace("_", " ").split())


def count_word_errors(reference: str, transcript: str | None) -> WordErrors | None:
    """Word errors of a transcript; None for a reference without words.

    Args:
        reference: what was said.
        transcript: what a model heard; None where it gave none: every word is deleted.

    Example:
        >>> count_word_errors("Anna lost it.", "anna found it today")
        WordErrors(words=3, substitutions=1, deletions=0, insertions=1)
    """
    said = normalised(reference)
    if not said:
        return None
    words = len(said.split())
    heard = normalised(transcript or "")
    if not heard:
        return WordErrors(words, 0, words, 0)
    counted = jiwer.process_words(said, heard)
    return WordErrors(words, counted.substitutions, counted.deletions, counted.insertions)


def most_frequent_sentence(references: Sequence[str]) -> str:
    """The reference that is said most often; of equal ones the first in the alphabet.

    The transcript of a listener that hears nothing and knows the corpus.
    """
    counts = Counter(normalised(reference) for reference in references)
    return min(counts, key=lambda sentence: (-counts[sentence], sentence))
