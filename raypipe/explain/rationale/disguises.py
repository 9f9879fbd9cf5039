r"""Words as they are found in a text in spite of how they are written.

Seen through are: capitals and accents; letters of other alphabets that look the same, full-width,
circled and mathematical ones; digits and signs for letters (``4ngry``); zero-width characters,
HTML entities and tags; stars, hyphens, dots and blanks inside a word (``a-n-g-r-y``, ``an gry``,
``**ang**ry``); camelCase; stretched letters (``angryyy``); masked letters (``ang*y``); two letters
that changed places (``agnry``); the word backwards; emoji, by their Unicode names and
:data:`_FACES`; percent and ``\u`` escapes; letters with commas between (``a, n, g, r, y``); a
stressing word in front (``veryangry``); and a hashtag that begins with the word.

A word that only contains another is not that word: ``danger``, ``saddle``. Not seen through are
other misspellings, letters upside down, and ciphers.
"""

# ruff: noqa: RUF001  letters of other alphabets are what it is about
from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Final

_CAPITALS: Final = str.maketrans("ΝΗΡΥΧΖΒΜВНРСУХМТК", "nhpyxzbmbhpcyxmtk")
"""Capitals that look like Latin ones while their small letters look like others."""

_LOOKALIKES: Final = str.maketrans(
    "аеорсухіѕјԁԛԝһкмнтвгпьɑαεορτυνικηγσωłøđıɡᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxisjdqwhkmhtbrnbaaeoptuviknyowlodigabcdefghijklmnoprstuvwyz",
)
"""Cyrillic, Greek and other small letters that look like Latin ones."""

_SIGNS: Final[dict[str, str]] = {
    **{"0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g"},
    **{"@": "a", "$": "s", "!": "i", "|": "il", "+": "t", "€": "e", "£": "l"},
}
_FACES: Final[dict[str, str]] = {
    **dict.fromkeys("😡🤬👿💢😤😠", "angry"),
    **dict.fromkeys("😢😭😞😔🙁☹😿😥😟🥺", "sad"),
    **dict.fromkeys("😀😃😄😁😊🙂😂🤣😆😍🥰😸😺", "happy"),
    **dict.fromkeys("🤢🤮", "disgusted"),
    **dict.fromkeys("🙄😒😏", "contemptuous"),
    **dict.fromkeys("😮😯😲🤯", "surprised"),
    **dict.fromkeys("😨😱😰😧", "fearful"),
    **dict.fromkeys("😐😑", "neutral"),
}
"""Emoji whose Unicode names do not say what they show."""

_MOST_READINGS: Final = 16
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]{0,30}>|<!--.{0,30}?-->")
_LETTER_SYMBOL: Final = re.compile(r"LETTER ([A-Z])$")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})")
_STRESSED: Final = re.compile(r"(?:very|really|so|quite|too|extremely|totally|super)(?=[a-z]{3})")
_HASHTAG: Final = re.compile(r"#([a-z]+)")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PIECE: Final = re.compile(r"[a-z0-9@$!|+€£]+")
_MASKED: Final = re.compile(r"(?<![a-z*])[a-z]+(?:[*_#•·]{1,3}[a-z]+)+(?![a-z*])")
_STRETCHED: Final = re.compile(r"([a-z])\1{2,}")
_SHORTEST_JOINED: Final = 4
_SHORTEST_SCRAMBLED: Final = 5

_ORDINARY_WORDS: Final = (
    "a ad i an am as at be by do he if in is it me my no of on or so to up us we and are can ease"
    " easy ear even for full gust gusting her his its men mused not now one our out over pressed"
    " raged set she tempt the tic was you joy mad sad different happy able pressing press"
)
_ORDINARY: Final = frozenset(_ORDINARY_WORDS.split())
"""Words that may stand beside each other by chance: "de pressed" is no chance, "a mused" is."""

_NO_SCRAMBLES: Final = frozenset({"sacred", "caster", "brides"})
"""English words that are another word with two letters changed."""


def disguised(text: str, words: Collection[str]) -> str | None:
    """The first of some words that a text holds, however it is written; None without one.

    Args:
        text: of any language.
        words: in lower case, letters a to z only.

    Example:
        >>> disguised("It is 4-n-g-r-y.", {"angry"}), disguised("A dangerous bangle.", {"anger"})
        ('angry', None)
    """
    known = frozenset(words)
    plain = _plain(text)
    pieces = [
        (match[0], match.start(), match.end())
        for match in _PIECE.finditer(plain)
        if len(match[0]) == 1 or re.search("[a-z]", match[0])
    ]
    for start in range(len(pieces)):
        word = _starting_at(pieces[start:], plain, known)
        if word is not None:
            return word
    return next(_in_hashtags(plain, known), None) or next(_masked(plain, known), None)


