"""What the brackets of an answer say, one by one, and parts of one distribution together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raypipe.parsing.amounts import Amount
from raypipe.parsing.loose import Scalar
from raypipe.parsing.settling import Claim, Share, is_whole


@dataclass(frozen=True, slots=True)
class Statement:
    """What one object or list says.

    Attributes:
        kind: ``shares`` of labels; ``text`` of the field that is the answer; ``names`` of labels
            in a list; ``numbers`` in a list; ``unclear`` if labels stand in it and nobody can say
            what for.
        shares: with ``shares``.
        texts: with ``text`` and ``names``: the strings.
        numbers: with ``numbers``.
        rank: how surely the field is the answer.
        left_over: whether a key that names a label has a number that was not used.
        named: labels that keys name, numbers or not.
        marked: whether it says which part of the recording or which speaker it is about.
        top: whether it is what a bracket at the top of the answer says itself.
        closed: whether the end of its own bracket is there.
    """

    kind: Literal["shares", "text", "names", "numbers", "unclear"]
    start: int
    end: int
    shares: tuple[Share, ...] = ()
    texts: tuple[Scalar, ...] = ()
    numbers: tuple[Amount, ...] = ()
    rank: int = 0
    left_over: bool = False
    named: frozenset[int] = frozenset()
    marked: bool = False
    top: bool = False
    closed: bool = True


def merged_statements(found: Sequence[Statement], start: int, end: int) -> list[Statement]:
    """Parts of one distribution taken together: records, pairs, objects of single labels."""
    parts = [item for item in found if item.kind == "shares"]
    labels = [{share.label for share in item.shares} - {None} for item in parts]
    is_split = len(parts) > 1 and all(len(own) <= 1 for own in labels)
    distinct = len(set().union(*labels)) == sum(len(own) for own in labels) if labels else False
    wholes = [is_whole(Claim("json", item.shares)) for item in parts]
    several = sum(any(share.amount.value for share in item.shares) for item in parts) > 1
    # Objects after each other of which one is whole are readings of their own.
    restated = several and any(wholes) and all(item.top for item in parts)
    if not is_split or not distinct or restated or any(item.marked for item in parts):
        return list(found)
    whole = Statement(
        "shares",
        start,
        end,
        tuple(share for item in parts for share in item.shares),
        rank=max(item.rank for item in parts),
        left_over=any(item.left_over for item in parts),
        named=frozenset().union(*(item.named for item in parts)),
    )
    return [whole, *(item for item in found if item.kind != "shares")]
