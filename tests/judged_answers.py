"""Explained answers of two made-up systems, of which a test knows whose reason is longer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from raypipe.records import ExplainedAnswer

LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
SPEAKERS = 25


def two_systems(count: int) -> tuple[list[ExplainedAnswer], list[ExplainedAnswer]]:
    """Answers about ``u0``, ``u1``, …: the first system's reason is longer for two in three.

    Every twelfth has reasons of the same length; the second system answers every tenth with
    another label.
    """
    first, second = [], []
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        lengths = {0: (40, 20), 1: (40, 20), 2: (20, 40)}[number % 3]
        if number % 12 == 11:
            lengths = (30, 30)
        other = LABELS[(number + 1) % len(LABELS)] if number % 10 == 9 else label
        speaker = f"s{number // 3 % SPEAKERS}"  # of whom each has reasons of all lengths
        first.append(answer(number, speaker, label, f"first {number} ", lengths[0]))
        second.append(answer(number, speaker, other, f"other {number} ", lengths[1]))
    return first, second


def answer(number: int, speaker: str, label: str, text: str, length: int) -> ExplainedAnswer:
    return ExplainedAnswer(
        utterance_id=f"u{number}",
        speaker=speaker,
        reference=label,
        label=label,
        transcript=None,
        reason=text.ljust(length, "x"),
    )


def write_answers(path: Path, rows: Sequence[ExplainedAnswer]) -> Path:
    path.write_text("\n".join(json.dumps(dataclasses.asdict(row)) for row in rows))
    return path
