"""A verifier's answer as a score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from raypipe.parsing.amounts import Amount, amounts_in, has_decimal_commas, merged
from raypipe.parsing.characters import plain, without_markup
from raypipe.parsing.section import find_answer

MAX_CHARACTERS: Final = 16_384

_LINK = (
    r"(?:\([^()]*\)|(?:is|of|at|as|a|an|would|should|be|about|around|this|it|for\s\w+\s\w+)\b"
    r"|[\s\"'*`)\]:=>])*"
)
# The surer noun decides: a confidence beside a score is about the score.
_MARKS: Final = tuple(
    re.compile(rf"\b(?:{nouns})\b{_LINK}$", re.IGNORECASE)
    for nouns in ("scores?", "ratings?|grade|rate|plausibility", "confidence")
)
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
    answer = without_markup(written[section.start : section.end]).strip()
    commas = has_decimal_commas(answer)
    amounts = list(merged(amounts_in(answer, commas=commas), answer))
    return _score(answer, amounts)


def _score(answer: str, amounts: Sequence[Amount]) -> float | None:
    numbers = [amount for amount in amounts if not amount.spread]
    for mark in _MARKS:
        marked = [
            amount
            for amount in numbers
            if mark.search(answer, max(0, amount.start - 60), amount.start)
            and not (_is_count(amount) and answer.startswith(":", amount.end))
        ]
        if marked:
            return _single(marked)
    numbers = [amount for amount in numbers if amount.role != "other"]
    fractions = [amount for amount in numbers if _is_written_as_fraction(answer, amount)]
    if fractions:
        return _single(fractions)
    placed = [
        amount for amount in numbers if _opens(answer, amount) or _stands_alone(answer, amount)
    ]
    if placed:
        return _single(placed)
    # A whole number in prose counts something: "1 of the cues fits".
    if len(amounts) == len(numbers) and not all(_is_count(amount) for amount in numbers):
        return _single(numbers)
    return None


def _single(amounts: Sequence[Amount]) -> float | None:
    """The one value of some numbers, if it is one in [0, 1]."""
    values = {amount.value for amount in amounts}
    value = values.pop()
    return value if not values and 0.0 <= value <= 1.0 else None


def _is_count(amount: Amount) -> bool:
    return amount.kind == "bare" and amount.integer


def _is_written_as_fraction(answer: str, amount: Amount) -> bool:
    written = answer[amount.start : amount.end].lower()
    return amount.kind == "fraction" and ("/" in written or "out" in written)


def _opens(answer: str, amount: Amount) -> bool:
    """Whether a number is the first word; a whole one only if nothing is counted by it."""
    opening = _OPENING.match(answer)
    if opening is None or opening.end() != amount.start:
        return False
    rest = answer[amount.end :]
    if re.match(r"\s*[,;/-]?\s*[\d.]*\d", rest):
        return False
    return not _is_count(amount) or not rest or rest[0] in ",;\n"


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
