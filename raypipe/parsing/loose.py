"""A tolerant reader of brackets: JSON, and what models write instead of it.

Single and typographic quotes, bare keys, ``=`` or ``;``, missing or trailing commas, comments,
quotes inside strings, tuples, missing and superfluous brackets. Nothing raises; every piece keeps
its place in the text. One pass: the time is linear in the text's length.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

MAX_DEPTH = 40
"""Brackets deeper than this are skipped as stray characters."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is no bracket: a string, a number, a word.

    Attributes:
        cut: whether it is a string without its closing quote.
    """

    start: int
    end: int
    text: str
    quoted: bool
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A member of a bracket: a key and its value, or a value alone."""

    key: Scalar | None
    value: Scalar | Bracket | None


@dataclass(frozen=True, slots=True)
class Bracket:
    """An object, a list or a tuple.

    Attributes:
        closed: whether its end is there.
    """

    start: int
    end: int
    kind: str
    pairs: tuple[Pair, ...]
    closed: bool

    @property
    def has_keys(self) -> bool:
        """Whether it is an object rather than a list."""
        return any(pair.key is not None for pair in self.pairs)


_OPENING = re.compile(r"[{\[]")
_CLOSING = "}])"
_SKIP = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|#[^\n{}\[\]]*(?=\n))*", re.DOTALL)
_KEY_END = re.compile(r"\s{0,20}(?:=>|->|[:=])")
_BARE = re.compile(
    r"(?:(?<=[0-9]),(?=[0-9])|[^,;\n{}\[\]()\"'`:=/]|/(?![/*])|\((?=[^()\n]{0,40}\))[^()\n]{0,40}\)"
    r"|(?<=[^\W\d])['`](?=[^\W\d])|(?<=[+]/)-)+"
)
_BARE_NO_COMMA = re.compile(
    r"(?:[^,;\n{}\[\]()\"'`:=/]|/(?![/*])|\((?=[^()\n]{0,40}\))[^()\n]{0,40}\)"
    r"|(?<=[^\W\d])['`](?=[^\W\d]))+"
)
_STRAY = re.compile(r"[^,;\n{}\[\]\"'`]*")
_ENDS = r"\s{0,20}(?:[,;\]})\n]|$)"
_ITEM_END = re.compile(rf"(?<!\\)[\"'`](?={_ENDS}|\s{{0,20}}(?:=>|->|[:=])|\s{{0,20}}(?://|#))")
_VALUE_END = re.compile(
    r"(?<!\\)[\"'`](?=\s{0,20}(?:[}\])]|$|//|#|\([^()\n]{0,40}\)\s{0,20}[,}]"
    r"|[,;]?\s{0,20}(?:[\"'`][^\"'`\n]{1,80}[\"'`]|[^\W\d][\w /%().-]{0,60})\s{0,20}(?:=>|->|[:=])"
    r"|,\s{0,20}(?:[}\])]|\{)|,?\s{0,20}(?://|/\*|\#)))"
)


def top_brackets(text: str, *, commas: bool) -> list[Bracket]:
    """The outermost objects and lists of a text in order."""
    return list(_BracketReader(text, commas).brackets())


class _BracketReader:
    def __init__(self, text: str, commas: bool) -> None:
        self._text = text
        self._bare = _BARE if commas else _BARE_NO_COMMA
        self._ends = {"item": _places(_ITEM_END, text), "value": _places(_VALUE_END, text)}

    def brackets(self) -> Iterator[Bracket]:
        position = 0
        while match := _OPENING.search(self._text, position):
            bracket = self._bracket(match.start(), 0)
            yield bracket
            position = bracket.end

    def _bracket(self, start: int, depth: int) -> Bracket:
        text, pairs, position = self._text, list[Pair](), start + 1
        while True:
            position = self._skipped(position)
            if position >= len(text):
                return Bracket(start, len(text), text[start], tuple(pairs), closed=False)
            character = text[position]
            if character in _CLOSING:
                return Bracket(start, position + 1, text[start], tuple(pairs), closed=True)
            if character in ",;:=":
                position += 1
                continue
            pair, position = self._pair(position, depth)
            if pair is not None:
                pairs.append(pair)

    def _pair(self, position: int, depth: int) -> tuple[Pair | None, int]:
        start = position
        first, position = self._value(position, depth, "item")
        if isinstance(first, Scalar):
            key_end = _KEY_END.match(self._text, position)
            if key_end is not None:
                position = self._skipped(key_end.end())
                if position >= len(self._text) or self._text[position] in _CLOSING + ",;":
                    return Pair(first, None), position
                value, position = self._value(position, depth, "value")
                return Pair(first, value), self._after_string(value, position)
        if first is None:
            return None, max(position, start + 1)
        return Pair(None, first), self._after_string(first, position)

    def _value(self, position: int, depth: int, place: str) -> tuple[Scalar | Bracket | None, int]:
        character = self._text[position]
        if character in "{[(":
            if depth >= MAX_DEPTH:
                return None, position + 1
            bracket = self._bracket(position, depth + 1)
            return bracket, bracket.end
        if character in "\"'`":
            return self._string(position, place)
        match = self._bare.match(self._text, position)
        if match is None:
            return None, position + 1
        written = match[0].rstrip()
        return Scalar(position, position + len(written), written, quoted=False), match.end()

    def _string(self, position: int, place: str) -> tuple[Scalar | None, int]:
        quote = self._text[position]
        places = self._ends[place][quote]
        index = bisect_left(places, position + 1)
        end = places[index] if index < len(places) else self._text.find(quote, position + 1)
        if end < 0:  # cut inside the string
            text = self._text[position + 1 :]
            scalar = Scalar(position, len(self._text), text, quoted=True, cut=True)
            return scalar, len(self._text)
        written = self._text[position + 1 : end]
        return Scalar(position, end + 1, _unescaped(written), quoted=True), end + 1

    def _after_string(self, value: Scalar | Bracket | None, position: int) -> int:
        """Past a stray rest such as ``"0.25" (low)``, up to what separates."""
        if isinstance(value, Scalar) and value.quoted:
            match = _STRAY.match(self._text, position)
            rest = "" if match is None else match[0]
            if rest.strip() and not _KEY_END.search(rest):
                return position + len(rest)
        return position

    def _skipped(self, position: int) -> int:
        match = _SKIP.match(self._text, position)
        return position if match is None else match.end()


def _places(pattern: re.Pattern[str], text: str) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {"'": [], '"': [], "`": []}
    for match in pattern.finditer(text):
        places[match[0]].append(match.start())
    return places


def _unescaped(written: str) -> str:
    if "\\" not in written:
        return written
    try:
        return str(json.loads(f'"{written}"', strict=False))
    except ValueError:
        return written.replace("\\n", "\n").replace('\\"', '"').replace("\\'", "'")
