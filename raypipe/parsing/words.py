"""Words of an answer: those that mean a label, and what a key or a noun says a number is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from raypipe.labels import ALIASES, LabelSet
from raypipe.parsing.vocabulary import (
    ANSWER_KEYS,
    MORE_EMOTIONS,
    OTHER_NOUNS,
    REASON_KEYS,
    SHARE_NOUNS,
    WEAK_NOUNS,
    word_set,
)

_DENIALS: Final = word_set("not no non without never absence lack")
_KEY_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+(?:\.\d+)?|[^\w\s]")
_KEY_NUMBERING = re.compile(r"^\s*\(?\d{1,2}[.)]\s+")
_LONGEST_KEY: Final = 100
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_FILLER_KEY_WORDS: Final = word_set(
    "emotion emotional state feeling the of is speaker tone label class for and or mood "
    "pct in overall a"
)


@dataclass(frozen=True, slots=True)
class KeyMeaning:
    """What a key says its value is.

    Attributes:
        kind: ``label``; ``unclear`` if it names labels, but not plainly one; ``answer``;
            ``rival`` of the answer (a secondary emotion); ``reason`` beside the answer;
            ``other`` for numbers that are no shares; ``word``.
        label: index of the label.
        rank: of several keys about one label the lowest counts; of several answers the highest.
    """

    kind: Literal["label", "unclear", "answer", "rival", "reason", "other", "word"]
    label: int | None = None
    rank: int = 0


@lru_cache(maxsize=32)
def label_pattern(labels: LabelSet) -> re.Pattern[str]:
    """Matches every word of every label in running text, and emotion words that are none.

    Group ``known`` holds a word of a label. Three-letter codes ("con", "dis") are no words of
    running text.
    """
    known = {
        word
        for name in labels.names
        for place, word in enumerate(labels.words(name))
        if not (place >= 2 and word == name[:3])
    }
    unknown = {word for words in ALIASES.values() for word in words if word != words[0][:3]}
    unknown = (unknown | set(MORE_EMOTIONS)) - {
        word for word in unknown | set(MORE_EMOTIONS) if labels.index(word) is not None
    }
    return re.compile(
        rf"(?<!\w)(?<!\bnon-)(?<!\bun-)(?<!\banti-)(?:(?P<known>{_one_of(known)})|(?P<unknown>{_one_of(unknown)}))(?!\w)",
        re.IGNORECASE,
    )


def _one_of(words: set[str]) -> str:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return "|".join(re.escape(word).replace("\\ ", r"\s{1,4}") for word in longest_first) or r"(?!)"


@lru_cache(maxsize=4096)
def meaning_of(key: str, labels: LabelSet) -> KeyMeaning:
    """What a key or a cell says: also ``Happiness/Joy``, ``anger (angry)``, ``sad_score``.

    Example:
        >>> emotions = LabelSet(("anger", "sadness"))
        >>> meaning_of("angerProbability", emotions).label
        0
        >>> meaning_of("anger_reason", emotions).kind
        'reason'
    """
    if len(key) > _LONGEST_KEY:
        return KeyMeaning("unclear" if label_pattern(labels).search(key) else "word")
    key = _KEY_NUMBERING.sub("", key)
    clean = " ".join(key.strip(" \t\n\"'`*_#.:;,-").split())
    label = labels.index(clean)
    if label is not None:
        return KeyMeaning("label", label)
    joined = re.sub(r"[\W_]+", "", clean).lower()
    if re.match(r"second(?:ary|emotion|label|choice)|emotion2|label2", joined):
        return KeyMeaning("rival")
    if joined in ANSWER_KEYS:
        return KeyMeaning("answer", rank=ANSWER_KEYS[joined])
    if joined in REASON_KEYS:
        return KeyMeaning("reason")
    if joined in OTHER_NOUNS or joined in WEAK_NOUNS or clean.lower() in OTHER_NOUNS:
        return KeyMeaning("other")
    return _by_words(clean, labels)


def _words_of(key: str, labels: LabelSet) -> Iterator[str]:
    """The words of a key in lower case: those of a word in camel case, unless it is a label."""
    for word in re.findall(r"\w+|[^\w\s]", key):
        if labels.index(word) is not None:
            yield word.lower()
        else:
            yield from (part.lower() for part in _KEY_WORD.findall(word))


def _by_words(key: str, labels: LabelSet) -> KeyMeaning:
    pattern = label_pattern(labels)
    inside = " ".join(_BRACKETED.findall(key))
    bare = _BRACKETED.sub(" ", key)
    parts = list(_words_of(bare.replace("_", " "), labels))
    named: set[int] = set()
    rank, is_plain = 0, True
    for word in parts:
        index = labels.index(word)
        if index is not None:
            named.add(index)
        elif word in _DENIALS:
            is_plain = False
        elif word in REASON_KEYS:
            return KeyMeaning("reason")
        elif word in SHARE_NOUNS or word == "%":
            rank = max(rank, 1)
        elif word in WEAK_NOUNS:
            rank = max(rank, 2 + WEAK_NOUNS.index(word))
        elif word in _FILLER_KEY_WORDS or not word.isalnum() or pattern.fullmatch(word):
            continue
        elif word in OTHER_NOUNS:
            return KeyMeaning("other")
        else:
            is_plain = False
    aside = {labels.index(match["known"]) for match in pattern.finditer(inside) if match["known"]}
    named |= {index for index in aside if index is not None}
    if len(named) == 1 and is_plain:
        return KeyMeaning("label", next(iter(named)), rank)
    return KeyMeaning("unclear" if named else "word")
