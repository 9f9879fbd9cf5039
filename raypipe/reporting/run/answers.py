"""How the answers of a run were read: rules and reasons with examples of their texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.parsing import REASONS, RULES, parse_answer
from raypipe.questions import QUESTIONS
from raypipe.records import Parsed
from raypipe.reporting.text import clean, count, listing, percent
from raypipe.strategies import STRATEGIES, Strategy

MOST_ROWS: Final = 200
"""Rows of every model and prompt that are looked at: the first ones."""

_EXAMPLES: Final = 2
_LONGEST: Final = 240
_MANY: Final = 0.5

Asked = tuple[str, str, str]
"""Model, prompt and kind of hypothesis."""


@dataclass(slots=True)
class Texts:
    """Texts that were read alike.

    Attributes:
        number: of them.
        examples: the first ones, shortened in their middle.
    """

    number: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one more, and keep it if it is among the first."""
        self.number += 1
        shown = clean(text, _LONGEST)
        if len(text) > _LONGEST:  # what decides stands at the end more often than not
            half = _LONGEST // 2
            shown = (
                f"{clean(text[:half], half)} [\N{HORIZONTAL ELLIPSIS}] {clean(text[-half:], half)}"
            )
        if len(self.examples) < _EXAMPLES and shown not in self.examples:
            self.examples.append(shown)


@dataclass(slots=True)
class AnswerTally:
    """Answers to one kind of question.

    Attributes:
        answers: number of those looked at.
        cut: of them those that ended at the most tokens that were allowed.
        rules: valid ones by parsing rule.
        reasons: invalid ones by reason.
    """

    answers: int = 0
    cut: int = 0
    rules: dict[str, Texts] = field(default_factory=dict)
    reasons: dict[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """What the page shows of answers that were read alike.

    Attributes:
        strategies: that read answers of this kind.
        kind: of the answers, with model and prompt where there are several.
        outcome: parsing rule, or reason of invalid ones.
        meaning: of the outcome, in words.
        number: of those looked at, as text.
    """

    strategies: str
    kind: str
    outcome: str
    meaning: str
    valid: bool
    number: str
    examples: tuple[str, ...]


def tally_answers(generations: Iterable[pa.Table], labels: LabelSet) -> dict[Asked, AnswerTally]:
    """Read the first answers of every model, prompt and kind once more, as the run did."""
    tallies: dict[Asked, AnswerTally] = {}
    rows: Counter[tuple[str, str]] = Counter()
    known: dict[str, Parsed] = {}
    for model, prompt, hypotheses in _rows(generations):
        rows[model, prompt] += 1
        if rows[model, prompt] > MOST_ROWS:
            continue
        for hypothesis in hypotheses:
            text, ending = hypothesis["text"] or "", hypothesis["finish_reason"]
            tally = tallies.setdefault((model, prompt, hypothesis["kind"]), AnswerTally())
            tally.answers += 1
            tally.cut += ending == "length"
            if ending not in ("stop", "length"):
                tally.reasons.setdefault(clean(ending), Texts()).add(text)
                continue
            if text not in known:
                known[text] = parse_answer(text, labels)
            parsed = known[text]
            if parsed.probs is None:
                tally.reasons.setdefault(parsed.invalid_reason or "", Texts()).add(text)
            else:
                tally.rules.setdefault(parsed.rule, Texts()).add(text)
    return tallies


def answer_groups(
    tallies: Mapping[Asked, AnswerTally], strategies: Sequence[str]
) -> tuple[AnswerGroup, ...]:
    """Rules, then reasons of each kind of answer, the most frequent first."""
    several = len({asked[:2] for asked in tallies}) > 1
    groups = []
    for asked, tally in tallies.items():
        model, prompt, kind = asked
        readers = _readers(kind, strategies)
        name = " \N{MIDDLE DOT} ".join((kind, model, prompt)) if several else kind
        for valid, found in ((True, tally.rules), (False, tally.reasons)):
            for outcome, texts in sorted(found.items(), key=lambda item: -item[1].number):
                meaning = (RULES if valid else REASONS).get(outcome, "")
                share = f"{count(texts.number)} of {count(tally.answers)}"
                groups.append(
                    AnswerGroup(
                        readers, clean(name), outcome, meaning, valid, share, tuple(texts.examples)
                    )
                )
    return tuple(groups)


def cut_answers(tallies: Mapping[Asked, AnswerTally]) -> list[str]:
    """Warnings about questions of whose answers most ended at the limit of tokens."""
    warnings = []
    for (model, prompt, kind), tally in tallies.items():
        if tally.cut <= _MANY * tally.answers:
            continue
        option = "prompt.cot_max_new_tokens" if kind == "cot" else "decoding.max_new_tokens"
        warnings.append(
            f"{percent(tally.cut / tally.answers, 0)} of the first {count(tally.answers)} "
            f"{clean(kind)} answers of {clean(model)} to {clean(prompt)} end at {option}: they are "
            "cut, not finished. Allow more tokens."
        )
    return warnings


def _rows(
    generations: Iterable[pa.Table],
) -> Iterator[tuple[str, str, Sequence[Mapping[str, str]]]]:
    for table in generations:
        columns = [table[name].to_pylist() for name in ("model", "prompt", "hypotheses")]
        for model, prompt, hypotheses in zip(*columns, strict=True):
            yield model or "", prompt or "", hypotheses or ()


def _readers(kind: str, strategies: Sequence[str]) -> str:
    """The strategies that read answers of a kind, of those that the run has."""
    names = dict.fromkeys(name.partition("[")[0] for name in strategies)
    questions = {name for name, question in QUESTIONS.items() if question.kind == kind}
    readers = []
    for name in names:
        strategy = STRATEGIES.get(name)
        if isinstance(strategy, Strategy) and questions & set(strategy.questions):
            readers.append(name)
    return listing(readers) if readers else ""
