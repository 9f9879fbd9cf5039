"""What a classify job found out, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raypipe.explain.classify.answers import Form, ReadAnswer
from raypipe.explain.classify.deciding import LETTER, Decided
from raypipe.explain.classify.decisions import Decision
from raypipe.explain.classify.sample import Agreement
from raypipe.explain.classify.scores import Score
from raypipe.explain.classify.word_errors import count_word_errors, most_frequent_sentence
from raypipe.metrics.bootstrap import FEW_SPEAKERS, id_hashes, interval, weights_from_hashes
from raypipe.votes import OTHER


@dataclass(frozen=True, slots=True)
class WordErrorRate:
    """Word error rate of a system's transcripts.

    Attributes:
        rate: errors over words of the references, all utterances together; may exceed 1.
        low: lower end of its 95 % interval, over speakers; NaN with less than ten of them.
        high: upper end.
        words: of the references.
        without: answers without a transcript; all their words count as deleted.
        baseline: rate of the sentence that is said most often, given to every utterance.
    """

    rate: float
    low: float
    high: float
    words: int
    without: int
    baseline: float


@dataclass(frozen=True, slots=True)
class LetterUse:
    """How often a letter was chosen.

    Attributes:
        letter: of an option.
        chosen: share of the answers that chose a letter, in [0, 1].
        reference: share of the same answers whose reference stood on it.
    """

    letter: str
    chosen: float
    reference: float


@dataclass(frozen=True, slots=True)
class SystemFindings:
    """What is known of one system in one form.

    Attributes:
        n: answers.
        other: of them, those without a label of the set.
        extracted_by: answers by what decided on their words.
        grouped_by: answers by what decided on their label.
        faults: answers by why no emotion was read.
        parts: answers by what is wrong with a part.
        reasons: answers with a reason.
        word_errors: None without transcripts or references.
        letters: of answers that chose one; empty for an open form.
    """

    system: str
    form: Form
    n: int
    other: int
    extracted_by: Mapping[str, int]
    grouped_by: Mapping[str, int]
    faults: Mapping[str, int]
    parts: Mapping[str, int]
    reasons: int
    word_errors: WordErrorRate | None
    letters: tuple[LetterUse, ...]


@dataclass(frozen=True, slots=True)
class ClassifyFindings:
    """All of a job's findings.

    Attributes:
        systems: in the order of the config.
        scores: cells of the table, by form.
        groups: decisions on words, the most frequent first.
        agreement: with a person's labels of the sample; empty while it is not filled in.
        sampled: answers that were drawn for a person.
    """

    systems: tuple[SystemFindings, ...]
    scores: Mapping[Form, Sequence[Score]]
    groups: tuple[Decision, ...]
    agreement: tuple[Agreement, ...]
    sampled: int


def system_findings(
    system: str,
    form: Form,
    answers: Sequence[ReadAnswer],
    decided: Sequence[Decided],
    replicates: int,
    seed: int,
) -> SystemFindings:
    """What is known of one system in one form, from its answers in the same order."""
    return SystemFindings(
        system=system,
        form=form,
        n=len(answers),
        other=sum(item.label == OTHER for item in decided),
        extracted_by=Counter(item.extracted_by for item in decided),
        grouped_by=Counter(item.grouped_by for item in decided),
        faults=Counter(item.fault for item in decided if item.fault is not None),
        parts=Counter(fault for answer in answers for fault in answer.faults),
        reasons=sum(answer.reason is not None for answer in answers),
        word_errors=word_error_rate(answers, replicates, seed),
        letters=_letters(answers, decided),
    )


def word_error_rate(
    answers: Sequence[ReadAnswer], replicates: int, seed: int
) -> WordErrorRate | None:
    """Word error rate of answers; None if no answer has a transcript, or no reference has words."""
    counted = [answer for answer in answers if answer.word_errors is not None]
    if not counted or not any(answer.transcript is not None for answer in answers):
        return None
    errors = np.array([answer.word_errors.errors for answer in counted if answer.word_errors])
    words = np.array([answer.word_errors.words for answer in counted if answer.word_errors])
    units = [answer.speaker or answer.utterance_id for answer in counted]
    weights = weights_from_hashes(id_hashes(units), replicates, seed).T.astype(np.float64)
    drawn = weights @ words
    rates = np.where(drawn > 0, (weights @ errors) / np.maximum(drawn, 1.0), np.nan)
    few = len(set(units)) < FEW_SPEAKERS
    low, high = (float("nan"), float("nan")) if few else interval(rates)
    references = [answer.said for answer in counted if answer.said is not None]
    common = most_frequent_sentence(references)
    baseline = [count_word_errors(said, common) for said in references]
    return WordErrorRate(
        rate=float(errors.sum() / words.sum()),
        low=low,
        high=high,
        words=int(words.sum()),
        without=sum(answer.transcript is None for answer in counted),
        baseline=sum(item.errors for item in baseline if item) / float(words.sum()),
    )


def _letters(answers: Sequence[ReadAnswer], decided: Sequence[Decided]) -> tuple[LetterUse, ...]:
    pairs = [
        (item.phrase, answer.reference_letter)
        for answer, item in zip(answers, decided, strict=True)
        if item.extracted_by == LETTER and answer.reference_letter is not None
    ]
    chosen = Counter(letter for letter, _ in pairs if letter is not None)
    reference = Counter(letter for _, letter in pairs if letter is not None)
    letters = sorted(chosen.keys() | reference.keys())
    return tuple(
        LetterUse(letter, chosen[letter] / len(pairs), reference[letter] / len(pairs))
        for letter in letters
    )
