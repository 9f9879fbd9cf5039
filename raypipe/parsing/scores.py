"""A verifier's answer as a score."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from raypipe.labels import ALIASES, LabelSet
from raypipe.parsing.amounts import Amount, amounts_in, has_decimal_commas, merged
from raypipe.parsing.characters import plain, squeezed, without_markup
from raypipe.parsing.pairing import is_bound
from raypipe.parsing.section import find_answer
from raypipe.parsing.words import label_pattern

MAX_CHARACTERS: Final = 16_384

_NEAR: Final = 60

_LINK = (
    r"(?:\([^()]*\)|\[[^\[\]]*\]|(?:is|of|at|as|a|an|would|should|be|about|around|this|it|for\s\w+\s\w+)\b"
    r"|[\s\"'*`)\]:=>])*"
)
# The surer noun decides: a confidence beside a score is about the score.
_MARKS: Final = tuple(
    re.compile(rf"\b(?:{nouns})\b{_LINK}$", re.IGNORECASE)
    for nouns in (
        r"(?:final|overall|combined)(?:\s(?:the\s)?(?:scores?|ratings?|grade|fit))?",
        "scores?",
        "ratings?|grade|rate|plausibility",
        "confidence",
    )
)
_SUM: Final = re.compile(r"[\d.)]\s?[-+*/x]\s?[\d.(][^=\n]{0,60}=\s*$")
_DENIED: Final = re.compile(r"\b(?:not|never|no|cannot|n't)\b[^.;,\n]{0,30}$", re.IGNORECASE)
_TOO_MUCH: Final = re.compile(r"[\s\"'*`]*(?:is|would\sbe|seems?)\s(?:\w+\s)?(?:too|wrong)\b", re.I)
_SAME_SLOT: Final = re.compile(
    r"[\s,;/>.-]*(?:(?:or|and|maybe|perhaps|possibly|no|rather|even|then)\b[\s,]*)*", re.IGNORECASE
)
_EMOTIONS: Final = LabelSet(tuple(ALIASES))
_OF_EMOTION: Final = re.compile(
    r"[\s\"'*`:=(]*(?:(?:is|was|of|at|to|as|a|an|the|should|be|has|gets|share|score|with)\b[\s\"'*`:=(]*)*"
)
_FOR_EMOTION: Final = re.compile(r"[\s\"'*`)]*(?:(?:for|to|of)\s(?:both|each|the\s)?)?[\s\"'*`]*")
_FOR_BOTH: Final = re.compile(r"\s(?:for|to)\s(?:both|each|all)\b", re.IGNORECASE)
_OPENING: Final = re.compile(r"[\s\"'*`\[({]*")
_ENDING: Final = re.compile(r"[\s\"'*`\])}.]*")


def parse_score(text: str) -> float | None:
    """Read a verifier's answer as a score in [0, 1]; None if it gives no single one.

    Looked for in this order, and where two of a kind differ there is none: a number marked as
    score, rating or confidence (of a corrected score the last), a fraction, a number that opens
    the answer or stands alone on its last line, the only number. A number outside [0, 1] is a
    score only as a fraction or in percent.

    Example:
        >>> parse_score("Score: 0,8"), parse_score("80%"), parse_score("7 of the cues fit")
        (0.8, 0.8, None)
    """
    written = plain(text)
    section = find_answer(written)
    if section.missing is not None or section.end - section.start > MAX_CHARACTERS:
        return None
    answer = squeezed(without_markup(written[section.start : section.end]))[0].strip()
    commas = has_decimal_commas(answer)
    amounts = list(merged(amounts_in(answer, commas=commas), answer))
    numbers = [amount for amount in amounts if not amount.spread]
    announced = section.marker is not None and re.search(
        "scor|rating", written[slice(*section.marker)], re.IGNORECASE
    )
    if announced and numbers and _opens(answer, numbers[0], numbers):
        return _stated(answer, numbers[:1], numbers)
    return _score(answer, amounts)


def _score(answer: str, amounts: Sequence[Amount]) -> float | None:
    numbers = [amount for amount in amounts if not amount.spread]
    sums = [item for item in numbers if _SUM.search(answer, max(0, item.start - 90), item.start)]
    if sums:
        return _single(sums)
    numbers = _without_emotions(answer, numbers)
    for mark in _MARKS:
        marked = [
            amount
            for amount in numbers
            if mark.search(answer, max(0, amount.start - 60), amount.start)
            and not (_is_count(amount) and answer.startswith(":", amount.end))
        ]
        if marked:
            return _stated(answer, marked, numbers)
    others = [amount for amount in numbers if amount.role == "other"]
    numbers = [amount for amount in numbers if amount.role != "other"]
    fractions = [amount for amount in numbers if _is_written_as_fraction(answer, amount)]
    if fractions:
        return _stated(answer, fractions, numbers)
    placed = [
        amount
        for amount in numbers
        if _opens(answer, amount, numbers) or _stands_alone(answer, amount)
    ]
    if placed:
        return _stated(answer, placed, numbers)
    # A whole number in prose counts something: "1 of the cues fits".
    if not others and not all(_counts(answer, amount) for amount in numbers):
        return _stated(answer, numbers, numbers)
    return None


def _without_emotions(answer: str, numbers: Sequence[Amount]) -> list[Amount]:
    """The numbers that are not the share of an emotion, as the candidate gives it."""
    emotions = list(label_pattern(_EMOTIONS).finditer(answer))
    starts, ends = [item.start() for item in emotions], [item.end() for item in emotions]
    kept = []
    for number in numbers:
        before = bisect_right(ends, number.start) - 1
        behind = bisect_left(starts, number.end)
        is_near = before >= 0 and number.start - ends[before] <= _NEAR
        is_share = is_near and _OF_EMOTION.fullmatch(answer, ends[before], number.start)
        if behind < len(starts) and starts[behind] - number.end <= _NEAR:
            is_share = is_share or _FOR_EMOTION.fullmatch(answer, number.end, starts[behind])
        if not is_share and not _FOR_BOTH.match(answer, number.end):
            kept.append(number)
    return kept


def _stated(answer: str, chosen: Sequence[Amount], numbers: Sequence[Amount]) -> float | None:
    """The one value of the chosen numbers; None if it is denied, a bound, or one of two."""
    starts = [item.start for item in numbers]
    for amount in chosen:
        if is_bound(answer, amount) or _TOO_MUCH.match(answer, amount.end):
            return None
        if _DENIED.search(answer, max(0, amount.start - 40), amount.start):
            return None
        if amount.kind == "percent" and not amount.integer and amount.value < 0.01:
            return None  # 0.8 %: of one or of a hundred
        following = bisect_left(starts, amount.end)
        for other in numbers[following : following + 1]:
            is_near = other.start - amount.end <= _NEAR
            is_beside = is_near and _SAME_SLOT.fullmatch(answer, amount.end, other.start)
            if is_beside and abs(other.value - amount.value) > 1e-9:
                return None
    return _single(chosen)


def _single(amounts: Sequence[Amount]) -> float | None:
    """The one value of some numbers, if it is one in [0, 1]."""
    values = {amount.value for amount in amounts}
    value = values.pop()
    return value if not values and 0.0 <= value <= 1.0 else None


def _counts(answer: str, amount: Amount) -> bool:
    """Whether a number counts something: "1 cue", "3 of 4 emotions"."""
    is_part = amount.kind == "fraction" and not _is_written_as_fraction(answer, amount)
    return _is_count(amount) or (is_part and re.match(r"\s\w", answer[amount.end :]) is not None)


def _is_count(amount: Amount) -> bool:
    return amount.kind == "bare" and amount.integer


def _is_written_as_fraction(answer: str, amount: Amount) -> bool:
    written = answer[amount.start : amount.end].lower()
    return amount.kind == "fraction" and ("/" in written or "out" in written)


def _opens(answer: str, amount: Amount, numbers: Sequence[Amount]) -> bool:
    """Whether a number is the first word; a whole one only if nothing is counted by it."""
    opening = _OPENING.match(answer)
    if opening is None or opening.end() != amount.start:
        return False
    rest = answer[amount.end :]
    is_row = re.match(r"\s*[,;/-]?\s*[\d.]*\d", rest)
    if is_row and any(item.start == amount.end + is_row.end() - 1 for item in numbers):
        return False
    return not _counts(answer, amount) or not rest or rest[0] in ",;\n"


def _stands_alone(answer: str, amount: Amount) -> bool:
    """Whether a number is all there is on the last line."""
    line = answer.rfind("\n") + 1
    if amount.start < line:
        return False
    opening = _OPENING.match(answer, line)
    return (
        opening is not None
        and opening.end() == amount.start
        and (_ENDING.fullmatch(answer, amount.end) is not None)
    )
