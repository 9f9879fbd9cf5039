"""Numbers of an answer with what they are: percent, fractions, ranges, or no shares at all."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from raypipe.parsing.vocabulary import COUNTERS, MEASURES, OTHER_NOUNS, WEAK_NOUNS, word_set

Kind = Literal["bare", "percent", "fraction"]

_NUMBER: Final = r"(?>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?:\.(?![\w.]))?)"
_COMMA_NUMBER: Final = (
    r"(?>(?:[0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?(?:\.(?![\w.]))?)"
)
_PERCENT: Final = r"(?:%|(?:percent|per\scent|pct|prozent)\b)"


def _pattern(number: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![\w.])(?P<between>between\s)?(?P<bound>[<>~]=?\s?)?(?P<sign>[-+])?"
        rf"(?P<low>{number})"
        rf"(?:\s?(?P<low_percent>{_PERCENT})?\s?(?:-|to\b|(?(between)and\b|(?!)))\s?"
        rf"(?P<high>{number})(?![\w]))?"
        rf"(?:\s?(?P<mid_percent>{_PERCENT})?\s?(?:\+/-|\+-|\u00b1)\s?{number}(?:\s?{_PERCENT})?)?"
        rf"(?:\s?(?P<percent>{_PERCENT}))?"
        rf"(?:\s?(?:/|\bout\sof\b|\bof\b|\bin\b)\s?(?:the\s)?(?P<scale>{number})(?!\s?%)(?!\w))?"
        r"(?P<glued>[^\W\d_]+)?",
        re.IGNORECASE,
    )


_PERCENT_GROUPS: Final = ("percent", "low_percent", "mid_percent")
_WITH_POINTS = _pattern(_NUMBER)
_WITH_COMMAS = _pattern(_COMMA_NUMBER)
_NOT_FINITE = re.compile(r"(?<![\w.])[-+]?(?:nan|inf(?:inity)?)(?![\w.])", re.IGNORECASE)
_NUMBER_WORDS: Final = {
    **{"a third": 1 / 3, "one third": 1 / 3, "two thirds": 2 / 3, "one-third": 1 / 3},
    **{"two-thirds": 2 / 3, "a quarter": 0.25, "one quarter": 0.25, "three quarters": 0.75},
    **{"three-quarters": 0.75, "one-quarter": 0.25, "half": 0.5, "one half": 0.5},
    **{"zero": 0.0, "nil": 0.0},
    **{
        sign: unicodedata.numeric(sign)
        for sign in map(chr, (*range(0xBC, 0xBF), *range(0x2153, 0x215F)))
    },
}
_WRITTEN_OUT = re.compile(
    r"(?<![\w-])(?<!first\s)(?<!second\s)(?<!latter\s)(?<!other\s)(?<!last\s)(?:"
    + "|".join(sorted(_NUMBER_WORDS, key=len, reverse=True)).replace(" ", r"\s")
    + r")(?![\w-])",
    re.IGNORECASE,
)
_DECIMAL_POINT = re.compile(
    r"(?<![\w.])[0-9]*\.[0-9]++(?!\s?(?:k?hz|db|m?s|secs?|seconds?|min|minutes?)\b)", re.IGNORECASE
)
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])[0-9]+,[0-9]+(?![\w,])(?!\.[0-9])")
_SURE_COMMA = re.compile(
    r"(?<![\w.,\[(])(?:[0-9]+,[0-9]+\s{0,3}%|(?<=[\w\"'`*):=][\s:=])[\s\"']{0,2}0,[0-9]+(?![\w,.]))"
)
_BARE_LIST = re.compile(r"(?<![0-9])[0-9]+(?:,[0-9]+){2,}")
_TIMES = re.compile(r"(?<![\w.])x([0-9]{1,4})(?![\w.%])", re.IGNORECASE)
_NUMBERING = re.compile(r"(?:^|\n)[ \t>*#-]*(\(?[0-9]{1,3}[.)\]])(?=\s)")
_INLINE_NUMBERING = re.compile(
    r"(?<![\w.])(\(?[0-9]{1,2}(?:[.)](?=\s{1,9}[^\W\d])|\)(?=\s{1,9}[.\d])))\s+"
)
_NUMBERED_LINE = re.compile(
    r"(?:^|\n)[ \t>*|-]{0,8}([0-9]{1,2})(?=[ \t]{1,8}[^\W\d][^\n%\d]{0,60}\d)"
)
_NOUN_BEFORE = re.compile(
    r"([^\W\d]\w*)[\"'`*]{0,4}(?:\s?(?:of|is|at|was|about|around|from|[:=#(])){0,3}[\s\"'`*]{0,4}$",
    re.IGNORECASE,
)
_OF_WHOLE = re.compile(
    r"\sof\s(?:the|this|all|its)\s(?:clip|time|words|recording|audio|utterance|speech|sentences?|signal)\b",
    re.IGNORECASE,
)
_OUT_OF = re.compile(r"\b(?:out\sof|of|all|among)\s(?:the\s)?$", re.IGNORECASE)
_PLURAL = re.compile(
    r"(?!votes|points|percents|listeners|annotators|raters|people|parts|shares|sounds|seems|feels|"
    r"goes|stands|happiness|sadness|this|less|as)[^\W\d_]{3,}s",
)
_CLOCK = re.compile(r"(?<![\w.])\d{1,2}:\d{2}(?!\d)")
_DATE = re.compile(r"(?<!\d)(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{4})(?!\d)")
_LEGEND = re.compile(r"\s?=\s?[^\W\d_]{2}")
_AFTER = re.compile(r"[ \t]?[-)]?[ \t]?([^\W\d_]+)(?:\s+([^\W\d_]+))?")
_WEAK_PHRASE = re.compile(
    r"\b(?:confidence|certainty)\s(?:in|of|for|about)\s(?:this|the|my|that)\s\w+\s?(?:[:=]|is)\s*$",
    re.I,
)
_HEADS_NEXT = re.compile(r"\s?\w+\s?[:=]")
_VOTERS: Final = r"\s(?:listeners?|raters?|annotators?|people|voters?|participants?|votes?)\b"
_VOTERS_BEHIND = re.compile(_VOTERS)
_VOTERS_BETWEEN = re.compile(rf"{_VOTERS}\s?[(,=-]\s?")
_UNITS: Final = word_set(
    "hz khz db dbfs ms s sec secs second seconds minute minutes min mins hour hours year years "
    "yr yrs old times time pause pauses word words syllable syllables step steps sentence "
    "sentences speaker speakers voice voices semitone semitones cue cues breath breaths sob "
    "sobs laugh laughs wpm bpm degrees kg cm st clip clips segment segments turn turns "
    "utterance utterances options labels emotions classes categories languages points_of "
    "percentage_points sigh sighs"
)
_NO_SHARE_AFTER_PERCENT: Final = word_set(
    "quieter louder higher lower faster slower more less longer shorter above below stronger "
    "weaker deeper wider narrower increase decrease rise drop jump slowdown speedup silence "
    "ci interval silent pauses voiced unvoiced noise energy volume pitch speed"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its place in the text.

    Attributes:
        value: percent and fractions already divided; the middle of a range.
        role: ``share`` may be a label's share; ``weak`` is one only beside a label (confidence);
            ``other`` counts or measures something else.
        integer: whether it is written without decimals.
        minus: whether a stroke stands before it that is a minus for sure.
        spread: whether it is the middle of a range.
    """

    start: int
    end: int
    value: float
    kind: Kind = "bare"
    role: Literal["share", "weak", "other"] = "share"
    integer: bool = False
    minus: bool = False
    spread: bool = False


