"""Answers of a made-up system about the synthetic corpus."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.explain.answers import GoldRationale
from raypipe.records import ExplainedAnswer

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")


def answers(count: int, emotions: Sequence[str] = EMOTIONS) -> list[ExplainedAnswer]:
    """As many right as wrong ones of every emotion, from eight speakers."""
    rows = []
    for number in range(count):
        label = emotions[number // 2 % len(emotions)]
        other = emotions[(number // 2 + 1) % len(emotions)]
        rows.append(
            ExplainedAnswer(
                utterance_id=f"u{number:03d}",
                speaker=f"s{number % 8}",
                reference=label if number % 2 else other,
                label=label,
                transcript="the door is open",
                reason=f"The voice of clip {number} is loud, and its words are short.",
            )
        )
    return rows


def gold(rows: Sequence[ExplainedAnswer]) -> dict[str, GoldRationale]:
    """A rationale of the reference label of every answer."""
    return {
        row.utterance_id: GoldRationale(
            row.utterance_id, row.reference or "", f"In {row.utterance_id} the pitch falls slowly."
        )
        for row in rows
    }
