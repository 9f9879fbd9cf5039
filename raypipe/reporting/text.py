"""Safe text from corpora and models, and numbers as text."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final

# CSI sequences first, so that "\x1b[31m" leaves no "[31m" behind; then OSC (titles, links).
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
# Bidirectional controls reorder what the reader sees: an id may pretend to be another.
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What JSON does not escape by itself, and what is no part of its own layout.
_ACTING: Final = re.compile(f"[\x7f-\x9f\u2028\u2029{''.join(sorted(_BIDI))}]")
_DROPPED_CATEGORIES: Final = frozenset({"Cc", "Cs"})

NOT_RECORDED: Final = "not recorded"
NONE: Final = "\N{EN DASH}"
"""A cell without a value."""


def clean(value: object, limit: int = 160) -> str:
    r"""One line of printable text: no control, ANSI, bidirectional or surrogate characters.

    Escaping for HTML is not done here: the template engine does it for everything.

    Args:
        value: anything; None becomes "not recorded".
        limit: the longest text returned, in characters; a longer one ends in an ellipsis.

    Example:
        >>> clean("a\x1b[31mb\nc")
        'ab c'
    """
    if value is None:
        return NOT_RECORDED
    # Cut twice: a message of many megabytes must not be scanned to show 160 characters.
    raw = _ANSI.sub("", str(value)[: 8 * limit])
    blanked = " ".join(raw.split())
    kept = "".join(
        character
        for character in blanked
        if character not in _BIDI and unicodedata.category(character) not in _DROPPED_CATEGORIES
    )
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def visible(text: str) -> str:
    r"""A text as it is, but for what would not be seen or would change what is: that is escaped.

    Example:
        >>> print(visible("w_bon[beams=3of5] [/x]\n\x1b[31m"))
        w_bon[beams=3of5] [/x]\n\x1b[31m
    """
    return "".join(map(_visible_character, text))


def visible_lines(text: str) -> str:
    r"""The same for a text of several lines: a new line begins one, as it does in a terminal.

    Example:
        >>> print(visible_lines("two\nlines\r\x1b[2J"))
        two
        lines\r\x1b[2J
    """
    return "\n".join(map(visible, text.split("\n")))


def json_text(document: object, indent: int | None = None) -> str:
    r"""A document as JSON in which every character that acts on a terminal is an escape of JSON's.

    Example:
        >>> print(json_text({"text": "é\x9b2J\u202e"}))
        {"text": "é\u009b2J\u202e"}
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_SEPARATORS: Final = frozenset({"Zl", "Zp"})


def _visible_character(character: str) -> str:
    category = unicodedata.category(character)
    if character in _BIDI or category in _DROPPED_CATEGORIES | _SEPARATORS:
        return character.encode("unicode_escape").decode()
    return character


def score(value: float, digits: int = 3) -> str:
    """A score with a fixed number of digits and a real minus sign.

    Example:
        >>> score(-0.0125)
        '−0.013'
    """
    text = f"{value:z.{digits}f}"
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text


def difference(value: float, digits: int = 3) -> str:
    """A difference, its sign always shown.

    Example:
        >>> difference(0.05)
        '+0.050'
    """
    return score(value, digits) if value < 0 else "+" + score(value, digits)


def percent(share: float, digits: int = 1) -> str:
    r"""A share in [0, 1] in percent, the sign held to the number by a no-break space.

    Example:
        >>> percent(0.021).replace("\xa0", " ")
        '2.1 %'
    """
    return f"{score(100 * share, digits)}\u00a0%"


def interval(low: str, high: str) -> str:
    r"""The bounds of an interval, never broken over two lines.

    Example:
        >>> interval("0.1", "0.2").replace("\xa0", " ")
        '[0.1, 0.2]'
    """
    return f"[{low},\u00a0{high}]"


def count(number: int) -> str:
    """A whole number in groups of three digits.

    Example:
        >>> count(7442)
        '7,442'
    """
    return f"{number:,}"


def duration(seconds: float) -> str:
    """A time span in the two largest units that it has.

    Example:
        >>> duration(3725)
        '1 h 2 min'
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def amount(number: float) -> str:
    """A mean of whole numbers, as exact as a reader can use.

    Example:
        >>> amount(1234.5), amount(12.34), amount(0.04), amount(0)
        ('1,234', '12.3', '0.04', '0')
    """
    if number >= 100 or number == 0:
        return count(round(number))
    return f"{number:.1f}" if number >= 1 else f"{number:.2g}"


def shortened(text: str, limit: int) -> str:
    """A name cut in its middle: names of a sweep differ at their ends.

    Example:
        >>> shortened("w_bon[length_normalised=false,tau=0.5]", 20)
        'w_bon[leng…,tau=0.5]'
    """
    if len(text) <= limit:
        return text
    end = (limit - 1) // 2
    return f"{text[: limit - 1 - end]}…{text[len(text) - end :]}"


def listing(items: list[str]) -> str:
    """Items joined as a sentence does it.

    Example:
        >>> listing(["bon", "w_bon", "token"])
        'bon, w_bon and token'
    """
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
