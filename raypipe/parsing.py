"""From what a model wrote to a distribution over the label set, and the rule that read it.

Rules are tried in a fixed order and the first that finds something decides, also when what it
finds is unusable (a JSON object with a negative share is invalid, not searched for keywords):

===============  ==========================================================================
rule             what it reads
===============  ==========================================================================
``json``         an object ``{label: number}``; the last complete one that names a label
``percent_list`` ``label: 35%`` or ``35% label`` in running text (token_level_logits, 3.4.1)
``label_list``   a list of label names: uniform over them, unknown entries ignored
``number_list``  two or more numbers in brackets: padded with zeros or cut to K
``keyword``      emotion words anywhere: uniform over the distinct labels they mean
===============  ==========================================================================

Reasons of an invalid answer: ``empty``, ``truncated`` (an object cut before all labels were
given), ``not_finite``, ``negative``, ``all_zero``, ``refusal`` (the model says it cannot judge,
and only names emotions in saying so), ``single_number``, ``no_answer``.

Percentages, probabilities and counts are all normalised to sum 1, so only their proportions
matter. Nothing here raises on any text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from raypipe.labels import LabelSet
from raypipe.records import Parsed

MAX_CHARACTERS = 16_384
"""Only the end of a longer text is read: the answer comes last, and time stays bounded."""

MAX_GAP = 40
"""Most characters between a label and its number in running text."""

# Typographic strokes and quotes are read as their ASCII kin: 20\u201330% is 20-30%.
_PLAIN = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201c\u201d\u00a0\uff05", "------''\"\" %"
)
# Atomic, so that a failing match never gives back half a number.
_NUMBER = r"(?>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)"
_VALUE = re.compile(
    rf"(?P<sign>[-+]?)\s{{0,2}}(?P<low>{_NUMBER}|nan\b|inf(?:inity)?\b)"
    rf"(?:\s*(?:-|to)\s*(?P<high>{_NUMBER})(?=\s*(?:%|percent)))?"
    rf"\s*(?P<percent>%|percent\b)?(?:\s*(?:/|out\s+of)\s*(?P<scale>{_NUMBER}))?",
    re.IGNORECASE,
)
_TEXT_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<sign>[-+]?)(?P<low>\d+,\d{{1,2}}(?=\s?%)|{_NUMBER})(?![\w.]\w)"
    rf"(?:\s?(?:-|to)\s?(?P<high>{_NUMBER})(?=\s?(?:%|percent)))?"
    rf"(?:\s?(?P<percent>%|percent\b))?",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"(?<![^\W\d])(?P<key>[^\W\d_][^\W\d]*+(?:[ /-][^\W\d]++){0,2})[\"'`*]*\s*[:=]\s*[\"'`*]*\s*"
    rf"(?P<value>[-+]?\s*(?:{_NUMBER}|nan\b|inf(?:inity)?\b)\s*(?:%|percent\b)?)",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\[([^\[\]()]*)\]|\(([^()\[\]]*)\)")
_LIST_NUMBER = re.compile(rf"([-+]?(?:{_NUMBER}|nan|inf(?:inity)?))\s*%?", re.IGNORECASE)
_ENTRY_BREAK = re.compile(r"[,;/|\n•&]|\band\b|\bor\b", re.IGNORECASE)
_ENTRY_LEAD = re.compile(r"^\s*(?:[-*+]\s+|\(?\d{1,2}[.):]\s*)")
_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_REFUSAL = re.compile(
    r"\bas an ai\b|\bas a(?:n)? (?:large )?(?:audio |text )?language model\b"
    r"|\b(?:can(?:not|'t| not)|won't|(?:un|not )able to|don't have the ability to)\s+"
    r"(?:\w+\s+){0,2}?(?:identify|determine|analy[sz]e|assess|process|listen|hear|provide|detect|"
    r"infer|recogni[sz]e|assist|help|tell|classify|access|judge|answer|estimate|comply|say|"
    r"rate|predict|perceive|interpret|evaluate|give|play|complete|fulfil+)\b",
    re.IGNORECASE,
)
_QUOTES = r"[\"'*`\s]*"
_MARKED_SCORE = re.compile(
    rf"\b(?:score|rating|confidence)\b{_QUOTES}(?:is|of|(?:would|should) be|:|=){_QUOTES}"
    rf"([-+]?{_NUMBER}\s?(?:%|percent\b)?(?:\s?(?:/|out\s+of)\s?{_NUMBER})?)",
    re.IGNORECASE,
)
_FRACTION = re.compile(rf"(?<![\d.]){_NUMBER}\s?(?:/|out\s+of)\s?{_NUMBER}", re.IGNORECASE)
_LONE_NUMBER = re.compile(rf"{_QUOTES}([-+]?{_NUMBER}\s?%?)[\"'*`.\s]*")
# Not "1. The tone ...", and not "0.3 to 0.5".
_OPENING_NUMBER = re.compile(
    r"[\"'*`\[({\s]*([-+]?(?>\d*\.\d+|\d+\s?%|[01](?=[,;\n]|$)))"
    r"(?![\w%])(?!\s*(?:to\b|-)\s*[\d.])",
    re.IGNORECASE,
)
_OBJECT_START = re.compile(r"\{\s*[\"}]")
_VALUE_KEYS = ("probability", "prob", "score", "value", "likelihood", "percent", "percentage")


def parse_answer(text: str, labels: LabelSet) -> Parsed:
    """Read a model's answer as a distribution; invalid with a reason where it is none.

    Args:
        text: what the model wrote, reasoning and markdown included.
        labels: the K labels; words are matched through their aliases, ignoring case.

    Returns:
        Probabilities of shape ``(labels,)`` that sum to 1, and the rule that fired. Shares of
        several words of one label are added up; an unknown word is ignored.

    Example:
        >>> emotions = LabelSet(("anger", "sadness"))
        >>> parse_answer('Low energy. {"angry": 0.25, "sad": 0.75}', emotions)
        Parsed(probs=array([0.25, 0.75]), rule='json', invalid_reason=None)
        >>> parse_answer("Anger: 80%, Sadness: 20%", emotions).rule
        'percent_list'
        >>> parse_answer("0.7", emotions).invalid_reason
        'single_number'
    """
    text = text[-MAX_CHARACTERS:].translate(_PLAIN)
    if not text.strip():
        return Parsed(None, "none", "empty")
    text = _without_thinking(text)
    for rule, read in RULES.items():
        found = read(text, labels)
        if found is not None:
            return found if isinstance(found, Parsed) else _normalised(found, rule)
    return Parsed(None, "none", _reason_without_rule(text))


def parse_score(text: str) -> float | None:
    """Read a verifier's answer as a score in [0, 1]; None if it gives no single one.

    Looked for in this order: a number marked as score or rating (the last one), ``a/b`` or
    ``a out of b``, a number that opens the text or stands alone on its last line, the only
    number in the text. A number outside [0, 1] is a score only as a fraction or in percent.

    Example:
        >>> parse_score("Score: 0.8/1"), parse_score("80%"), parse_score("7 of the cues fit")
        (0.8, 0.8, None)
    """
    text = _without_thinking(text[-MAX_CHARACTERS:].translate(_PLAIN)).strip()
    for pattern in (_MARKED_SCORE, _FRACTION):
        found = pattern.findall(text)
        if found:
            return _score(found[-1])
    alone = _LONE_NUMBER.fullmatch(text.rsplit("\n", 1)[-1])
    opening = _OPENING_NUMBER.match(text)
    for match in (alone, opening):
        if match and (score := _score(match[1])) is not None:
            return score
    # A whole number in prose counts something: "1 of the cues fits".
    written = {match[0] for match in _TEXT_NUMBER.finditer(text)}
    only = written.pop() if len(written) == 1 else ""
    return _score(only) if "." in only or "%" in only else None


def _without_thinking(text: str) -> str:
    """The text outside ``<think>`` blocks, or all of it if nothing stands outside."""
    if "</think" not in text.lower():
        return text
    answer = _THINKING.sub(" ", text)
    return answer if answer.strip() else text


def _score(written: str) -> float | None:
    value = number_in(written)
    return value if value is not None and 0.0 <= value <= 1.0 else None


def number_in(value: object) -> float | None:
    """A JSON value or a piece of text as a number: ``"35%"`` is 0.35, ``"7/10"`` 0.7, True 1.

    A percent range is its middle. None where there is no number.

    Example:
        >>> number_in("about 20-30%"), number_in("high")
        (0.25, None)
    """
    if isinstance(value, bool | int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    match = _VALUE.search(value)
    return None if match is None else _value_of(match) / _scale_of(match)


def _value_of(match: re.Match[str]) -> float:
    number = float(match["low"].replace(",", "."))
    if match["high"]:
        number = (number + float(match["high"])) / 2.0
    return -number if match["sign"] == "-" else number


def _scale_of(match: re.Match[str]) -> float:
    scale = 100.0 if match["percent"] else 1.0
    if match["scale"] and float(match["scale"]) > 0.0:
        scale *= float(match["scale"])
    return scale


# --- rule 1: JSON ------------------------------------------------------------------------------

_Pairs = list[tuple[str, object]]


def _json_rule(text: str, labels: LabelSet) -> Sequence[float] | Parsed | None:
    last: Sequence[float] | None = None
    last_end = -1
    spans = _brace_spans(text)
    for end, pairs in _objects(text, spans):
        shares = _shares(pairs, labels)
        if shares is not None and end >= last_end:
            last, last_end = shares, end
    if last is not None:
        return last
    records = _record_shares(text, labels)
    if records is not None:
        return records
    return _unclosed_object(text, spans, labels)


def _objects(text: str, spans: Mapping[int, int]) -> Iterator[tuple[int, _Pairs]]:
    """Every complete object in ``text`` as (end, pairs), inner ones before the outer one."""
    position = text.find("{")
    while position >= 0:
        strict = _strict_objects(text, position)
        if strict:
            end, found = strict
            yield from ((end, pairs) for pairs in found)
            position = text.find("{", end)
            continue
        if position in spans:
            yield spans[position], _loose_pairs(text, position, spans)
        position = text.find("{", position + 1)


def _strict_objects(text: str, position: int) -> tuple[int, list[_Pairs]] | None:
    if _OBJECT_START.match(text, position) is None or text.find("}", position) < 0:
        return None
    found: list[_Pairs] = []

    def keep(pairs: _Pairs) -> _Pairs:
        found.append(pairs)
        return pairs

    decoder = json.JSONDecoder(object_pairs_hook=keep, parse_int=float, strict=False)
    try:
        _, end = decoder.raw_decode(text, position)
    except (ValueError, RecursionError):
        return None
    return end, found


def _loose_pairs(text: str, start: int, spans: Mapping[int, int]) -> _Pairs:
    """Pairs of an object that is not strict JSON (single quotes, trailing comma, bare keys)."""
    body, position = [], start + 1
    while position < spans[start] - 1:
        if position in spans:  # an object inside this one is read on its own
            position = spans[position]
            continue
        body.append(text[position])
        position += 1
    return [(match["key"], match["value"]) for match in _PAIR.finditer("".join(body))]


def _brace_spans(text: str) -> dict[int, int]:
    """Start of every balanced ``{...}`` -> the position after its end."""
    spans: dict[int, int] = {}
    open_at: list[int] = []
    for match in re.finditer(r"[{}]", text):
        if match.group() == "{":
            open_at.append(match.start())
        elif open_at:
            spans[open_at.pop()] = match.end()
    return spans


def _shares(pairs: _Pairs, labels: LabelSet) -> list[float] | None:
    """Share of each label in an object; None if it gives no known label a number."""
    values: list[tuple[int, float, bool]] = []
    for key, value in pairs:
        label = _label_of(key, labels)
        number = number_in(_inner_value(value))
        if label is not None and number is not None:
            values.append((label, number, isinstance(value, str) and _is_percent(value)))
    if not values:
        return None
    # "35%" beside a bare 65 means percent in both; beside a bare 0.65 it does not.
    bare_percent = any(marked for *_, marked in values) and any(
        abs(number) > 1.0 for _, number, marked in values if not marked
    )
    shares = [0.0] * len(labels)
    for label, number, marked in values:
        shares[label] += number / 100.0 if bare_percent and not marked else number
    return shares


def _is_percent(value: str) -> bool:
    return "%" in value or "percent" in value.lower()


def _inner_value(value: object) -> object:
    """The number's place in ``{"score": 0.4, ...}``, where a label maps to an object."""
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        for key, inner in value:
            if str(key).lower() in _VALUE_KEYS:
                return inner
    return value


