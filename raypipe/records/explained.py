"""Record of an answer that gives its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExplainedAnswer:
    """What a model said about one utterance, read into its parts.

    Attributes:
        utterance_id: of the utterance.
        speaker: None where the corpus does not say.
        reference: the annotators' consensus; None for a tie or without votes.
        label: predicted, of the label set or ``other``; None where none could be read.
        transcript: what the model heard; None where it gave none.
        reason: why it chose the label; None where it gave none.
    """

    utterance_id: str
    speaker: str | None
    reference: str | None
    label: str | None
    transcript: str | None
    reason: str | None
