"""Labels beside numbers in running text, lines and attributes: ``anger: 35%``, ``35% anger``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount
from raypipe.parsing.mentions import Mention, is_list_gap
from raypipe.parsing.settling import Claim, Share, is_whole, settle
from raypipe.parsing.vocabulary import OTHER_NOUNS, SHARE_NOUNS, WEAK_NOUNS, word_set
from raypipe.parsing.words import meaning_of
from raypipe.records import Parsed

RULE: Final = "percent_list"
_MAX_GAP: Final = 80
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
_ENTRY_BEFORE = re.compile(
    r"(?:^|[\n,;|.(+&]|\band\b|[\d%]\s)[\s>*#\"'`-]*(?:\(?\d{1,2}[.)]\s*)?"
    r"([^\W\d_](?:[^\W\d]|[ /'()-]){0,40}?)[\"'`*_)]*\s*[:=|(-]?\s*[\"'`*(~<]*$"
)
_ENTRY_AFTER = re.compile(
    r"\s*(?:of|for|[-:)|])?\s*[\"'`*]*([^\W\d_][\w/'-]*(?:\s[^\W\d_][\w/'-]*)?)[\"'`*]*\s*"
    r"(?:$|[\n,;.|)]|\band\b)"
)
_ZERO = re.compile(r"[\"'`*]*\s*[:=|-]\s*[\"'`*]*(?:none|absent|not present|no|nil|n/a)\b", re.I)
_BOUND = re.compile(
    r"(?:[<>]=?|\b(?:(?:more|less|greater|fewer|higher|lower)\sthan|at\s(?:least|most)|over|under|"
    r"above|below|up\sto))\s?$",
    re.IGNORECASE,
)
_NOT_JOINING: Final = word_set("not no nor never without and or but than")
_MOST_UNUSUAL: Final = 6
_REST = re.compile(
    r"\b(?:the\s(?:rest|remainder|others?)|remaining)\b(?![^.;\n]*\d)", re.IGNORECASE
)
_WITHOUT_SHARE: Final = frozenset(("sum", "others", "rest", "remaining", "all", "each"))


_FLAG = re.compile(
    r"[\"'`*]*\s*[:=|-]\s*[\"'`*]*(?:(?P<yes>yes|true|present)|(?P<no>no|false|none|absent))\b(?!\s\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Pairing:
    """A reading of labels beside numbers.

    Attributes:
        parsed: what comes of it.
        claim: labels with numbers; the places of what was used.
    """

    parsed: Parsed
    claim: Claim


def read_pairs(
    text: str,
    mentions: Sequence[Mention],
    amounts: Sequence[Amount],
    labels: LabelSet,
    max_dropped_share: float,
) -> Pairing | None:
    """The labels that have numbers beside them; None if none has.

    Label first and number first are both tried, for the whole text: what leaves nothing over is
    the reading. Two readings that differ are none.
    """
    numbers = [amount for amount in amounts if amount.role != "other"]
    if not numbers or not any(mention.label is not None for mention in mentions):
        return None
    text_words = _compounds(mentions, text)
    readings = []
    for direction in (_label_first, _number_first, _mixed, _in_parallel):
        links = direction(text_words, numbers, text)
        if any(share.label is not None for share in links.shares):
            claim = _claim(
                links,
                text,
                mentions,
                text_words,
                numbers,
                labels,
                number_first=direction is _number_first,
            )
            readings.append(Pairing(settle(claim, labels, max_dropped_share), claim))
    if not readings:
        return None
    return _best(readings)


def read_flags(text: str, mentions: Sequence[Mention]) -> set[int | None] | None:
    """Labels that are said to be there in ``anger: yes, sadness: no``; None for anything else."""
    flags = [
        (mention.label, _FLAG.match(text, mention.end))
        for mention in mentions
        if mention.label is not None
    ]
    if not flags or any(flag is None for _, flag in flags):
        return None
    return {label for label, flag in flags if flag is not None and flag["yes"]} or None


def _best(readings: Sequence[Pairing]) -> Pairing:
    whole = [
        reading for reading in readings if not reading.claim.left_over and not reading.claim.unused
    ]
    usable = [reading for reading in whole or readings if reading.parsed.probs is not None]
    if not usable:
        return (whole or list(readings))[0]
    first = usable[0]
    assert first.parsed.probs is not None
    for other in usable[1:]:
        assert other.parsed.probs is not None
        if abs(first.parsed.probs - other.parsed.probs).max() > 1e-6:
            return Pairing(Parsed(None, RULE, "ambiguous"), first.claim)
    return first


# --- directions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Links:
    """Labels and numbers that stand beside each other.

    Attributes:
        sure: whether nothing but words of joining stands between any of them.
    """

    shares: list[Share]
    sure: bool = True


def _label_first(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> _Links:
    """``anger: 35%``, ``| anger | 0.35 |``, ``anger (35%)``, ``anger is around 35%``."""
    return _linked(words, numbers, _unusual_after, text, label_first=True)


def _number_first(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> _Links:
    """``35% anger``, ``a 35% chance that the speaker is angry``."""
    return _linked(words, numbers, _unusual_before, text, label_first=False)


def _mixed(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> _Links:
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
    return _Links(shares, bound.sure and rest.sure)


def _in_parallel(words: Sequence[Mention], numbers: Sequence[Amount], text: str) -> _Links:
    """``anger and sadness, 25% and 75%``: a list of labels before or behind one of numbers."""
    numbers = _split_halves(numbers, text)
    if len(words) < 2 or len(words) != len(numbers):
        return _Links([])
    if not (words[-1].end <= numbers[0].start or numbers[-1].end <= words[0].start):
        return _Links([])
    spans = sorted(
        (
            [(token.start, token.end) for token in words],
            [(token.start, token.end) for token in numbers],
        )
    )
    for own in spans:
        if not all(is_list_gap(text[a[1] : b[0]]) for a, b in itertools.pairwise(own)):
            return _Links([])
    unusual = _unusual_after(text[spans[0][-1][1] : spans[1][0][0]])
    shares = [
        Share(word.label, word.word, (word.start, word.end), number)
        for word, number in zip(words, numbers, strict=True)
    ]
    return _Links([] if unusual is None else shares, sure=not unusual)


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
) -> _Links:
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
        unusual = unusual_words(gap) if len(gap) <= _MAX_GAP else None
        if unusual is None or unusual > _MOST_UNUSUAL or word.manner == "denied":
            continue
        if label_first and _is_numbering(gap, amount, text):
            continue
        shares.append(Share(word.label, word.word, (word.start, word.end), amount))
        sure = sure and not unusual
    return _Links(shares, sure)


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
    if re.search(r"[,.!?;|]|\n\s*\n", gap):
        return None
    words = re.findall(r"[^\W\d_]+", gap.lower())
    return None if _NOT_JOINING & set(words) else sum(word not in _BEFORE_FILLER for word in words)


def _compounds(mentions: Sequence[Mention], text: str) -> list[Mention]:
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


# --- the claim ----------------------------------------------------------------------------------


def _claim(
    links: _Links,
    text: str,
    mentions: Sequence[Mention],
    words: Sequence[Mention],
    numbers: Sequence[Amount],
    labels: LabelSet,
    *,
    number_first: bool,
) -> Claim:
    shares = links.shares
    known = [share for share in shares if share.label is not None]
    zeros = [
        Share(word.label, word.word, (word.start, word.end), Amount(word.end, word.end, 0.0))
        for word in words
        if word.label is not None and _ZERO.match(text, word.end)
    ]
    taken = {share.amount.start for share in shares}
    unknown = [share for share in shares if share.label is None]
    spare = not links.sure or any(_is_bound(text, share.amount) for share in shares)
    spare = spare or _REST.search(text) is not None
    ends = {share.amount.end for share in shares}
    for number in numbers:
        if number.start in taken or number.end in ends or number.role == "weak":
            continue
        if not number.value:
            continue  # nothing can change by it
        entry = _unknown_entry(text, number, number_first)
        label = None if entry is None else meaning_of(entry[1], labels).label
        if entry is None:
            spare = True
        elif label is not None:  # a code such as "ang", which is no word of running text
            known.append(Share(label, entry[1], entry[0], number))
        elif entry[1] not in OTHER_NOUNS and entry[1] not in _WITHOUT_SHARE:
            unknown.append(Share(None, entry[1], entry[0], number))
    with_number = {share.label for share in [*known, *zeros]}
    unused = {
        mention.label
        for mention in mentions
        if mention.label is not None and mention.manner not in ("denied", "reason", "option")
    } - with_number
    every = sorted([*known, *zeros, *unknown], key=lambda share: share.place)
    claim = Claim(
        RULE,
        tuple(every),
        left_over=spare,
        unused=bool(unused),
        named=frozenset(label for label in with_number if label is not None),
    )
    return replace(claim, cut=_is_cut(text, claim, words))


def _is_bound(text: str, amount: Amount) -> bool:
    """Whether a number is only the least or the most that a share is."""
    return _BOUND.search(text, max(0, amount.start - 16), amount.start) is not None


def _unknown_entry(
    text: str, number: Amount, number_first: bool
) -> tuple[tuple[int, int], str] | None:
    """The word beside a number that stands where labels stand: an unknown label."""
    if number_first:
        after = _ENTRY_AFTER.match(text, number.end)
        match = after
    else:
        match = _ENTRY_BEFORE.search(text, max(0, number.start - _MAX_GAP), number.start)
    if match is None:
        return None
    word = match[1].strip().lower()
    words = re.findall(r"[^\W\d_]+", re.sub(r"\([^()]*\)", " ", word))
    if not words or len(words) > 3 or any(each in _STATING for each in words):
        return None
    last = words[-1]
    return match.span(1), last if last in OTHER_NOUNS else word


_STATING: Final = word_set("is are was i am of than not it the and or sure that with by at")


def _is_cut(text: str, claim: Claim, words: Sequence[Mention]) -> bool:
    """Whether the text ends in the middle of a list: a label without its number, half a word."""
    end = text.rstrip(" \t\n*\"'`")
    if not end or not claim.shares:
        return False
    if end[-1] in ",:=(|-" or re.search(r"\b(?:and|with|\d+\.)$", end):
        return True
    last = max(claim.shares, key=lambda share: max(share.place[1], share.amount.end))
    rest = end[max(last.place[1], last.amount.end) :]
    fragment = re.fullmatch(
        r"[\s*\"'`%]*[,;\n][\s*\"'`-]*(?:\d{1,2}[.)]\s)?[*\"'`]*[^\W\d_]{1,12}", rest
    )
    return fragment is not None and not is_whole(claim)