def _record_shares(text: str, labels: LabelSet) -> list[float] | None:
    """Shares of ``[{"emotion": "anger", "score": 0.4}, ...]``: one label and one number each."""
    shares = [0.0] * len(labels)
    found = False
    position = text.find("{")
    while position >= 0:
        strict = _strict_objects(text, position)
        for pairs in strict[1] if strict else ():
            named = [_label_of(str(value), labels) for _, value in pairs if isinstance(value, str)]
            known = [label for label in named if label is not None]
            numbers = [number_in(value) for key, value in pairs if key.lower() in _VALUE_KEYS]
            if len(known) == 1 and len(numbers) == 1 and numbers[0] is not None:
                shares[known[0]] += numbers[0]
                found = True
        position = text.find("{", strict[0] if strict else position + 1)
    return shares if found else None


def _unclosed_object(
    text: str, spans: Mapping[int, int], labels: LabelSet
) -> Sequence[float] | Parsed | None:
    """An object without its closing brace: an answer only if nothing but the brace is missing.

    A cut answer that names some labels would be read as "all the rest is zero", so all labels
    must be there, and the sum must show that the last number is not cut either.
    """
    opened = [match.start() for match in re.finditer(r"\{", text) if match.start() not in spans]
    if not opened:
        return None
    pairs = [(match["key"], match["value"]) for match in _PAIR.finditer(text[opened[-1] :])]
    shares = _shares([(key, value) for key, value in pairs], labels)
    if shares is None:
        return None
    named = {_label_of(key, labels) for key, _ in pairs} - {None}
    total = math.fsum(shares)
    whole = any(math.isclose(total, target, rel_tol=0.01) for target in (1.0, 100.0))
    return shares if len(named) == len(labels) and whole else Parsed(None, "json", "truncated")


