"""What each answer's emotion is, step by step: rules, a word map, a person, a language model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from raypipe.explain.classify.answers import ReadAnswer
from raypipe.explain.classify.decisions import NOTHING, PERSON, Decision
from raypipe.explain.classify.replies import read_extraction, read_groups
from raypipe.labels import LabelSet
from raypipe.parsing.emotion_words import free_vocabulary
from raypipe.prompts import EXTRACT, GROUP, render, template_source
from raypipe.records import Failure, Generation
from raypipe.votes import OTHER

Ask = Callable[[Sequence[str]], Sequence[Generation | Failure]]
"""What answers prompts: one reply for each, in their order."""

LETTER, LABEL_SET, WORD_MAP, OPTIONS = "letter", "label_set", "word_map", "options"


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """A language model that reads what the rules cannot.

    Attributes:
        name: in the tables.
        ask: puts prompts to it.
        attempts: most times that it is asked about one thing.
        phrases_per_request: most words that it groups in one request.
    """

    name: str
    ask: Ask
    attempts: int = 3
    phrases_per_request: int = 40


@dataclass(frozen=True, slots=True)
class Decided:
    """The emotion of one answer.

    Attributes:
        phrase: in the answer's own words; None where none was read.
        extracted_by: what decided on the phrase.
        label: of the label set, or ``other``.
        grouped_by: what decided on the label.
        fault: why no emotion was read; None where one was.
    """

    phrase: str | None
    extracted_by: str
    label: str
    grouped_by: str
    fault: str | None


Keep = Callable[[Mapping[str, Decision], Mapping[str, Decision]], None]
"""Keeps decisions as they grow, so that nothing is asked twice."""


def decide(
    answers: Sequence[ReadAnswer],
    labels: LabelSet,
    *,
    extractions: Mapping[str, Decision],
    groups: Mapping[str, Decision],
    reader: AnswerReader | None,
    keep: Keep = lambda extractions, groups: None,
) -> tuple[list[Decided], dict[str, Decision], dict[str, Decision]]:
    """The emotion of every answer, and the decisions that it took.

    Args:
        answers: of any systems and forms.
        labels: the label set.
        extractions: decisions that stand already: a person's, or a model's of an earlier time.
        groups: likewise, about phrases.
        reader: asked about what neither rules nor these decide; None for nobody.
        keep: called whenever the reader has decided more.

    Returns:
        One decision per answer, in order; extractions by the answers' words; groups by phrase.
    """
    texts = Counter(
        answer.named
        for answer in answers
        if answer.named is not None and answer.emotion.rule != LETTER
    )
    read = {answer.named: answer.emotion for answer in answers if answer.named in texts}
    phrases: dict[str, Decision] = {}
    for text, count in texts.items():
        emotion = read[text]
        own = Decision(text, emotion.phrase or "", emotion.rule, count)
        standing = extractions.get(text)
        keeps = standing is not None and (standing.decided_by == PERSON or not own.value)
        phrases[text] = replace(standing, count=count) if standing and keeps else own
    if reader is not None:
        _extract(phrases, reader, lambda: keep(phrases, groups))
    known = {text: row.value for text, row in phrases.items() if row.value}
    counts = Counter(known[answer.named] for answer in answers if answer.named in known)
    grouped = {
        phrase: _group(phrase, count, labels, groups.get(phrase))
        for phrase, count in counts.items()
        if phrase not in labels.names
    }
    if reader is not None:
        _ask_groups(grouped, labels, reader, lambda: keep(phrases, grouped))
    decided = [_decided(answer, phrases, grouped, labels) for answer in answers]
    return decided, phrases, grouped


def _decided(
    answer: ReadAnswer,
    phrases: Mapping[str, Decision],
    groups: Mapping[str, Decision],
    labels: LabelSet,
) -> Decided:
    emotion = answer.emotion
    if answer.named is None:
        return Decided(None, NOTHING, OTHER, NOTHING, emotion.fault)
    if emotion.rule == LETTER:
        assert emotion.label is not None
        return Decided(emotion.phrase, LETTER, emotion.label, OPTIONS, None)
    extracted = phrases[answer.named]
    phrase = extracted.value
    if not phrase:
        return Decided(None, extracted.decided_by, OTHER, NOTHING, emotion.fault or NOTHING)
    if phrase in labels.names:
        return Decided(phrase, extracted.decided_by, phrase, LABEL_SET, None)
    group = groups[phrase]
    return Decided(phrase, extracted.decided_by, group.value or OTHER, group.decided_by, None)


def _group(phrase: str, count: int, labels: LabelSet, standing: Decision | None) -> Decision:
    if standing is not None and standing.decided_by == PERSON:
        return replace(standing, count=count)
    alias = labels.index(phrase)
    if alias is not None:
        return Decision(phrase, labels.names[alias], LABEL_SET, count)
    label = OTHER if phrase == OTHER else free_vocabulary(labels).get(phrase)
    if label is not None:
        return Decision(phrase, label, WORD_MAP, count)
    if standing is not None and standing.value:
        return replace(standing, count=count)
    return Decision(phrase, "", NOTHING, count)


def _extract(phrases: dict[str, Decision], reader: AnswerReader, keep: Callable[[], None]) -> None:
    """Ask the reader about answers in which no emotion was read; it may say that there is none."""
    source, decided_by = template_source(EXTRACT), f"model {reader.name}"
    open_texts = [
        text
        for text, row in phrases.items()
        if not row.value and row.decided_by not in (PERSON, decided_by)
    ]
    faults: dict[str, str] = {}
    for _ in range(reader.attempts):
        if not open_texts:
            return
        prompts = [render(source, text=text, fault=faults.get(text)) for text in open_texts]
        again = []
        for text, reply in zip(open_texts, reader.ask(prompts), strict=True):
            try:
                value = read_extraction(_text_of(reply), text)
            except ValueError as error:
                faults[text] = str(error)
                again.append(text)
                continue
            phrases[text] = replace(phrases[text], value=value or "", decided_by=decided_by)
        open_texts = again
        keep()


def _ask_groups(
    groups: dict[str, Decision], labels: LabelSet, reader: AnswerReader, keep: Callable[[], None]
) -> None:
    source, decided_by = template_source(GROUP), f"model {reader.name}"
    open_phrases = [
        phrase for phrase, row in groups.items() if not row.value and row.decided_by != PERSON
    ]
    size, fault = reader.phrases_per_request, ""
    for _ in range(reader.attempts):
        requests = [open_phrases[at : at + size] for at in range(0, len(open_phrases), size)]
        if not requests:
            return
        prompts = [
            render(source, labels=list(labels.names), phrases=request, fault=fault)
            for request in requests
        ]
        open_phrases = []
        for request, reply in zip(requests, reader.ask(prompts), strict=True):
            try:
                named = read_groups(_text_of(reply), request, labels)
            except ValueError as error:
                fault = str(error)
                open_phrases += request
                continue
            for phrase, label in named.items():
                groups[phrase] = replace(groups[phrase], value=label, decided_by=decided_by)
        size = max(1, size // 2)
        keep()


def _text_of(reply: Generation | Failure) -> str:
    if isinstance(reply, Failure):
        raise ValueError(f"{reply.error_type}: {reply.message}")
    hypothesis = reply.hypotheses[0]
    if not hypothesis.is_answer:
        raise ValueError(f"the model refused: {hypothesis.finish_reason}")
    return hypothesis.text
