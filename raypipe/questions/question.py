"""What a question is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from raypipe.errors import RegistryError
from raypipe.questions.cost import Cost, answer_cost
from raypipe.questions.outline import RunOutline
from raypipe.questions.passes import Pass
from raypipe.records import Hypothesis


def _never(outline: RunOutline) -> bool:
    return False


def _always(outline: RunOutline) -> bool:
    return True


def _not_refused(outline: RunOutline) -> None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One thing that a model can be asked about an utterance.

    Attributes:
        name: what strategies call it, and what it is recorded under.
        summary: what is asked, in one line.
        noun: what an answer is, with its article, for messages: "a greedy answer".
        kind: :attr:`Hypothesis.kind` of what answers it in ``generations/``.
        recorded: what of the answer is kept, in one line.
        rank: place among the questions of a run: lower ones are asked first.
        passes: the calls of the engine that ask it in a run of this outline; none for a question
            about other answers.
        requires: names of the capabilities that an engine must have, see
            :class:`raypipe.protocols.Capabilities`.
        about: what it is asked about: an ``utterance``, or the ``candidates`` that another
            question found.
        is_offered: a run of this outline asks it although no strategy reads it.
        can_wait: it may be asked of ambiguous utterances alone, where only the expensive part of
            a strategy reads it.
        refusal: what a run of this outline lacks to ask it; None if nothing.
        cost: of one window, from the hypotheses that answer the question, and those that a
            strategy looked at as candidates.

    Raises:
        RegistryError: for a declaration without its texts.
    """

    name: str
    summary: str
    noun: str
    kind: str
    recorded: str
    rank: int
    passes: Callable[[RunOutline], tuple[Pass, ...]]
    requires: frozenset[str] = field(default_factory=frozenset)
    about: Literal["utterance", "candidates"] = "utterance"
    is_offered: Callable[[RunOutline], bool] = _never
    can_wait: Callable[[RunOutline], bool] = _always
    refusal: Callable[[RunOutline], str | None] = _not_refused
    cost: Callable[[Sequence[Hypothesis], Sequence[Hypothesis]], Cost] = answer_cost

    def __post_init__(self) -> None:
        for text in ("name", "summary", "noun", "kind", "recorded"):
            if not getattr(self, text).strip():
                raise RegistryError(f"question {self.name!r}: {text} is empty")
