"""An answer read as a whole: where it stands, its brackets, its running text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import has_decimal_commas
from raypipe.parsing.bracketed import read_brackets
from raypipe.parsing.characters import plain, squeezed, without_markup
from raypipe.parsing.context import AnswerContext
from raypipe.parsing.loose import Bracket, Scalar, top_brackets
from raypipe.parsing.objects import ObjectReader
from raypipe.parsing.parts import TextPart, in_order
from raypipe.parsing.prose import read_prose
from raypipe.parsing.section import find_answer
from raypipe.parsing.settling import MAX_DROPPED_SHARE
from raypipe.parsing.statements import Statement
from raypipe.parsing.words import label_pattern
from raypipe.records import Parsed

MAX_CHARACTERS: Final = 16_384
"""Of a longer answer, thinking and what stands before a marker aside, only an object at its end."""

_MAX_NESTING: Final = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer was read as, and what each part of its text was taken for.

    Attributes:
        parsed: the distribution, or the reason why there is none.
        parts: of the text, in order, without gaps.
    """

    parsed: Parsed
    parts: tuple[TextPart, ...] = ()


def read_answer(
    text: str, labels: LabelSet, max_dropped_share: float = MAX_DROPPED_SHARE
) -> Reading:
    """Read a model's answer, and say what every part of it was taken for."""
    written = plain(text)
    if not written.strip():
        return Reading(Parsed(None, "none", "empty"), tuple(in_order([], 0, len(text))))
    section = find_answer(written)
    parts = [TextPart(start, end, "thinking") for start, end in section.thinking]
    if section.marker is not None:
        parts.append(TextPart(*section.marker, "marker of the answer"))
    if section.missing is not None:
        parsed = Parsed(None, "none", section.missing)
    else:
        start = max(section.start, section.end - MAX_CHARACTERS)
        answer, places = squeezed(without_markup(written[start : section.end]))
        parsed, inner = _read(answer, labels, max_dropped_share, 0)
        if start > section.start and (parsed.rule != "json" or parsed.probs is None):
            # What was not read could have changed anything but the last object.
            parsed = Parsed(None, "none", "too_long")
        parts += [_moved(part, start, places) for part in inner]
    return Reading(parsed, tuple(in_order(parts, 0, len(text))))


def _moved(part: TextPart, start: int, places: list[int] | None) -> TextPart:
    """A part of the answer as a part of the whole text."""
    first, last = part.start, part.end
    if places is not None:
        first, last = places[first], places[last]
    return TextPart(first + start, last + start, part.taken_for)


def _read(
    text: str, labels: LabelSet, max_dropped_share: float, depth: int
) -> tuple[Parsed, list[TextPart]]:
    if not text.strip():
        return Parsed(None, "none", "no_answer"), []

    def read_field(field: str) -> Parsed:
        if depth >= _MAX_NESTING:
            return Parsed(None, "none", "no_answer")
        inner, _ = squeezed(without_markup(plain(field)))
        return _read(inner, labels, max_dropped_share, depth + 1)[0]

    commas = has_decimal_commas(text)
    answer = AnswerContext(text, labels, max_dropped_share, commas, read_field)
    return _by_rules(answer), answer.parts


def _by_rules(answer: AnswerContext) -> Parsed:
    brackets = top_brackets(answer.text, commas=answer.commas)
    braces = [bracket for bracket in brackets if _is_decoration(bracket, answer.labels)]
    if braces:
        text = _without_ends(answer.text, braces)
        answer = replace(answer, text=text)
        brackets = top_brackets(text, commas=answer.commas)
    reader = ObjectReader(answer.labels, commas=answer.commas)
    statements = [
        replace(statement, top=statement.start == bracket.start)
        for bracket in brackets
        for statement in reader.statements(bracket)
    ]
    # A list of names is as good as one in running text, and is read with it.
    lists = {statement.start for statement in statements if statement.kind == "names"}
    read = [bracket for bracket in brackets if _is_object(bracket) and bracket.start not in lists]
    prose = _blanked(answer.text, read)
    parsed = read_brackets(answer, brackets, statements, prose, reader)
    if parsed is not None:
        return parsed
    parsed = read_prose(answer, prose)
    if parsed.probs is None or parsed.rule not in ("label_list", "keyword"):
        return parsed
    if (parsed.probs > 0.0).sum() > 1 and _have_measures(statements):
        return Parsed(None, parsed.rule, "ambiguous")  # [0.0-1.2] says what each is about
    return parsed


def _is_decoration(bracket: Bracket, labels: LabelSet) -> bool:
    """Whether braces stand around running text: ``{anger: loud, sadness: slow}``."""
    if bracket.kind != "{" or not bracket.closed:
        return False
    members = [item for pair in bracket.pairs for item in (pair.key, pair.value)]
    if any(not isinstance(item, Scalar) or item.quoted for item in members if item is not None):
        return False
    if not bracket.has_keys:
        return True
    pattern = label_pattern(labels)
    for pair in bracket.pairs:
        names = isinstance(pair.value, Scalar) and pattern.search(pair.value.text) is not None
        if names and (pair.key is None or pattern.search(pair.key.text)):
            return True
    return False


def _without_ends(text: str, brackets: Sequence[Bracket]) -> str:
    """The text with the braces of some brackets blanked."""
    characters = list(text)
    for bracket in brackets:
        characters[bracket.start] = characters[bracket.end - 1] = " "
    return "".join(characters)


def _have_measures(statements: Sequence[Statement]) -> bool:
    """Whether numbers in brackets are more than numbering."""
    return any(
        not amount.integer or amount.spread for item in statements for amount in item.numbers
    )


def _is_object(bracket: Bracket) -> bool:
    return bracket.closed and (bracket.has_keys or bracket.kind == "[")


def _blanked(text: str, brackets: Sequence[Bracket]) -> str:
    pieces, position = [], 0
    for bracket in brackets:
        pieces += [text[position : bracket.start], " " * (bracket.end - bracket.start)]
        position = bracket.end
    return "".join([*pieces, text[position:]])
