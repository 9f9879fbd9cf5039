"""Labels beside numbers in running text, lines and attributes: ``anger: 35%``, ``35% anger``."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount
from raypipe.parsing.linking import (
    MAX_GAP,
    Links,
    compounds,
    in_parallel,
    label_first,
    mixed,
    number_first,
)
from raypipe.parsing.mentions import Mention, is_list_gap
from raypipe.parsing.settling import Claim, Share, is_whole, settle
from raypipe.parsing.vocabulary import MEASURES, OTHER_NOUNS, SHARE_NOUNS, word_set
from raypipe.parsing.words import meaning_of
from raypipe.records import Parsed

RULE: Final = "percent_list"
_ENTRY_BEFORE = re.compile(
    r"(?:^|[\n,;|.(+&]|\band\b|[\d%]\s)[\s>*#\"'`-]*(?:\(?\d{1,2}[.)]\s*)?"
    r"([^\W\d_](?:[^\W\d]|[ /'()-]){0,40}?)[\"'`*_)]*\s*[:=|(-]?\s*[\"'`*(~<]*$"
)
_ENTRY_AFTER = re.compile(
    r"\s*+(?:of|for|[-:)|])?\s*[\"'`*]*([^\W\d_][\w/'-]*(?:\s[^\W\d_][\w/'-]*)?)[\"'`*]*\s*"
    r"(?:$|[\n,;.|)]|\band\b)"
)
_ZERO = re.compile(r"[\"'`*]*\s*[:=|-]\s*[\"'`*]*(?:none|absent|not present|no|nil|n/a)\b", re.I)
_BOUND = re.compile(
    r"(?:[<>]=?|\b(?:(?:more|less|greater|fewer|higher|lower)\sthan|at\s(?:least|most)|over|under|"
    r"above|below|up\sto))\s?$",
    re.IGNORECASE,
)
_TAG_END = re.compile(r"<[^<>\n]+>$")
_REST = re.compile(
    r"\b(?:the\s(?:rest|remainder|others?)|remaining)\b(?![^.;\n]*\d)", re.IGNORECASE
)
_MEASURE_OF = re.compile(r"([^\W\d]\w*)\s(?:for|of|in|on)\s(?:the\s)?[\"'`*]*$")
_PLAIN_DENIAL = re.compile(r"(?:\b(?:not|non)|n't)[\s-][\"'`*]*$", re.IGNORECASE)
_WITHOUT_SHARE: Final = frozenset(
    ("others", "rest", "remaining", "remainder", "all", "each", "else", "everything")
)


_TICKS: Final = "\u2713\u2714\u2611\u2705"
_CROSSES: Final = "\u2717\u2718\u2715\u2716\u274c\u2610"
_MARK = re.compile(f"[{_TICKS}{_CROSSES}]")
_FLAG_BEFORE = re.compile(rf"(?:(?P<tick>[{_TICKS}])|[{_CROSSES}])[\s\"'`*]*$")
_FLAG = re.compile(
    r"[\"'`*]*+\s*+(?:(?:[:=|?(-]\s*[\"'`*]*|(?=true|false))"
    r"(?:(?P<word>yes|true|present)|no|false|none|absent)\b"
    rf"|[:=|-]?\s*(?:(?P<tick>[{_TICKS}])|[{_CROSSES}]))",
    re.IGNORECASE,
)


_ENTRY_END = re.compile(r"[\s\"'`*)\]]*(?:[:=-][\s?]*)?(?:$|[\n,;.!]|and\b)", re.IGNORECASE)


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
    text_words = compounds(mentions, text)
    readings = []
    for direction in (label_first, number_first, mixed, in_parallel):
        links = direction(text_words, numbers, text)
        if any(share.label is not None for share in links.shares):
            claim = _claim(
                links,
                text,
                mentions,
                text_words,
                numbers,
                labels,
                is_number_first=direction is number_first,
            )
            readings.append(Pairing(settle(claim, labels, max_dropped_share), claim))
    if not readings:
        return None
    return _best(readings)


def read_flags(text: str, mentions: Sequence[Mention]) -> set[int | None] | None:
    """Labels that are said to be there in ``anger: yes, sadness: no``; None for anything else.

    Check boxes and ticks stand for yes and no, before all labels or behind all of them. Empty if
    no label is there, or a cross stands beside some labels and not all have a mark.
    """
    known = [mention for mention in mentions if mention.label is not None]
    known = [mention for mention in known if mention.manner != "reason"]
    if not known:
        return None
    first = _MARK.search(text)
    if first is not None and first.start() < known[0].start:
        flags = [_FLAG_BEFORE.search(text, max(0, item.start - 12), item.start) for item in known]
    else:
        starts = {mention.start for mention in mentions}
        flags = [_flag_behind(text, item, starts) for item in known]
    if any(flag is None for flag in flags):
        # A label without a mark beside one that is crossed out: nobody can say what it is.
        crossed = re.compile(rf"[{_CROSSES}]|false$", re.IGNORECASE)
        return set() if any(flag and crossed.search(flag[0]) for flag in flags) else None
    named = zip(known, flags, strict=True)
    return {item.label for item, flag in named if flag is not None and _is_yes(flag)}


def _flag_behind(text: str, mention: Mention, starts: set[int]) -> re.Match[str] | None:
    """The mark behind a label; "anger: no pauses" has none."""
    flag = _FLAG.match(text, mention.end)
    if flag is None or flag[0][-1] in _TICKS + _CROSSES:
        return flag
    following = re.match(r"[ \t]+(?=\w)", text[flag.end() : flag.end() + 20])
    is_more = following is not None and flag.end() + following.end() not in starts
    return None if is_more else flag


def _is_yes(flag: re.Match[str]) -> bool:
    groups = flag.groupdict()
    return bool(groups["tick"] or groups.get("word"))


def _best(readings: Sequence[Pairing]) -> Pairing:
    whole = [
        reading for reading in readings if not reading.claim.left_over and not reading.claim.unused
    ]
    usable = [reading for reading in whole or readings if reading.parsed.probs is not None]
    if not usable:
        return (whole or list(readings))[0]
    first = usable[0]
    if any(_has_more(reading.claim, first.claim) for reading in readings):
        return Pairing(Parsed(None, RULE, "ambiguous"), first.claim)
    assert first.parsed.probs is not None
    for other in usable[1:]:
        assert other.parsed.probs is not None
        if abs(first.parsed.probs - other.parsed.probs).max() > 1e-6:
            return Pairing(Parsed(None, RULE, "ambiguous"), first.claim)
    return first


def _has_more(claim: Claim, other: Claim) -> bool:
    """Whether a reading says all that another does, and gives one more label its number."""
    own, less = ({share.label: share.amount for share in each.shares} for each in (claim, other))
    return own.keys() > less.keys() and all(less[label] == own[label] for label in less)


def _claim(
    links: Links,
    text: str,
    mentions: Sequence[Mention],
    words: Sequence[Mention],
    numbers: Sequence[Amount],
    labels: LabelSet,
    *,
    is_number_first: bool,
) -> Claim:
    # A confidence is a share only where every label has its own.
    roles = {share.amount.role for share in links.shares}
    shares = [share for share in links.shares if roles == {"weak"} or share.amount.role != "weak"]
    known = [share for share in shares if share.label is not None]
    zeros = [
        Share(word.label, word.word, (word.start, word.end), Amount(word.end, word.end, 0.0))
        for word in words
        if word.label is not None and _ZERO.match(text, word.end)
    ]
    zeros += _joined_zeros(words, known, text)
    taken = {share.amount.start for share in shares}
    unknown = [share for share in shares if share.label is None]
    spare = not links.sure or any(is_bound(text, share.amount) for share in shares)
    spare = spare or _REST.search(text) is not None
    ends = {share.amount.end for share in shares}
    for number in numbers:
        if number.start in taken or number.end in ends or number.role == "weak":
            continue
        if not number.value or _is_sum(number, known):
            continue  # nothing can change by it
        entry = _unknown_entry(text, number, is_number_first)
        meaning = None if entry is None else meaning_of(entry[1], labels)
        label = None if meaning is None else meaning.label
        if entry is None or meaning is None or meaning.kind == "unclear":
            spare = True
        elif entry[1] in SHARE_NOUNS:
            spare = True  # of the answer, or of a label that is not named
        elif _WITHOUT_SHARE & set(entry[1].split()) and entry[1] != "others":
            spare = True  # "all others: 5%" is shared by labels that are not named
        elif label is not None:  # a code such as "ang", which is no word of running text
            known.append(Share(label, entry[1], entry[0], number))
        elif entry[1] not in OTHER_NOUNS:
            unknown.append(Share(None, entry[1], entry[0], number))
    with_number = {share.label for share in [*known, *zeros]}
    unlinked = {mention.label for mention in mentions if mention.label is not None} - with_number
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
        unused=bool(unused) or not links.sure,
        unfinished=_has_entry_without_number(every, mentions, unused, text)
        or _has_shared_number(every, mentions, unlinked, text)
        or any(_is_of_something_else(text, share) for share in every)
        or _count_up(known, text),
        named=frozenset(label for label in with_number if label is not None),
    )
    return replace(claim, cut=_is_cut(text, claim, words))


def _is_sum(number: Amount, shares: Sequence[Share]) -> bool:
    """Whether a count is that of all labels together: ``20 listeners: 12 anger, 8 fear``."""
    counts = [share.amount for share in shares]
    is_count = number.kind == "bare" and number.integer and len(counts) > 1
    return (
        is_count
        and all(count.kind == "bare" and count.integer for count in counts)
        and sum(count.value for count in counts) == number.value
    )


def _count_up(shares: Sequence[Share], text: str) -> bool:
    """Whether numbers only count the labels: ``fear 1, anger 2, sadness 3``."""
    values = [share.amount.value for share in shares if share.amount.kind == "bare"]
    counts = [float(place) for place in range(1, len(shares) + 1)]
    return len(values) > 2 and values == counts and "vote" not in text.lower()


def _joined_zeros(words: Sequence[Mention], shares: Sequence[Share], text: str) -> Iterator[Share]:
    """The labels of ``fear, anger and disgust: 0%`` that stand before the last one."""
    none = {share.place for share in shares if not share.amount.value}
    with_number = {share.label for share in shares}
    is_none = False
    for word, behind in reversed(list(itertools.pairwise(words))):
        gap = text[word.end : behind.start]
        is_last = (behind.start, behind.end) in none
        is_none = (is_none or is_last) and "\n" not in gap and is_list_gap(gap, alternatives=True)
        if is_none and word.label is not None and word.label not in with_number:
            place = (word.start, word.end)
            yield Share(word.label, word.word, place, Amount(word.end, word.end, 0.0))


def _has_entry_without_number(
    shares: Sequence[Share], mentions: Sequence[Mention], unused: set[int], text: str
) -> bool:
    """Whether the list of labels with numbers has an entry without one: ``…, and neutral``."""
    ends = sorted(max(share.place[1], share.amount.end) for share in shares)
    places = [share.place[0] for share in shares]
    for mention in mentions:
        if mention.label not in unused or mention.manner in ("denied", "reason", "option"):
            continue
        if mention.manner != "unclear" and _is_a_line(mention, text):
            return True
        at = bisect_right(ends, mention.start)
        if not at or not _ENTRY_END.match(text, mention.end):
            continue
        following = bisect_right(places, mention.start)
        if following < len(shares) and not shares[following].amount.value:
            continue  # "fear, disgust and happiness: 0%"
        gap = text[ends[at - 1] : mention.start]
        if "(" not in gap and is_list_gap(gap):
            return True
    return False


def _has_shared_number(
    shares: Sequence[Share], mentions: Sequence[Mention], unused: set[int], text: str
) -> bool:
    """Whether one number stands beside several labels: ``anger or disgust: 60%``."""
    positive = [share for share in shares if share.amount.value and share.label is not None]
    behind_number = {share.place[1] for share in positive if share.amount.start < share.place[0]}
    before_number = {share.place[0] for share in positive if share.amount.start > share.place[0]}
    for first, second in itertools.pairwise(mentions):
        gap = text[first.end : second.start]
        if "\n" in gap or not is_list_gap(gap, alternatives=True):
            continue
        if first.end in behind_number and _is_spare(second, unused):
            return True
        if second.start in before_number and _is_spare(first, unused):
            return True
    return False


def _is_spare(mention: Mention, unused: set[int]) -> bool:
    return mention.label in unused and mention.manner not in ("denied", "reason")


def _is_of_something_else(text: str, share: Share) -> bool:
    """Whether a number is that of a measure of the label, or of what is not the label."""
    if not share.amount.value:
        return False
    before = text[max(0, share.place[0] - 40) : share.place[0]]
    measure = _MEASURE_OF.search(before)
    if measure is not None and measure[1].lower() in MEASURES:
        return True
    return _PLAIN_DENIAL.search(before) is not None


def _is_a_line(mention: Mention, text: str) -> bool:
    """Whether a line has nothing but a label."""
    before = text[max(0, mention.start - 12) : mention.start]
    return (
        re.search(r"(?:^|\n)[\s>*#\"'`-]*$", before) is not None
        and re.match(r"[ \t\"'`*.]*(?:\n|$)", text[mention.end : mention.end + 12]) is not None
    )


def is_bound(text: str, amount: Amount) -> bool:
    """Whether a number is only the least or the most that a share is."""
    bound = _BOUND.search(text, max(0, amount.start - 16), amount.start)
    return bound is not None and not _TAG_END.search(text, max(0, amount.start - 60), amount.start)


def _unknown_entry(
    text: str, number: Amount, is_number_first: bool
) -> tuple[tuple[int, int], str] | None:
    """The word beside a number that stands where labels stand: an unknown label."""
    if is_number_first:
        after = _ENTRY_AFTER.match(text, number.end)
        match = after
    else:
        match = _ENTRY_BEFORE.search(text, max(0, number.start - MAX_GAP), number.start)
    if match is None or _ends_a_line(text, match, number):
        return None
    word = match[1].strip().lower()
    words = re.findall(r"[^\W\d_]+", re.sub(r"\([^()]*\)", " ", word))
    if not words or len(words) > 3 or any(each in _STATING for each in words):
        return None
    last = words[-1]
    return match.span(1), last if last in OTHER_NOUNS else word


def _ends_a_line(text: str, entry: re.Match[str], number: Amount) -> bool:
    """Whether a word ends a line of its own that the number below is no part of."""
    if "\n" not in text[entry.end(1) : number.start]:
        return False
    line = text.rfind("\n", max(0, entry.start(1) - MAX_GAP), entry.start(1)) + 1
    return re.search(r"\w", text[line : entry.start(1)]) is not None


_STATING: Final = word_set("is are was i am of than not it the and or sure that with by at")


def _is_cut(text: str, claim: Claim, words: Sequence[Mention]) -> bool:
    """Whether the text ends in the middle of a list: a label without its number, half a word."""
    end = text.rstrip(" \t\n*\"'`")
    if not end or not claim.shares:
        return False
    if re.search(r"(?<![\d.,])0[.,]?$", end):
        return not is_whole(claim)
    if end[-1] in ",:=(|-" or re.search(r"\b(?:and|with)$|(?:^|[\n,;])\s?\d{1,2}\.$", end):
        return True
    last = max(claim.shares, key=lambda share: max(share.place[1], share.amount.end))
    rest = end[max(last.place[1], last.amount.end) :]
    fragment = re.fullmatch(
        r"[\s*\"'`%]{0,40}[,;\n][\s*\"'`-]*(?:\d{1,2}[.)]\s)?[*\"'`]*[^\W\d_]{1,12}", rest
    )
    return fragment is not None and not is_whole(claim)
