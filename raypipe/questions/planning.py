"""What a run asks: which questions, of which utterances, in which calls of the engine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from raypipe.errors import RegistryError
from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.questions.question import Question
from raypipe.questions.registry import QUESTIONS, question_named
from raypipe.records import Search


@dataclass(frozen=True, slots=True)
class Asked:
    """Names of the questions that strategies read.

    Attributes:
        every: of every utterance.
        ambiguous: of the ambiguous utterances only; nothing that is in ``every``. ``verifier`` may
            stand here while the ``beams`` that it scores stand in ``every``.
    """

    every: frozenset[str]
    ambiguous: frozenset[str] = frozenset()

    def resolved(self, outline: RunOutline) -> Asked:
        """What a run of this outline asks: what is offered anyway, what cannot wait."""
        offered = {name for name, question in QUESTIONS.items() if question.is_offered(outline)}
        waiting = {
            name for name in self.ambiguous - self.every if question_named(name).can_wait(outline)
        }
        every = (self.every | offered | self.ambiguous | set(outline.questions)) - waiting
        return Asked(frozenset(every), frozenset(waiting))


def plan_passes(outline: RunOutline, asked: Asked) -> tuple[Pass, ...]:
    """The calls of an engine that ask a run's questions; what everyone is asked comes first.

    The greedy answer and the beams of the main search are one call: they share the prompt's keys
    and values.

    Args:
        outline: of the run.
        asked: what its strategies read.

    Raises:
        ConfigError: for an unknown question.
        RegistryError: for one whose passes are not what it declares.
    """
    wanted = asked.resolved(outline)
    passes: list[Pass] = []
    for question in sorted(
        map(question_named, wanted.every | wanted.ambiguous), key=lambda known: known.rank
    ):
        only_ambiguous = question.name in wanted.ambiguous
        for asking in question.passes(outline):
            _check(question, asking)
            asking = dataclasses.replace(asking, only_ambiguous=only_ambiguous)
            joined = _joined(passes[-1], asking) if passes else None
            if joined is None:
                passes.append(asking)
            else:
                passes[-1] = joined
    return tuple(sorted(passes, key=lambda asking: asking.only_ambiguous))


def _check(question: Question, asking: Pass) -> None:
    if asking.kind not in (None, question.kind):
        raise RegistryError(
            f"question {question.name} declares answers of kind {question.kind!r}, "
            f"its pass {asking.name!r} those of kind {asking.kind!r}"
        )
    if isinstance(asking.request, Search):
        return
    if asking.request.capability not in question.requires:
        raise RegistryError(
            f"question {question.name} does not require {asking.request.capability!r}, "
            f"which the request of its pass {asking.name!r} needs"
        )


def _joined(first: Pass, second: Pass) -> Pass | None:
    """A greedy search and a beam search over the same prompts as one; None for any other two."""
    left, right = first.request, second.request
    if not isinstance(left, Search) or not isinstance(right, Search):
        return None
    places = [(asking.kind, asking.cot, asking.only_ambiguous) for asking in (first, second)]
    is_pair = left.greedy and not left.beam_count and right.beam_count and not right.greedy
    if not is_pair or places[0] != places[1]:
        return None
    whole = dataclasses.replace(left, beam_count=right.beam_count)
    if whole != dataclasses.replace(right, greedy=True):  # of another length or grammar
        return None
    return dataclasses.replace(
        first,
        name=f"{first.name} and {second.name}",
        questions=(*first.questions, *second.questions),
        request=whole,
    )