def _label_of(word: str, labels: LabelSet) -> int | None:
    """Label of a key, also of ``Happiness/Joy``, ``anger (angry)``, ``**sad**``, ``sad_score``."""
    clean = word.strip(" \t\n\"'`*_#.:")
    for part in (clean, *re.split(r"[/(|,_:]", clean)):
        label = labels.index(part.strip(" )*\"'"))
        if label is not None:
            return label
    return None


# --- rule 2: numbers beside labels in running text ------------------------------------------------


def _percent_rule(text: str, labels: LabelSet) -> Sequence[float] | None:
    words = [
        (match.start(), match.end(), labels.index(match.group()), match.group().lower())
        for match in _word_pattern(labels, prose=False).finditer(text)
    ]
    numbers = list(_TEXT_NUMBER.finditer(text))
    if not words or not numbers:
        return None
    after = _numbers_after(text, words, numbers)
    before = _numbers_before(text, words, numbers)
    pairs = before if len(before) > len(after) else after
    if not pairs:
        return None
    # The same word again is a second list, where the later one counts; another word of the
    # same label is a second entry of one list, and is added.
    by_word = {(label, word): number for label, word, number in pairs}
    shares = [0.0] * len(labels)
    for (label, _), number in by_word.items():
        shares[label] += number
    return shares