def has_decimal_commas(text: str) -> bool:
    """Whether commas between digits are decimal commas: decided for a whole answer.

    Commas that can be nothing else decide, whatever numbers with points stand beside them.

    Example:
        >>> has_decimal_commas("anger: 0,25; sadness: 0,75"), has_decimal_commas("[1,0,3]")
        (True, False)
    """
    if _BARE_LIST.search(text):
        return False
    if len(_SURE_COMMA.findall(text)) > 1:
        return True
    return not _DECIMAL_POINT.search(text) and _DECIMAL_COMMA.search(text) is not None


def amounts_in(text: str, *, commas: bool) -> list[Amount]:
    """Every number of a text in order; those of other things say so."""
    numbering = {match.start(1) for match in _NUMBERING.finditer(text)}
    numbering |= _inline_numbering(text) | _line_numbering(text)
    pattern = _WITH_COMMAS if commas else _WITH_POINTS
    found = list(_amounts(pattern, text, numbering))
    found += [
        Amount(match.start(), match.end(), _NUMBER_WORDS[" ".join(match[0].lower().split())])
        for match in _WRITTEN_OUT.finditer(text)
    ]
    found += [
        Amount(match.start(), match.end(), float(match[1]), integer=True)
        for match in _TIMES.finditer(text)
    ]
    found += [
        Amount(match.start(), match.end(), math.nan if match[0].lower()[-1] == "n" else math.inf)
        for match in _NOT_FINITE.finditer(text)
        if re.search(r"[:=|\[(,]\s*[\"']?$", text[max(0, match.start() - 4) : match.start()])
    ]
    return sorted(found, key=lambda amount: amount.start)