def _plain(text: str) -> str:
    """A text in lower-case letters a to z, as far as what it shows can be read so."""
    text = html.unescape(text)
    text = _ESCAPE.sub(lambda escape: chr(int(escape[1] or escape[2], 16)), text)
    text = _TAG.sub("", text)
    text = "".join(_spelt_out(character) for character in text)
    text = unicodedata.normalize("NFKD", text)
    text = "".join(
        character for character in text if unicodedata.category(character) not in ("Mn", "Me", "Cf")
    )
    text = _CAMEL.sub("-", text)
    return text.translate(_CAPITALS).casefold().translate(_LOOKALIKES)


def _spelt_out(character: str) -> str:
    """A symbol as the letter in it or as its name; any other character as it is."""
    if character.isascii() or unicodedata.category(character) != "So":
        return character
    if character in _FACES:
        return f" {_FACES[character]} "
    name = unicodedata.name(character, "")
    letter = _LETTER_SYMBOL.search(name)
    return letter[1].lower() if letter else f" {name} "


def _starting_at(
    pieces: Sequence[tuple[str, int, int]], plain: str, words: frozenset[str]
) -> str | None:
    """The word that begins with the first piece and ends with it or a later one."""
    longest = max(map(len, words), default=0)
    joined: list[str] = []
    for count, (piece, start, _) in enumerate(pieces, 1):
        joined.append(piece)
        length = sum(map(len, joined))
        if length > 2 * longest or (count > 1 and length > longest + 2):
            return None
        between = "" if count == 1 else plain[pieces[count - 2][2] : start]
        spelt = all(len(part) == 1 for part in joined)
        if len(between) > 3 or (re.search(r"[,;:?]\s", between) and not spelt):
            return None
        for reading in _readings("".join(joined)):
            word = _word(reading, words, is_whole=count == 1)
            if word is not None and (count == 1 or _is_meant(joined, plain, pieces, word)):
                return word
    return None


def _is_meant(
    joined: Sequence[str], plain: str, pieces: Sequence[tuple[str, int, int]], word: str
) -> bool:
    """Whether pieces that make a word together do so on purpose."""
    if all(len(piece) == 1 for piece in joined):
        return True
    has_blank = " " in plain[pieces[0][1] : pieces[len(joined) - 1][2]]
    if len(word) < _SHORTEST_JOINED and has_blank:
        return not any(piece in _ORDINARY for piece in joined)
    return not all(piece in _ORDINARY for piece in joined)


@lru_cache(maxsize=4096)
def _readings(piece: str) -> tuple[str, ...]:
    """What letters a piece may stand for: as it is, and with signs read as letters."""
    trimmed = piece.rstrip("!|+")  # at a word's end they are punctuation
    options = [_SIGNS.get(character, character) for character in trimmed]
    several = [option for option in options if len(option) > 1]
    if 2 ** len(several) > _MOST_READINGS:
        options = [option[0] for option in options]
    readings = ["".join(reading) for reading in product(*options)]
    letters = re.sub("[^a-z]", "", trimmed)
    return tuple(dict.fromkeys([*readings, letters]))


def _word(reading: str, words: frozenset[str], *, is_whole: bool) -> str | None:
    if reading in words:
        return reading
    if _STRETCHED.search(reading):
        for few in (1, 2):
            shorter = _STRETCHED.sub(r"\1" * few, reading)
            if shorter in words:
                return shorter
    if not is_whole:
        return None
    stressed = _STRESSED.sub("", reading, count=1) if _STRESSED.match(reading) else ""
    if stressed in words:
        return stressed
    return _scrambled(words).get(reading) if len(reading) >= _SHORTEST_SCRAMBLED else None


@lru_cache(maxsize=64)
def _scrambled(words: frozenset[str]) -> dict[str, str]:
    """Words backwards or with two inner neighbours changed, by how they then read."""
    scrambled: dict[str, str] = {}
    for word in sorted(words):
        if len(word) < _SHORTEST_SCRAMBLED:
            continue
        variants = [word[::-1]]
        variants += [
            word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 1)
        ]
        for variant in variants:
            if variant not in _NO_SCRAMBLES and variant not in words:
                scrambled.setdefault(variant, word)
    return scrambled


def _in_hashtags(plain: str, words: Collection[str]) -> Iterator[str]:
    """Words with which a hashtag begins."""
    for match in _HASHTAG.finditer(plain):
        tag = match[1]
        yield from (
            word
            for word in sorted(words)
            if len(word) >= _SHORTEST_SCRAMBLED and tag.startswith(word)
        )


def _masked(plain: str, words: Collection[str]) -> Iterator[str]:
    """Words of which some inner letters are hidden behind signs, one each."""
    for match in _MASKED.finditer(plain):
        pattern = re.compile(re.sub(r"[^a-z]", "[a-z]", match[0]))
        visible = len(re.sub(r"[^a-z]", "", match[0]))
        if 2 * visible >= len(match[0]):
            yield from (word for word in sorted(words) if pattern.fullmatch(word))
