"""Utterances with votes, in a line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from corpus_folder import CLIP

from raypipe.labels import LabelSet
from raypipe.records import Utterance, Vote
from raypipe.shards import ShardIndex

LABELS = LabelSet(("anger", "joy", "calm"))
BARE = Utterance("u", "talks", None, None, CLIP, 16_000, 2.0)

Write = Callable[..., ShardIndex]


def votes(*labels: str) -> tuple[Vote, ...]:
    """One vote each by annotators a, b, c, ..."""
    return tuple(Vote(chr(ord("a") + at), (label,)) for at, label in enumerate(labels))


def utterance(name: str, *labels: str, **fields: object) -> Utterance:
    """An utterance with these votes."""
    return replace(BARE, utterance_id=name, votes=votes(*labels), **fields)  # type: ignore[arg-type]
