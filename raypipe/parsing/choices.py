"""Which emotion an answer names: an option's letter, a label, or a word of its own."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raypipe.labels import LabelSet
from raypipe.parsing.emotion_words import free_vocabulary
from raypipe.parsing.explained import read_parts
from raypipe.parsing.reading import read_answer
from raypipe.records import Option, Parsed
from raypipe.votes import OTHER

_WRAP = r"[\"'(\[{*_`]{0,4}"
_LETTER = rf"{_WRAP}(?P<letter>[A-Z])(?![\w'])"
# "The answer is (B)", "option B", "B or C" behind either.
_ANNOUNCED = re.compile(
    rf"\b(?:answer|option|choice|choose|chose|select|pick|letter)\b[\s*_`\"']{{0,6}}"
    rf"(?:is|would be|[:=])?\s{{0,4}}(?:option\s{{1,4}})?{_LETTER}"
    rf"(?P<more>(?:[\s)\]*_`\"']{{0,4}}(?:,|/|\bor\b|\band\b|&)\s{{0,4}}{_WRAP}[A-Z](?![\w']))*)",
    re.IGNORECASE,
)
_TOKEN = rf"(?<![\w']){_WRAP}[A-Z](?![\w'])[)\]\"'*_`.]{{0,4}}"
_SEVERAL = re.compile(rf"{_TOKEN}(?:\s*(?:,|/|&|\bor\b|\band\b)\s*(?:or\s|and\s)?\s*{_TOKEN})+")
_REJECTED = re.compile(
    rf"\b(?:[Nn]ot|[Nn]or|[Nn]either|[Ee]xcept|rather than|instead of)\s+(?:[Oo]ption\s+)?{_TOKEN}"
    rf"|(?:\b[Oo]ption\s+)?{_TOKEN}\s+(?:is|was|would be)\s+"
    r"(?:not|wrong|incorrect|out|no\b|unlikely|less)"
)
_ALONE = re.compile(r"\W{0,6}([a-z])\W{0,6}")
_OPENING = re.compile(rf"^\s*{_LETTER}[\"')\]*_`]{{0,4}}(?:[.):,\]=-]|\s*$)")
_CLOSING = re.compile(rf"(?<![\w']){_LETTER}[\"')\]*_`.!]{{0,4}}\s*$")


@dataclass(frozen=True, slots=True)
class NamedEmotion:
    """The emotion that an answer names.

    Attributes:
        phrase: the word that names it, a label or one of its own; None where none is read.
        label: of the label set, or ``other``; None where none is read.
        rule: what decided: ``letter``, ``parser`` or ``word_map``; ``none`` otherwise.
        fault: why none is read; None where one is.
    """

    phrase: str | None
    label: str | None
    rule: str
    fault: str | None = None


def answer_part(text: str) -> str:
    """The part of a tagged answer that names the emotion; the whole text of any other."""
    parts = read_parts(text)
    return text if parts.answer is None else parts.answer


def read_free(text: str, labels: LabelSet) -> NamedEmotion:
    """The emotion that a free answer names.

    The parser's rules come first. If they find no label, they are asked again with every word that
    may name an emotion in the labels' place.

    Args:
        text: what the model wrote.
        labels: of the run.

    Example:
        >>> emotions = LabelSet(("anger", "sadness"))
        >>> read_free("The speaker sounds gloomy.", emotions)
        NamedEmotion(phrase='gloomy', label='sadness', rule='word_map', fault=None)
        >>> read_free("Angry, with a touch of sadness.", emotions).fault
        'several'
    """
    part = answer_part(text)
    parsed = read_answer(part, labels, 1.0).parsed
    if parsed.probs is not None:
        return _leading(parsed, {name: name for name in labels.names}, "parser")
    words = free_vocabulary(labels)
    free = read_answer(part, LabelSet(tuple(words)), 1.0).parsed
    if free.probs is None:
        return NamedEmotion(None, None, "none", parsed.invalid_reason)
    return _leading(free, words, "word_map")


def _leading(parsed: Parsed, words: Mapping[str, str], rule: str) -> NamedEmotion:
    """The label with the largest share of the words, if there is one."""
    assert parsed.probs is not None
    shares: dict[str, float] = {}
    for share, label in zip(parsed.probs.tolist(), words.values(), strict=True):
        shares[label] = shares.get(label, 0.0) + share
    most = max(shares.values())
    leading = [label for label, share in shares.items() if np.isclose(share, most)]
    if len(leading) > 1:
        return NamedEmotion(None, None, "none", "several")
    of_label = [
        (share, word)
        for share, (word, label) in zip(parsed.probs.tolist(), words.items(), strict=True)
        if label == leading[0]
    ]
    phrase = max(of_label, key=lambda pair: pair[0])[1]
    return NamedEmotion(phrase, leading[0], rule)


def read_choice(text: str, labels: LabelSet, options: Sequence[Option]) -> NamedEmotion:
    """The option that an answer to a closed form chooses, by its letter or by its words.

    Args:
        text: what the model wrote.
        labels: of the run.
        options: as they stood in the question.

    Example:
        >>> options = (Option("A", "anger", "Angry"), Option("B", "sadness", "Sad"))
        >>> emotions = LabelSet(("anger", "sadness"))
        >>> read_choice("B.", emotions, options).label, read_choice("Sad", emotions, options).label
        ('sadness', 'sadness')
        >>> read_choice("B. Angry", emotions, options).fault
        'letter_and_words_differ'
    """
    part = answer_part(text).strip()
    by_letter = {option.letter: option for option in options}
    letters = _letters(part, by_letter.keys())
    named = _named(part, labels)
    if not letters:
        return named
    if len(letters) > 1:
        return NamedEmotion(None, None, "none", "several")
    chosen = by_letter[letters.pop()]
    if named.label is not None and named.label != chosen.label:
        return NamedEmotion(None, None, "none", "letter_and_words_differ")
    return NamedEmotion(chosen.letter, chosen.label, "letter")


def _named(part: str, labels: LabelSet) -> NamedEmotion:
    """What the words of an answer say, its letters left aside; "Other" is one of the options."""
    bare = re.sub(r"[^a-z ]", " ", part.lower()).split()
    without_letters = [word for word in bare if len(word) > 1]
    if without_letters and without_letters[-1] == OTHER and not read_free(part, labels).label:
        return NamedEmotion(OTHER, OTHER, "parser")
    return read_free(part, labels)


def _letters(part: str, known: Collection[str]) -> set[str]:
    """Letters that an answer chooses: announced ones, else those that open its lines or close it.

    An "A" in running text is an article, and an "I" is the speaker. An option that is said to be
    wrong is none, and letters beside each other are all chosen.
    """
    if alone := _ALONE.fullmatch(part):
        return {alone[1].upper()} & set(known)
    part = _REJECTED.sub(" ", part)
    announced = [
        {match["letter"], *re.findall(r"\b[A-Z]\b", match["more"])}
        for match in _ANNOUNCED.finditer(part)
        if match["letter"].isupper()
    ]
    if announced:
        return announced[-1] & set(known)
    for listed in _SEVERAL.finditer(part):
        beside = set(re.findall(r"\b[A-Z]\b", listed[0])) & set(known)
        if len(beside) > 1:
            return beside
    opening = {match["letter"] for line in part.split("\n") if (match := _OPENING.match(line))}
    if opening:
        return opening & set(known)
    closing = _CLOSING.search(part)
    return {closing["letter"]} & set(known) - {"I"} if closing else set()
