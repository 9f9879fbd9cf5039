"""What the keys and values of an object are: truth values, nouns of shares, places, sources."""

from __future__ import annotations

import re
from typing import Final

from raypipe.parsing.loose import Bracket, Pair, Scalar
from raypipe.parsing.vocabulary import SHARE_NOUNS, WEAK_NOUNS, word_set
from raypipe.parsing.words import KeyMeaning

Value = Scalar | Bracket | None

YES: Final = frozenset(("true", "yes", "present"))
_NO: Final = frozenset(
    ("false", "no", "none", "null", "nil", "n/a", "na", "", "-", "absent", "undefined")
)
NO_NOUN: Final = 99
"""Rank of a key that names no share."""

VOTE_KEYS: Final = word_set("votes ratings annotations listenervotes annotatorvotes uservotes")
"""Keys, joined, of a list with one label per rater."""

SOURCES: Final = word_set(
    "audio voice tone prosody acoustic acoustics speech text words transcript transcription content"
)
"""Keys, joined, of what an emotion is heard in; each may have a distribution of its own."""

_PLACES: Final = word_set("segment speaker time start end timestamp turn part clip utterance id")


def joined(key: str) -> str:
    """A key in lower case, without blanks and strokes."""
    return re.sub(r"[\W_]+", "", key).lower()


def noun_rank(key: str) -> int | None:
    """How surely a key of a record names a share; the lower the surer."""
    noun = joined(key)
    if noun in SHARE_NOUNS or noun.rstrip("s") in SHARE_NOUNS:
        return 0
    return 1 + WEAK_NOUNS.index(noun) if noun in WEAK_NOUNS else None


def is_share_of_unknown(pair: Pair, meaning: KeyMeaning) -> bool:
    """Whether a number beside labels is the share of a word that is none of them."""
    assert pair.key is not None
    is_word = meaning.kind == "word" or pair.key.text.strip().lower() in ("other", "others")
    return is_word and not is_truth(pair.value)


def is_nothing(value: Value) -> bool:
    """Whether a value says that there is none of a label."""
    return value is None or (isinstance(value, Scalar) and value.text.strip().lower() in _NO)


def is_truth(value: Value) -> bool:
    """Whether a value is yes or no, or a word for one."""
    return isinstance(value, Scalar) and value.text.strip().lower() in YES | _NO


def is_marked(bracket: Bracket) -> bool:
    """Whether an object says which part of the recording or which speaker it is about."""
    keys = [pair.key.text.strip().lower() for pair in bracket.pairs if pair.key is not None]
    return any(re.sub(r"[\W_]?[\d.]+$", "", key) in _PLACES for key in keys)


def spaced(scalar: Scalar) -> list[Scalar]:
    """The words of a string, each with its place: ``0.25 0.75``."""
    return [
        Scalar(scalar.start + match.start(), scalar.start + match.end(), match[0], quoted=False)
        for match in re.finditer(r"\S+", scalar.text)
        if match[0] != "%"
    ]
