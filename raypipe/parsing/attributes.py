"""An answer about arousal, valence and dominance as three numbers on a stated scale.

Read are numbers behind the attributes' names: in JSON, in lines, in sentences. What may mean
something else is not guessed: ranges, words, percentages, other scales and several different
numbers make the answer invalid, with a reason.
"""

from __future__ import annotations

import re
from typing import Final

from raypipe.parsing.characters import plain, without_markup
from raypipe.parsing.section import find_answer
from raypipe.records import ATTRIBUTES, AttributeAnswer, Scale

MAX_CHARACTERS: Final = 16_384

_NAMES: Final = {
    "arousal": r"arousal|activation",
    "valence": r"valence|pleasantness",
    "dominance": r"dominance",
}
_ANY_NAME: Final = re.compile(rf"\b(?:{'|'.join(_NAMES.values())})\b", re.IGNORECASE)
_NUMBER: Final = r"[-+]?(?:\d+(?:[.,]\d+)?|\.\d+)(?![\w]|[.,]\d)"
# "(1-5)" or "on a scale from 1 to 5" behind a name tells the scale, not the rating.
_SCALE: Final = (
    r"(?:[\s\"'*`]{0,8}[(\[][^()\[\]]{0,60}[)\]]"
    r"|\s+(?:on|from)\s(?:a\s|the\s)?(?:scale\s)?(?:of\s|from\s)?\d+\s?(?:-|to)\s?\d+)?"
)
_LINK: Final = (
    r"(?:\s|[\"'*`:=|{]|-(?=\s)|\b(?:is|of|at|as|be|about|around|approximately|roughly|a|the|score"
    r"|rating|rated|value|level|estimate|mean|would)\b){0,24}"
)
_RANGE: Final = re.compile(r"\s?(?:-|\.\.+|to|or|and|/\s?-|~)\s?[-+]?\d", re.IGNORECASE)
_OF: Final = re.compile(r"\s?(?:/|out\sof)\s?(\d+(?:\.\d+)?)(?!\w|\.\d)", re.IGNORECASE)
_ANOTHER: Final = re.compile(r"\s?[,;]\s*[-+]?\d")
_PERCENT: Final = re.compile(r"\s?(?:%|percent)", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\([^()]*\)")
_CELL_END: Final = re.compile(r"[;\n}|]|,(?=\s)|\.(?=\s|$)")


def parse_attributes(text: str, scale: Scale) -> AttributeAnswer:
    """Read an answer as ratings of all three attributes.

    Args:
        text: of the answer, thinking included.
        scale: that was asked for.

    Example:
        >>> parse_attributes('{"arousal": 4, "valence": 2.5, "dominance": 3}', (1, 5)).ratings
        (4.0, 2.5, 3.0)
        >>> parse_attributes("Arousal: 3-4, valence: 2, dominance: 3", (1, 5)).reason
        'range'
    """
    written = plain(text)
    section = find_answer(written)
    if section.missing is not None:
        return AttributeAnswer(None, section.missing)
    if section.end - section.start > MAX_CHARACTERS:
        return AttributeAnswer(None, "too_long")
    answer = without_markup(written[section.start : section.end])
    if not answer.strip():
        return AttributeAnswer(None, "empty")
    ratings = []
    for name in ATTRIBUTES:
        rating = _rating(answer, name, scale)
        if isinstance(rating, str):
            return AttributeAnswer(None, rating)
        ratings.append(rating)
    arousal, valence, dominance = ratings
    return AttributeAnswer((arousal, valence, dominance))


def _rating(answer: str, name: str, scale: Scale) -> float | str:
    """The one rating of an attribute, or why there is none."""
    named = re.compile(
        rf"\b(?:{_NAMES[name]})\b{_SCALE}{_LINK}(?P<number>{_NUMBER})", re.IGNORECASE
    )
    values: set[float] = set()
    for match in named.finditer(answer):
        value = _value(answer, match, scale)
        if isinstance(value, str):
            return value
        values.add(value)
    if not values:
        return f"missing_{name}"
    return values.pop() if len(values) == 1 else "contradiction"


def _value(answer: str, match: re.Match[str], scale: Scale) -> float | str:
    end = match.end("number")
    following = _ANY_NAME.search(answer, end)
    stop = following.start() if following else len(answer)
    if _RANGE.match(answer, end, stop):
        return "range"
    if _ANOTHER.match(answer, end, stop):
        return "several_numbers"
    if _PERCENT.match(answer, end, stop):
        return "other_scale"
    of = _OF.match(answer, end, stop)
    if of is not None:
        if float(of[1]) != scale[1]:
            return "other_scale"
        end = of.end()
    cell = _CELL_END.search(answer, end, stop)
    rest = _BRACKETED.sub("", answer[end : cell.start() if cell else stop])
    if re.search(r"\d", rest):
        return "several_numbers"
    value = float(match["number"].replace(",", "."))
    return value if scale[0] <= value <= scale[1] else "out_of_range"
