"""Which label stands beside which number: label first, number first, or list beside list."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from raypipe.parsing.amounts import Amount
from raypipe.parsing.mentions import Mention, is_list_gap
from raypipe.parsing.settling import Share
from raypipe.parsing.vocabulary import SHARE_NOUNS, WEAK_NOUNS, word_set

MAX_GAP: Final = 80
"""Most characters between a label and its number."""

_LINE: Final = 120

_GIVEN = re.compile(r"\|\s?\w{1,20}\s?\)")
_ASIDE = re.compile(r"\([^()\d]*\)|\(with [^()]*\)")
_FILLER: Final = (
    frozenset(SHARE_NOUNS)
    | frozenset(WEAK_NOUNS)
    | word_set(
        "is are was were at around about approximately approx roughly with a an the as of to "
        "be being has have gets get given by rated estimated estimate emotion emotional "
        "emotions state label less more than up nearly almost circa ca probably only just "
        "possibly likely maybe dominant strong primary main secondary strongest weakest "
        "followed my own would assign say stands comes takes makes accounts for contributes "
        "receives carries in span td tr th overall expressed detected present equals equal "
        "attribute name item entry sure certain confident that it this speaker person he she "
        "they voice sounds sound seems feels feel sounding feeling there s on i am most least "
        "slightly sort kind remaining rest other accounting left goes go put both one out some "
        "mild slight moderate high low medium very quite clear clearly"
    )
)
_BEFORE_FILLER: Final = word_set(
    "of chance probability likelihood share percent weight the a an that speaker person he "
    "she they it is are was sounds sound seems feels feel voice in to for sure certain "
    "confident confidence being be emotion emotional state as with slightly somewhat pure "
    "probable likely odds which mostly on goes go expresses shows expressing feeling there s "
    "this i m would say choose hear listeners annotators raters people am most by assigned "
    "given expressed assign towards toward caller woman man"
)
_NOT_JOINING: Final = word_set(
    "not no nor never without and or but than rise rises rising fall falls falling increase "
    "increases increased decrease decreases decreased drop drops dropped grow grows errors error"
)
_MOST_UNUSUAL: Final = 6


@dataclass(frozen=True, slots=True)
class Links:
    """Labels and numbers that stand beside each other.

    Attributes:
        sure: whether nothing but words of joining stands between any of them.
    """

    shares: list[Share]
    sure: bool = True


def label_first(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> Links:
    """``anger: 35%``, ``| anger | 0.35 |``, ``anger (35%)``, ``anger is around 35%``."""
    return _linked(words, numbers, _unusual_after, text, label_first=True)


def number_first(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> Links:
    """``35% anger``, ``a 35% chance that the speaker is angry``."""
    return _linked(words, numbers, _unusual_before, text, label_first=False)


def mixed(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> Links:
    """Label first where a stroke binds them, number first for what is left."""

    def bound_after(gap: str) -> int | None:
        return _unusual_after(gap) if re.search(r"[:=|(]", gap) else None

    bound = _linked(words, numbers, bound_after, text, label_first=True)
    taken = {share.amount.start for share in bound.shares}
    named = {share.place for share in bound.shares}
    rest = _linked(
        [word for word in words if (word.start, word.end) not in named],
        [number for number in numbers if number.start not in taken],
        _unusual_before,
        text,
        label_first=False,
    )
    shares = sorted(bound.shares + rest.shares, key=lambda share: share.place)
    return Links(shares, bound.sure and rest.sure)


def in_parallel(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> Links:
    """``anger and sadness, 25% and 75%``: a list of labels before or behind one of numbers."""
    sure = [number for number in numbers if number.role == "share"]
    numbers = _split_halves(sure or numbers, text)
    if len(words) < 2 or len(words) != len(numbers):
        return Links([])
    if not (words[-1].end <= numbers[0].start or numbers[-1].end <= words[0].start):
        return Links([])
    spans = sorted(
        (
            [(token.start, token.end) for token in words],
            [(token.start, token.end) for token in numbers],
        )
    )
    for own in spans:
        if not all(is_list_gap(text[a[1] : b[0]]) for a, b in itertools.pairwise(own)):
            return Links([])
    gap = text[spans[0][-1][1] : spans[1][0][0]]
    unusual = _unusual_after(re.sub(r"^\s?[;.]|\n", " ", gap))
    shares = [
        Share(word.label, word.word, (word.start, word.end), number)
        for word, number in zip(words, numbers, strict=True)
    ]
    return Links([] if unusual is None else shares, sure=not unusual)


def _split_halves(numbers: Sequence[Amount], text: str) -> Sequence[Amount]:
    """``25/75`` as two numbers: a fraction whose ends add up to a whole."""
    if len(numbers) != 1 or numbers[0].kind != "fraction":
        return numbers
    [number] = numbers
    ends = re.fullmatch(r"\s*([\d.]+)\s?/\s?([\d.]+)\s*", text[number.start : number.end])
    if ends is None or float(ends[1]) + float(ends[2]) not in (1.0, 10.0, 100.0):
        return numbers
    middle = number.start + ends.end(1)
    return [
        Amount(number.start, middle, float(ends[1])),
        Amount(middle + 1, number.end, float(ends[2])),
    ]


def _linked(
    words: Sequence[Mention],
    numbers: Sequence[Amount],
    unusual_words: Callable[[str], int | None],
    text: str,
    *,
    label_first: bool,
) -> Links:
    """Pairs of neighbours with a gap that joins them; every word and number at most once."""
    tokens: list[Mention | Amount] = sorted([*words, *numbers], key=lambda token: token.start)
    shares: list[Share] = []
    sure = True
    for first, second in itertools.pairwise(tokens):
        if label_first and isinstance(first, Mention) and isinstance(second, Amount):
            word, amount = first, second
        elif not label_first and isinstance(first, Amount) and isinstance(second, Mention):
            word, amount = second, first
        else:
            continue
        gap = text[first.end : second.start]
        unusual = unusual_words(gap) if len(gap) <= MAX_GAP else None
        if not label_first and "\n" in gap and not _opens_line(text, amount):
            continue  # it ends an entry of its own line
        if unusual is None or unusual > _MOST_UNUSUAL:
            continue
        if label_first and _is_numbering(gap, amount, text):
            continue
        shares.append(Share(word.label, word.word, (word.start, word.end), amount))
        # "barely angry (10%)" counts if all adds up, "not anger: 90%" never.
        is_stated = word.manner not in ("unclear", "denied") or not amount.value
        sure = sure and not unusual and is_stated
    return Links(shares, sure)


def _opens_line(text: str, amount: Amount) -> bool:
    """Whether no word stands before a number on its line."""
    line = text.rfind("\n", max(0, amount.start - _LINE), amount.start) + 1
    start = line or max(0, amount.start - _LINE)
    return re.search(r"[^\W\d_]", text[start : amount.start]) is None


def _is_numbering(gap: str, amount: Amount, text: str) -> bool:
    """``Anger 1: the pitch rises``: a whole number before a colon counts, it is no share."""
    is_plain = amount.kind == "bare" and amount.integer and not re.search(r"[:=(|]", gap)
    return is_plain and re.match(r"\s?[:.]\s", text[amount.end : amount.end + 3]) is not None


def _unusual_after(gap: str) -> int | None:
    """How many unusual words part a label from its number; None if they are not one entry."""
    bare = re.sub(r"\.{2,}|_{2,}", " ", _ASIDE.sub(" ", _GIVEN.sub(" ", gap)))
    if re.search(r"[.!?;](?:\s|$)|\n\s*\n|[\n].*\n", bare.strip(" ")) and bare != ";":
        return None
    if bare.count(",") > 1:
        return None
    bare = re.sub(r"</?\w*|/?>|\b(?:less|more|fewer)\sthan\b", " ", bare.lower())
    words = re.findall(r"[^\W\d_]+", bare)
    return None if _NOT_JOINING & set(words) else sum(word not in _FILLER for word in words)


def _unusual_before(gap: str) -> int | None:
    """How many unusual words part a number from its label; None if they are not one entry."""
    if re.search(r"[,.!?;|#]|\n\s*\n", gap):
        return None
    words = re.findall(r"[^\W\d_]+", gap.lower())
    return None if _NOT_JOINING & set(words) else sum(word not in _BEFORE_FILLER for word in words)


def compounds(mentions: Sequence[Mention], text: str) -> list[Mention]:
    """``Happy/Excited``, ``Anger (angry)`` as one word of one label."""
    joined: list[Mention] = []
    for mention in mentions:
        last = joined[-1] if joined else None
        if last is not None:
            gap = text[last.end : mention.start].strip().lower()
            same = last.label == mention.label or (mention.label is None) != (last.label is None)
            if gap in ("/", "or", "(", "&", "|") and same and last.manner != "denied":
                label = last.label if last.label is not None else mention.label
                joined[-1] = replace(last, end=mention.end, label=label)
                continue
        joined.append(mention)
    return joined
