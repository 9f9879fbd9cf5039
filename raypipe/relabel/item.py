"""What a language model is shown of an utterance: its typed descriptions and its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raypipe.records import Utterance, Vote
from raypipe.votes import SELF_REPORT


@dataclass(frozen=True, slots=True)
class Described:
    """An utterance with a reference distribution, and what its annotators wrote.

    Attributes:
        words: typed descriptions, one per annotator who wrote one, in the votes' order.
        reference: soft label from the votes for labels, shape ``(labels,)``, sums to 1.
        reference_sum: its sum as it was given, before it was normalised.
    """

    utterance_id: str
    reference: tuple[float, ...]
    words: tuple[str, ...] = ()
    reference_sum: float = 1.0
    dataset: str = ""
    split: str | None = None
    speaker: str | None = None
    n_votes: int | None = None


def typed_descriptions(votes: Sequence[Vote], *, self_reports: bool = False) -> tuple[str, ...]:
    """What annotators typed, each description with single blanks inside.

    Args:
        votes: of one utterance.
        self_reports: whether speakers' judgements of themselves count.

    Example:
        >>> votes = (Vote("a", ("other",), "slightly  angry"), Vote("b", ("anger",)))
        >>> typed_descriptions(votes)
        ('slightly angry',)
    """
    texts = (
        " ".join((vote.typed or "").split())
        for vote in votes
        if self_reports or not vote.annotator.startswith(SELF_REPORT)
    )
    return tuple(text for text in texts if text)


def described(utterance: Utterance, *, self_reports: bool = False) -> Described | None:
    """An utterance as it is relabelled; None for one without a reference distribution.

    An utterance whose votes are all Other has no reference.
    """
    if utterance.soft_label is None:
        return None
    return Described(
        utterance.utterance_id,
        utterance.soft_label,
        typed_descriptions(utterance.votes, self_reports=self_reports),
        dataset=utterance.dataset,
        split=utterance.split,
        speaker=utterance.speaker,
        n_votes=utterance.n_votes,
    )
