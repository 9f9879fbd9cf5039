"""Which utterances a teacher is asked about, and why others are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from raypipe.errors import ShardError
from raypipe.explain.gold import NO_CONSENSUS, GoldRule, gold_label
from raypipe.explain.splits import split_name
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.runtime.infer.context import ShardTask
from raypipe.shards import read_unheard
from raypipe.store.location import Location

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class UtteranceChoice:
    """Which utterances are asked about.

    Attributes:
        splits: whose utterances are.
        gold: what the gold label is.
        labels: whose utterances are; None for any label.
        transcript_needed: whether an utterance without transcript is a failure.
    """

    splits: tuple[str, ...]
    gold: GoldRule
    labels: LabelSet | None
    transcript_needed: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why nothing is asked about an utterance, though nothing is wrong with it."""

    reason: str


def gold_of(utterance: Utterance, choice: UtteranceChoice) -> str | LeftOut | Failure:
    """The gold label that a teacher is told; or why nothing is asked."""
    split = split_name(utterance.split)
    if split not in choice.splits:
        return LeftOut(f"split {split}")
    label = gold_label(utterance, choice.gold)
    if label is None:
        return LeftOut(NO_CONSENSUS)
    if choice.labels is not None and label not in choice.labels.names:
        return LeftOut(f"label {label}")
    if choice.transcript_needed and not (utterance.transcript or "").strip():
        message = "no transcript; a teacher may do without where the config says optional"
        return Failure(utterance.utterance_id, "read", "no_transcript", message)
    return label


def count_left_out(
    shards: Location, tasks: Sequence[ShardTask], labels: LabelSet, choice: UtteranceChoice
) -> dict[str, dict[str, int]]:
    """Utterances that are left out, by shard and reason; the audio is not read.

    Args:
        shards: where they lie.
        tasks: shards of the job.
        labels: of the shards.
        choice: which utterances are asked about.
    """

    def in_shard(task: ShardTask) -> dict[str, int]:
        try:
            rows = read_unheard(shards, task.entry, labels)[: task.take]
        except ShardError:  # an error row of the shard, when it is its turn
            return {}
        reasons = (gold_of(row, choice) for row in rows if isinstance(row, Utterance))
        counts = Counter(told.reason for told in reasons if isinstance(told, LeftOut))
        return dict(sorted(counts.items()))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {
            task.entry.name: counts
            for task, counts in zip(tasks, pool.map(in_shard, tasks), strict=True)
        }
