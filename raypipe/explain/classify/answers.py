"""Answers read into their parts, and the emotion that each names by rules alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from raypipe.explain.classify.word_errors import WordErrors, count_word_errors
from raypipe.labels import LabelSet
from raypipe.metrics.classification import strict_majority
from raypipe.parsing.choices import NamedEmotion, read_choice, read_free
from raypipe.parsing.explained import read_parts
from raypipe.prompts.options import options_for
from raypipe.records import Failure, Option, Utterance
from raypipe.store.generations import StoredAnswer, read_generations
from raypipe.store.schemas import option_order_of
from raypipe.votes import OTHER, AnnotatorLabels

Form = Literal["open", "closed"]

NO_ANSWER = "no_answer"
"""Fault of an utterance that a model did not answer."""


_NO_REASON = "reason: missing"


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """An answer about one utterance, before its emotion is grouped.

    Attributes:
        utterance_id: of the utterance.
        dataset: of the utterance.
        split: None where the corpus does not say.
        speaker: None where the corpus does not say.
        reference: the plurality of the annotators; None for a tie or without votes.
        union: labels of the annotators that scoring ``any`` takes for right.
        majority: whether one label has more than half of the votes.
        said: the reference transcript; None without one.
        text: what the model wrote; None where it did not answer.
        named: by the words of the answer: a part in ``<answer>``, else all of it.
        transcript: what the model heard; None where it gave none.
        reason: why it chose; the whole text of an answer to a step-by-step prompt.
        faults: what is wrong with the parts, such as ``reason: missing``.
        emotion: what the rules read.
        word_errors: of the transcript; None without a reference.
        reference_letter: of the option that the reference is; None without options or reference.
    """

    utterance_id: str
    dataset: str
    split: str | None
    speaker: str | None
    reference: str | None
    union: tuple[str, ...]
    majority: bool
    said: str | None
    text: str | None
    named: str | None
    transcript: str | None
    reason: str | None
    faults: tuple[str, ...]
    emotion: NamedEmotion
    word_errors: WordErrors | None
    reference_letter: str | None = None


def read_answers(
    generations: pa.Table,
    labels: LabelSet,
    form: Form,
    *,
    steps: bool,
    annotator_labels: AnnotatorLabels = "primary",
) -> Iterator[ReadAnswer]:
    """The greedy answers of a ``generations/`` table, in order.

    Args:
        generations: of one model and prompt.
        labels: of the run.
        form: how the emotion was asked for.
        steps: whether the prompt asked for reasoning step by step, which then is the reason.
        annotator_labels: which of the annotators' labels scoring ``any`` takes for right.
    """
    order = option_order_of(generations.schema)
    for utterance, answer in read_generations(generations):
        if utterance is not None:
            options = options_for(order, labels, utterance.utterance_id)
            union = _union(utterance, annotator_labels)
            yield _read(utterance, answer, labels, form, options, steps, union)


def _read(
    utterance: Utterance,
    answer: StoredAnswer | Failure,
    labels: LabelSet,
    form: Form,
    options: tuple[Option, ...],
    steps: bool,
    union: tuple[str, ...],
) -> ReadAnswer:
    text, fault = _text_of(answer)
    parts = read_parts(text or "")
    named = text if parts.answer is None else parts.answer
    if text is None:
        emotion = NamedEmotion(None, None, "none", fault)
    elif form == "closed":
        emotion = read_choice(text, labels, options)
    else:
        emotion = read_free(text, labels)
    reason = text if steps and not parts.tagged else parts.reason
    said = utterance.transcript
    soft = utterance.soft_label
    return ReadAnswer(
        utterance_id=utterance.utterance_id,
        dataset=utterance.dataset,
        split=utterance.split,
        speaker=utterance.speaker,
        reference=utterance.plurality,
        union=union,
        majority=soft is not None and bool(strict_majority(np.array([soft]))[0]),
        said=said,
        text=text,
        named=named,
        transcript=parts.transcript,
        reason=reason,
        faults=tuple(f"{part}: {wrong}" for part, wrong in parts.faults.items()),
        emotion=emotion,
        word_errors=None if said is None else count_word_errors(said, parts.transcript),
        reference_letter=next(
            (option.letter for option in options if option.label == utterance.plurality), None
        ),
    )


def reasons_as_asked(answers: Sequence[ReadAnswer]) -> list[ReadAnswer]:
    """A system's answers; that none has a reason, or a trace of one, is its form and no fault."""
    of_reasons = {fault for answer in answers for fault in answer.faults if "reason" in fault}
    if of_reasons != {_NO_REASON} or any(answer.reason is not None for answer in answers):
        return list(answers)
    return [
        replace(answer, faults=tuple(fault for fault in answer.faults if fault != _NO_REASON))
        for answer in answers
    ]


def _union(utterance: Utterance, annotator_labels: AnnotatorLabels) -> tuple[str, ...]:
    most = 1 if annotator_labels == "primary" else None
    given = {name for vote in utterance.votes for name in vote.labels[:most]}
    return tuple(sorted(given - {OTHER}))


def _text_of(answer: StoredAnswer | Failure) -> tuple[str | None, str | None]:
    """The greedy answer, or why there is none."""
    if isinstance(answer, Failure):
        return None, answer.error_type
    greedy = next((item for item in answer.hypotheses if item.kind == "greedy"), None)
    if greedy is None:
        return None, NO_ANSWER
    return (greedy.text, None) if greedy.is_answer else (None, greedy.finish_reason)