_Words = Sequence[tuple[int, int, int | None, str]]
_LabelNumbers = list[tuple[int, str, float]]


def _numbers_after(text: str, words: _Words, numbers: Sequence[re.Match[str]]) -> _LabelNumbers:
    """Pairs written label first: ``anger: 35%``, ``| anger | 0.35 |``, ``anger is around 35%``."""
    pairs: _LabelNumbers = []
    next_number = 0
    for position, (_, end, label, word) in enumerate(words):
        while next_number < len(numbers) and numbers[next_number].start() < end:
            next_number += 1
        if next_number == len(numbers) or label is None:
            continue
        number = numbers[next_number]
        next_word = words[position + 1][0] if position + 1 < len(words) else len(text)
        if number.start() > min(next_word, end + MAX_GAP):
            continue
        gap = text[end : number.start()]
        separated = any(mark in gap for mark in ":=|")
        if re.search(r"[,;\n]", gap):
            continue
        # A bare number ends its entry, as in "anger 0.35, ...": not "1. anger 2. sadness".
        rest = text[number.end() : number.end() + 1]
        listed = not gap.strip(" \t-*_\"'`") and (not rest or rest in ",;\n")
        if separated or listed or number["percent"]:
            # In "anger -35%" the stroke is a dash; in "anger: -35%" it is a minus.
            value = _value_of(number)
            pairs.append((label, word, value if separated else abs(value)))
    return pairs


