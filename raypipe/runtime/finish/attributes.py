"""Arousal, valence and dominance from the answers about an utterance."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.parsing.attributes import parse_attributes
from raypipe.records import AskedQuestion, AttributeAnswer, AttributeScales, Hypothesis

KIND = "attributes"
"""Of the hypotheses that answer the question."""


def read_attributes(
    hypotheses: Sequence[Hypothesis],
    questions: Sequence[AskedQuestion],
    scales: AttributeScales,
) -> AttributeAnswer:
    """What a model says of an utterance's attributes, on the corpus's scale.

    Of a clip in windows it is the mean by seconds; one window without an answer leaves none.

    Args:
        hypotheses: all of the utterance.
        questions: that it was asked.
        scales: of the question and of the corpus.
    """
    if any(asked.question == KIND and asked.failed for asked in questions):
        return AttributeAnswer(None, "failed")
    answers = [hypothesis for hypothesis in hypotheses if hypothesis.kind == KIND]
    if not answers:
        return AttributeAnswer(None, "no_answer")
    parts: list[tuple[float, tuple[float, float, float]]] = []
    for hypothesis in answers:
        if not hypothesis.is_answer:
            return AttributeAnswer(None, hypothesis.finish_reason)
        read = parse_attributes(hypothesis.text, scales.asked)
        if read.ratings is None:
            return read
        parts.append((hypothesis.window_s or 1.0, read.ratings))
    seconds = sum(weight for weight, _ in parts)
    arousal, valence, dominance = (
        scales.on_corpus(sum(weight * ratings[place] for weight, ratings in parts) / seconds)
        for place in range(3)
    )
    return AttributeAnswer((arousal, valence, dominance))
