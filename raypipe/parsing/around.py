"""A claim of brackets or a table beside the text around it, which must not say otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from raypipe.parsing.amounts import Amount
from raypipe.parsing.context import AnswerContext
from raypipe.parsing.mentions import mentions_in
from raypipe.parsing.naming import read_names
from raypipe.parsing.refusals import is_refusal_to_listen
from raypipe.parsing.settling import Claim, is_whole, same_value, settle
from raypipe.parsing.statements import Statement
from raypipe.records import Parsed

REVISION: Final = re.compile(
    r"(?:(?:^|[.!?;\n])\s{0,40}+|\s-\s)(?:(?:actually|wait|hmm|hold\son|no)\b[,.!]|on\s(?:second|further|closer)\s"
    r"\w+|on\sreflection\b|(?:correction|revised|revision|updated?|scratch\sthat)\b|reconsidering\b|upon\s\w+|let\sme\s(?:revise|correct"
    r"|reconsider)|after\s(?:listening\sagain|re\w+|further|reconsider\w*)|i\s(?:take\sthat\sback|"
    r"was\swrong|correct\smyself|change\smy\smind))",
    re.IGNORECASE,
)
"""Words with which somebody takes back what was said before."""

ALTERNATIVE: Final = re.compile(
    r"(?:^|[.!?;,(\n])\W{0,9}(?:or|alternatively|alternative|another\s(?:option|possibility|reading))\b"
    r"|\b(?:(?:could|might|may|can)\s(?:also|as\swell)|versus|vs|(?:as\s)?compared\s(?:to|with))\b",
    re.IGNORECASE,
)
"""Words with which somebody offers a second reading beside the first."""

_DENIED_LEAD: Final = re.compile(
    r"(?:\b(?:not|never|nor|rather\sthan|instead\sof|unlike)|n't)(?:\s(?:be|say|like))?[\s:\"'`*(]*$",
    re.IGNORECASE,
)
_DENIED_TAIL: Final = re.compile(
    r"[\s)\"'`*.]*(?:(?:is|was|are|were|would\sbe|seems?)\s(?:\w+\s)?(?:wrong|incorrect|mistaken|"
    r"false|implausible|not\s(?:right|correct|my))\b|-\s?no\b|\(?(?:wrong|incorrect)\b)",
    re.IGNORECASE,
)
_ASIDE_LEAD: Final = re.compile(
    r"\b(?:first\s(?:guess|impression|answer|estimate)|initial(?:ly)?|earlier|previous(?:ly)?|"
    r"original(?:ly)?|baseline|prior|less\slikely|unlikely|comparison|reference|example|template)\b",
    re.IGNORECASE,
)
_CONDITION: Final = re.compile(r"\W*(?:if|ignoring|without|assuming|supposing)\b", re.IGNORECASE)
_WORDS_ALONE: Final = re.compile(r"\b(?:words|text|transcript)\b", re.IGNORECASE)
_VOICE_ALONE: Final = re.compile(r"\b(?:voice|tone|prosody|audio)\b", re.IGNORECASE)
_EXAMPLE: Final = re.compile(
    r"\b(?:an?|for)\s(?:[\w-]+\s)?(?:example|template)\b|^\W*(?:example|template)\b"
    r"|^\W*(?:the\s)?(?:(?:expected|output|answer|required)\s)?format(?:\sis)?\W*$",
    re.IGNORECASE,
)
_MADE_UP: Final = re.compile(
    r"\b(?:invented|made[\s-]up|placeholders?|hypothetical|fictional|fictitious|dummy|illustrative)\b",
    re.IGNORECASE,
)


def without_denied(statements: Sequence[Statement], prose: str) -> list[Statement] | None:
    """The objects that the text around them does not deny or call an earlier or other reading.

    None if it cannot be told which of them counts.
    """
    kept: list[Statement] = []
    ends = [0, *(item.end for item in statements)]
    starts = [*(item.start for item in statements[1:]), len(prose)]
    for place, item in enumerate(statements):
        before, tail = prose[ends[place] : item.start], prose[item.end : starts[place]]
        lead = _last_sentence(before)
        is_aside = place > 0 and _ASIDE_LEAD.search(lead)
        if place > 0 and ALTERNATIVE.search(before) and not REVISION.search(before):
            return None
        is_denied = _DENIED_LEAD.search(before[-40:]) or _DENIED_TAIL.match(tail[:60])
        if is_denied or is_aside or _EXAMPLE.search(lead):
            continue
        sources = _WORDS_ALONE.search(before) and _VOICE_ALONE.search(before)
        is_other = (sources and not REVISION.search(before)) or _CONDITION.match(lead)
        if place > 0 and is_other:
            return None
        kept.append(item)
    return kept or None


def _last_sentence(text: str) -> str:
    """What stands right before an object: the last sentence or line, of at most 200 characters."""
    return re.split(r"[.!?]\s|\n", text.rstrip()[-200:])[-1]


def settled(answer: AnswerContext, claim: Claim, prose: str, end: int) -> Parsed:
    """A claim of brackets, unless the text around it says otherwise."""
    answer.note_shares(claim)
    parsed = settle(claim, answer.labels, answer.max_dropped_share)
    if parsed.probs is None:
        return parsed
    before = answer.pairs_in(prose[:end])
    after = answer.pairs_in(prose[end:])
    own = {share.label: share.amount for share in claim.shares}
    if after is not None and not is_whole(after.claim) and not _agrees(after.claim, own):
        return Parsed(None, claim.rule, "ambiguous")
    if after is not None and is_whole(after.claim) and not _agrees(after.claim, own):
        return Parsed(None, claim.rule, "ambiguous")
    if before is not None and not is_whole(claim) and before.claim.named - claim.named:
        return Parsed(None, claim.rule, "ambiguous")
    if is_refusal_to_listen(prose) or _MADE_UP.search(prose):
        return Parsed(None, claim.rule, "refusal")
    if _states_another(answer, claim, prose, end):
        return Parsed(None, claim.rule, "ambiguous")
    tail = prose[end:]
    revision = REVISION.search(tail)
    if revision is not None and answer.labels_in(tail[revision.end() :]):
        return Parsed(None, claim.rule, "ambiguous")
    return parsed


def _states_another(answer: AnswerContext, claim: Claim, prose: str, end: int) -> bool:
    """Whether the text around a claim states a label that the claim does not have in front."""
    shares: dict[int, float] = {}
    for share in claim.shares:
        if share.label is not None:
            shares[share.label] = shares.get(share.label, 0.0) + share.amount.value
    best = {label for label, share in shares.items() if share >= max(shares.values())}
    behind, _ = _stated(answer, prose[end:])
    if behind and not behind & best:
        return True
    before, is_field = _stated(answer, prose[:end])
    if len(before) != 1 or before <= best:
        return False
    return is_field or not any(shares.get(label) for label in before)


def _stated(answer: AnswerContext, text: str) -> tuple[set[int], bool]:
    """The labels that running text states, and whether a field does."""
    text = text.partition("{")[0]  # an object that is cut is no running text
    mentions = mentions_in(text, answer.labels)
    named = read_names(text, mentions, answer.labels)
    if named is None or named.probs is None:
        return set(), False
    labels = {label for label, share in enumerate(named.probs) if share}
    return labels, any(item.manner == "field" and item.label in labels for item in mentions)


def _agrees(claim: Claim, own: dict[int | None, Amount]) -> bool:
    return all(
        share.label in own and same_value(share.amount, own[share.label])
        for share in claim.shares
        if share.label is not None and share.amount.value
    )
