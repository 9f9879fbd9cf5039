"""From labels with numbers to a distribution, or to the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount
from raypipe.records import Parsed

MAX_DROPPED_SHARE: Final = 0.5
"""Largest share of unknown labels that may be dropped from an answer."""

UNKNOWN_LABELS: Final = "unknown_labels"
"""Reason of an answer of which more than that was dropped."""

_ROUNDING: Final = 1e-9  # tenths do not add up exactly
_WHOLE: Final = 0.02
_MIXED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Share:
    """A label or an unknown word beside its number.

    Attributes:
        label: index of the label; None for an unknown word.
        word: as written, in lower case.
        place: of the word in the text.
    """

    label: int | None
    word: str
    place: tuple[int, int]
    amount: Amount


@dataclass(frozen=True, slots=True)
class Claim:
    """All labels with numbers that one reading found in an answer, and what it could not place.

    Attributes:
        rule: that found them.
        shares: in the order of the text.
        left_over: whether a number is left that could change the result.
        unused: whether a label is stated beside them that has no number.
        repeats: what the same word again means: in an object its later value counts, in text two
            values are two readings.
        cut: whether the text ends in the middle of it.
        unfinished: whether an entry of the list itself is a label without a number.
        named: labels that the reading names, with a number or as zero.
    """

    rule: str
    shares: tuple[Share, ...]
    left_over: bool = False
    unused: bool = False
    repeats: bool = False
    cut: bool = False
    unfinished: bool = False
    named: frozenset[int] = frozenset()


def settle(claim: Claim, labels: LabelSet, max_dropped_share: float = MAX_DROPPED_SHARE) -> Parsed:
    """The distribution that a claim states; invalid with its reason where it is none."""
    rule = claim.rule
    values = [share.amount.value for share in claim.shares if share.label is not None]
    if not values:
        return Parsed(None, rule, "no_answer")
    if not all(math.isfinite(value) for value in values):
        return Parsed(None, rule, "not_finite")
    if any(value < 0.0 for value in values):
        return Parsed(None, rule, "negative")
    if not claim.repeats and _contradicts_itself(claim.shares):
        return Parsed(None, rule, "ambiguous")
    shares = _one_scale(_without_other_measures(_without_repeats(claim)))
    if shares is None:
        return Parsed(None, rule, "truncated" if claim.cut else "ambiguous")
    shares = _added_or_said_again(shares, in_text=not claim.repeats)
    if shares is None:
        return Parsed(None, rule, "ambiguous")
    known = sum(share.amount.value for share in shares if share.label is not None)
    is_whole = _is_whole(known)
    if not is_whole and _mixes_scales(values):
        return Parsed(None, rule, "ambiguous")
    if claim.cut and not is_whole:
        return Parsed(None, rule, "truncated")
    if known <= 0.0 and not claim.left_over and not claim.unused:
        return Parsed(None, rule, "all_zero")
    positive = {share.label for share in shares if share.label is not None and share.amount.value}
    if claim.unfinished or _several_are_all_of_it(shares, in_text=rule == "percent_list"):
        return Parsed(None, rule, "ambiguous")
    if claim.left_over and not is_whole:
        return Parsed(None, rule, "ambiguous")
    if claim.unused and not (is_whole and len(positive) > 1):
        return Parsed(None, rule, "ambiguous")
    if not claim.repeats and not is_whole and _goes_on_after_a_whole(shares):
        return Parsed(None, rule, "ambiguous")
    unknown = sum(_unknown(shares, known))
    dropped = unknown / (unknown + known) if unknown > 0.0 else 0.0
    if dropped > max_dropped_share + _ROUNDING:
        return Parsed(None, rule, UNKNOWN_LABELS, dropped)
    if len(positive) == 1 and dropped == 0.0 and _says_less_than_half(shares):
        return Parsed(None, rule, "ambiguous")  # most of it is elsewhere, and nobody says where
    probs = [0.0] * len(labels)
    for share in shares:
        if share.label is not None:
            probs[share.label] += share.amount.value
    return distribution(probs, rule, dropped)


def distribution(shares: Sequence[float], rule: str, dropped_share: float = 0.0) -> Parsed:
    """Numbers by label as a distribution, or the reason why they are none."""
    if not all(map(math.isfinite, shares)):
        return Parsed(None, rule, "not_finite")
    if min(shares) < 0.0:
        return Parsed(None, rule, "negative")
    largest = max(shares)
    if largest <= 0.0:
        return Parsed(None, rule, "all_zero")
    # First, so that the sum of huge numbers cannot overflow.
    values = np.asarray(shares, dtype=np.float64) / largest
    return Parsed(values / values.sum(), rule, None, dropped_share)


def is_whole(claim: Claim) -> bool:
    """Whether the numbers of a claim add up to one or to a hundred percent."""
    shares = _one_scale(_without_repeats(claim))
    if not shares:
        return False
    return _is_whole(sum(share.amount.value for share in shares if share.label is not None))


def _is_whole(total: float) -> bool:
    return any(abs(total / whole - 1.0) <= _WHOLE for whole in (1.0, 100.0))


def same_value(first: Amount, second: Amount) -> bool:
    """Whether two numbers say the same share: 60 %, 60 and 0.6 do."""
    values = (second.value, second.value * 100.0, second.value / 100.0)
    allowed = values[:1] if first.kind == second.kind else values
    return any(math.isclose(first.value, value, rel_tol=1e-6, abs_tol=1e-9) for value in allowed)


def _contradicts_itself(shares: Sequence[Share]) -> bool:
    first: dict[tuple[int | None, str], Amount] = {}
    return any(
        not same_value(first.setdefault((share.label, share.word), share.amount), share.amount)
        for share in shares
    )


def _without_repeats(claim: Claim) -> list[Share]:
    """Of the same word again the later one, at the place of the first."""
    latest: dict[tuple[int | None, str], Share] = {}
    for share in claim.shares:
        latest[share.label, share.word] = share
    return list(latest.values())


def _without_other_measures(shares: list[Share]) -> list[Share]:
    """Without bare numbers of unknown words, if percent or fractions of the labels are whole."""
    known = [share.amount for share in shares if share.label is not None]
    is_marked = all(amount.kind != "bare" for amount in known if amount.value)
    if not is_marked or not _is_whole(sum(amount.value for amount in known)):
        return shares
    return [share for share in shares if share.label is not None or share.amount.kind != "bare"]


def _one_scale(shares: list[Share]) -> list[Share] | None:
    """All numbers on one scale; None where percent stand beside numbers of another."""
    if not shares:
        return shares
    marked = [share for share in shares if share.amount.kind != "bare"]
    bare = [share for share in shares if share.amount.kind == "bare" and share.amount.value]
    if not marked or not bare or not any(share.amount.value for share in marked):
        return shares
    if any(share.amount.value > 1.0 for share in bare):
        # "35%" beside a bare 65 means percent in both; beside a bare 0.65 it does not.
        if any(share.amount.kind == "fraction" for share in marked):
            return None
        shares = [
            replace(share, amount=replace(share.amount, value=share.amount.value / 100.0))
            if share.amount.kind == "bare"
            else share
            for share in shares
        ]
    total = sum(share.amount.value for share in shares)
    return shares if abs(total - 1.0) <= _MIXED else None


def _added_or_said_again(shares: list[Share], *, in_text: bool) -> list[Share] | None:
    """Two words of one label are two shares, unless the second only says the first again."""
    by_label: dict[int, list[Share]] = {}
    for share in shares:
        if share.label is not None:
            by_label.setdefault(share.label, []).append(share)
    if not in_text or all(len(same) == 1 for same in by_label.values()):
        return shares
    total = sum(share.amount.value for same in by_label.values() for share in same)
    if _is_whole(total):
        return shares
    once = [same[0] for same in by_label.values()]
    equal = all(
        math.isclose(share.amount.value, same[0].amount.value, rel_tol=1e-6)
        for same in by_label.values()
        for share in same
    )
    unknown = [share for share in shares if share.label is None]
    return once + unknown if equal else None


def _mixes_scales(values: Sequence[float]) -> bool:
    """Whether numbers add up to one if those above one are percent: ``30`` beside ``0.7``."""
    return max(values) > 1.0 and _is_whole(
        sum(value / 100.0 if value > 1.0 else value for value in values)
    )


def _several_are_all_of_it(shares: Sequence[Share], *, in_text: bool) -> bool:
    """Whether two labels have 100 % each, in text 1.0 each: that is said of two things."""
    full = {
        share.label
        for share in shares
        if share.label is not None and _is_all(share.amount, in_text=in_text)
    }
    return len(full) > 1


def _is_all(amount: Amount, *, in_text: bool) -> bool:
    if not math.isclose(amount.value, 1.0):
        return False
    return amount.kind == "percent" or (in_text and amount.kind == "bare" and not amount.integer)


def _unknown(shares: Sequence[Share], known: float) -> list[float]:
    """Shares of unknown words; one above the scale of the labels measures something else."""
    values = [share.amount.value for share in shares if share.label is None]
    values = [value for value in values if math.isfinite(value) and value > 0.0]
    if not _is_whole(known):
        return values
    scale = 1.0 if known < 2.0 else 100.0
    return [value for value in values if value <= scale]


def _goes_on_after_a_whole(shares: Sequence[Share]) -> bool:
    """Whether several labels add up to one, and then another follows: two readings."""
    total, positive = 0.0, 0
    for share in shares:
        if share.label is None or not share.amount.value:
            continue
        if positive >= 2 and _is_whole(total):
            return True
        total, positive = total + share.amount.value, positive + 1
    return False


def _says_less_than_half(shares: Sequence[Share]) -> bool:
    known = [share for share in shares if share.label is not None and share.amount.value]
    total = sum(share.amount.value for share in known if share.amount.role == "share")
    if any(share.amount.role == "weak" for share in known):
        return False  # how sure somebody is, not how much of it
    zeros = any(share.label is not None and not share.amount.value for share in shares)
    return total < 0.5 and not zeros
