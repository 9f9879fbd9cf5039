"""A claim of brackets or a table beside the text around it, which must not say otherwise."""

from __future__ import annotations

import re
from typing import Final

from raypipe.parsing.amounts import Amount
from raypipe.parsing.context import AnswerContext
from raypipe.parsing.settling import Claim, is_whole, same_value, settle
from raypipe.records import Parsed

REVISION: Final = re.compile(
    r"(?:(?:^|[.!?;\n])\s{0,40}+|\s-\s)(?:(?:actually|wait|hmm|hold\son|no)\b[,.!]|on\s(?:second|further|closer)\s"
    r"\w+|on\sreflection\b|(?:correction|revised|revision|updated?|scratch\sthat)\b|upon\s\w+|let\sme\s(?:revise|correct"
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
    tail = prose[end:]
    revision = REVISION.search(tail)
    if revision is not None and answer.labels_in(tail[revision.end() :]):
        return Parsed(None, claim.rule, "ambiguous")
    return parsed


def _agrees(claim: Claim, own: dict[int | None, Amount]) -> bool:
    return all(
        share.label in own and same_value(share.amount, own[share.label])
        for share in claim.shares
        if share.label is not None and share.amount.value
    )
