"""One call of an engine about many utterances."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from raypipe.protocols import EngineRequest, RunEngine
from raypipe.records import Failure, Generation, Search

Input = TypeVar("Input")


@dataclass(frozen=True, slots=True)
class Pass:
    """One call of an engine about many utterances.

    Attributes:
        name: in the record of the run.
        questions: names of those it answers.
        request: a search, or what else an engine is able to answer.
        kind: :attr:`Hypothesis.kind` that its answers are recorded under; None for those that the
            engine gives.
        cot: asks the prompt's variant with step-by-step instructions.
        attributes: asks the run's template about arousal, valence and dominance.
        silent: asks the prompt about silence as long as the clip, in its place.
        only_ambiguous: asked of utterances whose cheap prediction is ambiguous, after the others.
    """

    name: str
    questions: tuple[str, ...]
    request: Search | EngineRequest
    kind: str | None = None
    cot: bool = False
    attributes: bool = False
    silent: bool = False
    only_ambiguous: bool = False

    @property
    def beam_count(self) -> int | None:
        """Beams of its search; None for any other request, and for a greedy answer alone."""
        return (self.request.beam_count or None) if isinstance(self.request, Search) else None

    def put(self, engine: RunEngine[Input], inputs: Sequence[Input]) -> list[Generation | Failure]:
        """Ask about every input: one reply each, in their order."""
        if isinstance(self.request, Search):
            return engine.generate(inputs, self.request)
        return engine.answer(inputs, self.request)

    def identity(self) -> Mapping[str, object]:
        """Everything about it that can change an answer, as JSON values."""
        request = self.request
        assert dataclasses.is_dataclass(request)
        told = {
            "request": [type(request).__name__, dataclasses.asdict(request)],
            "kind": self.kind,
            "cot": self.cot,
            "only_ambiguous": self.only_ambiguous,
        }
        # What few passes are is told of those alone: the others' identity stays what it was.
        more = {"attributes": self.attributes, "silent": self.silent}
        return {**told, **{name: True for name, is_so in more.items() if is_so}}
