"""A text in plain characters: one for one, so that places in it are places in the original."""

from __future__ import annotations

import re
import unicodedata

_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u2039\u203a\u00b4\u2032"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\u300e\u300f\u2033"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0e\ufe0f\u00ad"
_PLAIN = {
    **dict.fromkeys(_SINGLE_QUOTES, "'"),
    **dict.fromkeys(_DOUBLE_QUOTES, '"'),
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_INVISIBLE, " "),
    "\u3001": ",",  # ideographic comma
    "\u3002": ".",  # ideographic full stop
    "\u060c": ",",
    "\u066a": "%",
    "\u066b": ".",
    "\u2022": "*",  # bullets
    "\u25cf": "*",
    "\u25aa": "*",
    "\u00b7": "*",
    "\u2192": ">",
    "\u27a1": ">",
    "\u2264": "<",
    "\u2265": ">",
    "\u2248": "~",
    "\u2044": "/",
    "\u2028": "\n",
    "\u2029": "\n",
    "\r": "\n",
    "\u2026": " ",  # ellipsis
}
# What marks text up and is none: LaTeX, ends of a turn, HTML. Blanked, never removed.
_MARKUP = re.compile(
    r"\\(?:boxed|fbox|text\w*|math\w+|emph|quad|left|right|[()\[\];,!])"
    r"|\\(?=[%{}_&#$*`|<>~-])|\$(?=[\s\\{\"'(\[]|$)|(?<=[\s}\"')\]])\$"
    r"|<\|[\w-]{1,40}\|>|</?s>|<(?:end_of_turn|eos|bos|pad)>|&nbsp;|<br\s?/?>|</?(?:b|i|p|strong|em)>"
    r"|```+\w*|_{2,}|~~|(?<![\w.])_(?=[^\W\d_])|(?<=[^\W_])_(?![\w.])",
    re.IGNORECASE,
)
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~|<(del|strike)>[^<>\n]{1,200}</\1>", re.IGNORECASE)
_CHECK_BOX = re.compile(
    r"(?:(?:^|(?<=[\s*-]))\[(?P<square>[xX\u2713\u2714]?)\s?\]|(?:^|(?<=\n))\((?P<round>[xX]?)\s?\))"
    r"(?=\s*[^\W\d_])|(?<=[^\W\d_]\s)\[(?:(?P<behind>[xX\u2713\u2714])|\s)\](?=[ \t]*(?:\n|$))"
)
_BLANKS = re.compile(r" {2,}")
_ESCAPED_QUOTE = re.compile(r"\\[\"']")
_QUOTED_WHOLE = re.compile(r"(\s*)\"(\s*\{(?:[^\"\\]|\\.)*+)\"(\s*)")
_PLAIN_QUOTE = re.compile(r"(?<!\\)[\"']")


def plain(text: str) -> str:
    r"""The text with typographic characters as their ASCII kin, of the same length.

    Example:
        >>> plain("anger" + chr(0xFF1A) + "25" + chr(0xFF05))
        'anger:25%'
    """
    odd = {character for character in set(text) if character > "\x7f" or character == "\r"}
    plain_kin = {ord(character): _plain_character(character) for character in odd}
    return text.replace("\r\n", " \n").translate(plain_kin)


def without_markup(text: str) -> str:
    """The text with markup blanked, of the same length."""
    text = _STRUCK.sub(lambda match: " " * len(match[0]), text)
    text = _MARKUP.sub(lambda match: " " * len(match[0]), text)
    text = _CHECK_BOX.sub(_box, text)
    whole = _QUOTED_WHOLE.fullmatch(text)
    if whole is not None:
        text = f"{whole[1]} {whole[2]} {whole[3]}"
    if _ESCAPED_QUOTE.search(text) and not _PLAIN_QUOTE.search(text):
        text = _ESCAPED_QUOTE.sub(lambda match: " " + match[0][1], text)
    return text if "\n" in text else text.replace("\\n", " \n")


def squeezed(text: str) -> tuple[str, list[int] | None]:
    """The text with single blanks for runs of them, and the place of each character before that.

    None for the places where nothing was taken out.

    Example:
        >>> squeezed("a  b")
        ('a b', [0, 1, 3, 4])
    """
    if "  " not in text:
        return text, None
    runs = [match.span() for match in _BLANKS.finditer(text)]
    pieces, places, position = [], list[int](), 0
    for start, end in runs:
        pieces.append(text[position : start + 1])
        places += range(position, start + 1)
        position = end
    places += range(position, len(text) + 1)
    return "".join([*pieces, text[position:]]), places


def _box(match: re.Match[str]) -> str:
    """``[x]`` and ``[ ]`` as the characters for them, of the same length."""
    return ("\u2611" if any(match.groups()) else "\u2610").ljust(len(match[0]))


def _plain_character(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    decimal = unicodedata.decimal(character, None)
    if decimal is not None:
        return str(decimal)
    if unicodedata.category(character) == "Zs":
        return " "
    if unicodedata.category(character) in ("No", "Sk", "Lm"):
        return character  # a superscript is no digit of the number before it
    normal = unicodedata.normalize("NFKC", character)
    return normal if len(normal) == 1 else character