def _amounts(pattern: re.Pattern[str], text: str, numbering: set[int]) -> Iterator[Amount]:
    position = 0
    while match := pattern.search(text, position):
        if match["high"] is not None and not _is_range(match):
            # "19% - 4 cues" is two numbers: the first one is read alone.
            end = max(match.end("low"), match.end("low_percent"))
            alone = pattern.match(text, match.start(), end)
            match = match if alone is None else alone
        if match["scale"] is not None and not _is_fraction(match):
            alone = pattern.match(text, match.start(), _end_without_scale(match))
            match = match if alone is None else alone
        yield _amount(match, text, numbering)
        position = max(match.end(), match.start() + 1)


def _is_range(match: re.Match[str]) -> bool:
    rises = _value(match["low"]) <= _value(match["high"])
    return rises and not (match["low_percent"] and not match["percent"])


def _is_fraction(match: re.Match[str]) -> bool:
    """Whether the second number is a scale: not in "70% of 10 listeners", nor in "0.7 / 0.8"."""
    is_percent = any(match[name] for name in _PERCENT_GROUPS)
    return not is_percent and _value(match["scale"]).is_integer()


def _end_without_scale(match: re.Match[str]) -> int:
    return max(match.end(name) for name in ("low", "high", *_PERCENT_GROUPS))


def _inline_numbering(text: str) -> set[int]:
    """Places of ``1. anger 2. sadness``: numbers that count up from 1."""
    places, expected = [], 1
    for match in _INLINE_NUMBERING.finditer(text):
        if int(match[1].strip("().")) == expected:
            places.append(match.start(1))
            expected += 1
    return set(places) if len(places) > 1 else set()


def _line_numbering(text: str) -> set[int]:
    """Places of ``1 anger 60%`` and ``2 fear 40%`` in lines: they count up and have a number."""
    lines = list(_NUMBERED_LINE.finditer(text))
    counts_up = [int(line[1]) for line in lines] == list(range(1, len(lines) + 1))
    return {line.start(1) for line in lines} if counts_up and len(lines) > 1 else set()


def _amount(match: re.Match[str], text: str, numbering: set[int]) -> Amount:
    low, percent = (
        _value(match["low"]),
        any(match[name] for name in _PERCENT_GROUPS),
    )
    value = low if match["high"] is None else (low + _value(match["high"])) / 2.0
    kind: Kind = "bare"
    if percent:
        value, kind = value / 100.0, "percent"
    if match["scale"] and _value(match["scale"]) > 0.0:
        value, kind = value / _value(match["scale"]), "fraction"
    start = match.start("sign") if match["sign"] else match.start("low")
    start = match.start() if match["between"] else start
    minus = match["sign"] == "-" and _is_minus(text, match.start("sign"))
    amount = Amount(
        start=start,
        end=match.end() if match["glued"] in (None, "x", "X") else match.start("glued"),
        value=-value if minus else value,
        kind=kind,
        integer=re.fullmatch(r"[0-9]+", match["low"].rstrip(".")) is not None,
        minus=minus,
        spread=match["high"] is not None,
    )
    return replace(amount, role=_role(match, amount, text, numbering))


def _role(
    match: re.Match[str], amount: Amount, text: str, numbering: set[int]
) -> Literal["share", "weak", "other"]:
    if {match.start(), match.start("low"), match.start("low") - 1} & numbering:
        return "other"
    if match["glued"] and amount.kind == "bare" and not _is_times(match, amount):
        return "other"
    if match["high"] is not None and _is_whole_scale(match, amount):
        return "other"  # what a share may be, not what it is
    start = match.start("low")
    ends_sentence = text.endswith(".", 0, amount.end)
    after = None if ends_sentence else _AFTER.match(text, amount.end)
    words = [word.lower() for word in after.groups() if word] if after else []
    if words and amount.kind == "percent" and words[0] in _NO_SHARE_AFTER_PERCENT:
        return "other"
    if words and words[0] in MEASURES and amount.kind == "percent":
        return "other"  # 60% accuracy
    if text[start - 1 : start] == "#" and amount.kind == "bare":
        return "other"  # a rank
    if amount.kind == "percent" and _OF_WHOLE.match(text, amount.end):
        return "other"
    if words and amount.kind == "bare" and (words[0] in _UNITS or words[:2] == ["of", "the"]):
        return "other"
    before = _NOUN_BEFORE.search(text, max(0, match.start() - 40), match.start())
    if before is not None and _is_no_noun(before, text):
        before = None
    noun = before[1].lower() if before else ""
    is_next = before is not None and not re.search(r"\s(?:is|at|was|about|from)\b", before[0])
    if noun[-1:] == "s" and noun[:-1] in COUNTERS and is_next and amount.kind == "bare":
        return "other"  # lines 1-2
    if noun in OTHER_NOUNS and (is_next or noun not in COUNTERS):
        return "other"
    if amount.kind == "bare" and amount.integer and _OUT_OF.search(text, max(0, start - 20), start):
        return "other"
    if amount.kind == "bare" and _LEGEND.match(text, amount.end):
        return "other"
    if amount.kind == "bare" and amount.integer and words and _PLURAL.fullmatch(words[0]):
        return "other"
    date = _DATE.search(text, max(0, start - 9), amount.end + 9)
    if date is not None and date.start() < amount.end and start < date.end():
        return "other"
    if _CLOCK.search(text, max(0, start - 3), min(len(text), amount.end + 2)):
        return "other"
    is_certain = bool(words) and words[0] in _CERTAIN and words[1:2] != ["that"]
    if _WEAK_PHRASE.search(text, max(0, match.start() - 60), match.start()):
        return "weak"
    if noun in WEAK_NOUNS or (is_certain and not _HEADS_NEXT.match(text, amount.end)):
        return "weak"
    return "share"