def _numbers_before(text: str, words: _Words, numbers: Sequence[re.Match[str]]) -> _LabelNumbers:
    """Pairs written number first: ``35% anger``, ``a 35% chance that the speaker is angry``."""
    pairs: _LabelNumbers = []
    next_word = 0
    for position, number in enumerate(numbers):
        while next_word < len(words) and words[next_word][0] < number.end():
            next_word += 1
        if next_word == len(words) or not number["percent"]:
            continue
        start, _, label, word = words[next_word]
        following = numbers[position + 1].start() if position + 1 < len(numbers) else len(text)
        if label is None or start > min(following, number.end() + MAX_GAP):
            continue
        if re.search(r"[,;:\n]", text[number.end() : start]):
            continue
        pairs.append((label, word, _value_of(number)))
    return pairs


@lru_cache(maxsize=32)
def _word_pattern(labels: LabelSet, *, prose: bool) -> re.Pattern[str]:
    """Matches every word of every label; without three-letter codes ("con", "dis") in prose."""
    words = {
        word
        for name in labels.names
        for place, word in enumerate(labels.words(name))
        if not (prose and place >= 2 and word == name[:3])
    }
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(
        rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE
    )


# --- rules 3 to 5 -------------------------------------------------------------------------------


def _label_list_rule(text: str, labels: LabelSet) -> Sequence[float] | None:
    lists = [square for square, _ in _BRACKETS.findall(text) if square]
    for body in reversed(lists):
        known = _known_entries(_ENTRY_BREAK.split(body), labels)
        if known:
            return _uniform_over(known, labels)
    body = text.rsplit(":", 1)[-1]
    entries = [_ENTRY_LEAD.sub("", entry).strip(" \t\n.!*_\"'`") for entry in _entries(body)]
    entries = [entry for entry in entries if entry]
    if len(entries) < 2 or any(len(entry.split()) > 2 for entry in entries):
        return None  # prose, or one word: not a list
    known = _known_entries(entries, labels)
    return _uniform_over(known, labels) if known else None


def _entries(body: str) -> list[str]:
    return _ENTRY_BREAK.split(body.strip())


def _known_entries(entries: Sequence[str], labels: LabelSet) -> set[int]:
    found = {labels.index(entry.strip(" \t\n.!*_\"'`")) for entry in entries}
    return {label for label in found if label is not None}


def _number_list_rule(text: str, labels: LabelSet) -> Sequence[float] | None:
    for square, round_ in reversed(_BRACKETS.findall(text)):
        entries = [entry for entry in re.split(r"[,;\s]+", (square or round_).strip()) if entry]
        matches = [_LIST_NUMBER.fullmatch(entry) for entry in entries if entry != "%"]
        if len(matches) < 2 or None in matches:
            continue
        numbers = [float(match[1]) for match in matches if match is not None]
        return (numbers + [0.0] * len(labels))[: len(labels)]
    return None


def _keyword_rule(text: str, labels: LabelSet) -> Sequence[float] | Parsed | None:
    found = {labels.index(word) for word in _word_pattern(labels, prose=True).findall(text)}
    known = {label for label in found if label is not None}
    if not known:
        return None
    if _REFUSAL.search(text):
        return Parsed(None, "none", "refusal")
    return _uniform_over(known, labels)


def _uniform_over(known: set[int], labels: LabelSet) -> list[float]:
    return [1.0 if label in known else 0.0 for label in range(len(labels))]


RULES: Mapping[str, Callable[[str, LabelSet], Sequence[float] | Parsed | None]] = {
    "json": _json_rule,
    "percent_list": _percent_rule,
    "label_list": _label_list_rule,
    "number_list": _number_list_rule,
    "keyword": _keyword_rule,
}
"""The rules in the order they are tried; each gives unnormalised shares, or None to pass on."""


def _normalised(shares: Sequence[float], rule: str) -> Parsed:
    """Shares as a distribution, or the reason why they are none."""
    values = np.asarray(shares, dtype=np.float64)
    if not np.isfinite(values).all():
        return Parsed(None, rule, "not_finite")
    if (values < 0.0).any():
        return Parsed(None, rule, "negative")
    largest = values.max()
    if largest <= 0.0:
        return Parsed(None, rule, "all_zero")
    values = values / largest  # first, so that the sum of huge numbers cannot overflow
    return Parsed(values / values.sum(), rule)


def _reason_without_rule(text: str) -> str:
    if len(_TEXT_NUMBER.findall(text)) == 1 and not re.search(r"[^\W\d_]{12}", text):
        return "single_number"
    return "refusal" if _REFUSAL.search(text) else "no_answer"