def _is_times(match: re.Match[str], amount: Amount) -> bool:
    return amount.integer and match["glued"].lower() == "x"  # 2x anger


def _is_no_noun(before: re.Match[str], text: str) -> bool:
    """Whether a word before a number is a unit (``220 Hz: 60%``) or ends the line before."""
    is_unit = before[1].lower() in _UNITS and text[: before.start()][-2:].strip()[-1:].isdigit()
    return is_unit or ("\n" in before[0] and not re.search(r"[:=]", before[0]))


def _is_whole_scale(match: re.Match[str], amount: Amount) -> bool:
    tops = (100.0,) if amount.kind == "percent" else (1.0, 100.0)
    return _value(match["low"]) == 0.0 and _value(match["high"]) in tops


_CERTAIN: Final = frozenset(("sure", "certain", "confident", "confidence", "certainty"))


def _is_minus(text: str, place: int) -> bool:
    """A stroke right before a number is a minus after a separator or at the start: not a dash."""
    before = text[max(0, place - 3) : place].rstrip(" \t\"'*`")
    return not before or before[-1] in ":=([{,|<>"


def _value(written: str) -> float:
    return float(written.rstrip(".").replace(",", ".") or "0")


def number_in(value: object) -> float | None:
    """A JSON value or a piece of text as a number: ``"35%"`` is 0.35, ``"7/10"`` 0.7, True 1.

    A range is its middle. None where there is no number, or several that differ.

    Example:
        >>> number_in("about 20-30%"), number_in("high")
        (0.25, None)
    """
    if isinstance(value, bool | int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    amount = only_amount(value, commas=has_decimal_commas(value))
    return None if amount is None else amount.value


def only_amount(text: str, *, commas: bool) -> Amount | None:
    """The one number that a field holds: ``0.25 (low)``, ``0.2 (20%)``; None if there is none.

    None as well for several numbers that differ.
    """
    stripped = text.strip(" \t\n\"'`*")
    if _NOT_FINITE.fullmatch(stripped):
        return Amount(0, len(text), math.nan if stripped.lower().endswith("nan") else math.inf)
    amounts = amounts_in(text, commas=commas)
    if not amounts or amounts[0].role == "other":
        return None
    shares = [amount for amount in amounts if amount.role != "other"]
    values = [amount.value for amount in shares]
    if all(math.isclose(value, values[0], rel_tol=1e-6) for value in values):
        return shares[0]
    return None


def merged(amounts: Sequence[Amount], text: str) -> Iterator[Amount]:
    """The numbers without those that say the same again: ``0.2 (20%)``, ``20% (0.2)``."""
    last: Amount | None = None
    for amount in amounts:
        if last is not None:
            gap = text[last.end : min(amount.start, last.end + 40)]
            if gap.strip() in ("(", "/", "=", "or", ",", "i.e.") and _says_same(last, amount):
                last = replace(last, end=amount.end)
                continue
            voters = _VOTERS_BEHIND.match(text, amount.end)
            if (
                gap.strip() in ("(", ",", "-", "=")
                and voters
                and _are_share_and_count(last, amount)
            ):
                last = replace(last, end=voters.end())
                continue
            if _VOTERS_BETWEEN.fullmatch(gap) and _are_share_and_count(amount, last):
                last = replace(amount, start=last.start)
                continue
            yield last
        last = amount
    if last is not None:
        yield last


def _are_share_and_count(share: Amount, count: Amount) -> bool:
    """Whether a count of voters only says where a share comes from: ``60% (12 listeners)``."""
    return share.kind == "percent" and count.kind == "bare" and count.integer


def _says_same(first: Amount, second: Amount) -> bool:
    return first.kind != second.kind and math.isclose(
        first.value, second.value, rel_tol=1e-3, abs_tol=1e-9
    )
