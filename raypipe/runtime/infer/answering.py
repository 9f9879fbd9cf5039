"""All questions about the utterances of one shard, and what was answered, without Ray.

The questions of a shard are asked one kind after the other, each about all of its utterances at
once, so that the engine's batches are full; the clips' encodings are kept meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raypipe.protocols import Engine
from raypipe.records import Failure, Generation, Hypothesis
from raypipe.runtime.infer.questions import Question

Place = tuple[int, int]
"""Row of the shard and number of the prompt."""


@dataclass(frozen=True, slots=True)
class Part:
    """A clip, or a window of a long one, made ready for every prompt.

    Attributes:
        window: its number, from 0.
        window_s: its seconds; None for a whole clip.
        asked: the model's inputs, by prompt.
        cot: those of the prompts' variants with step-by-step instructions, by prompt; empty if
            they are not asked.
        heard_by_judge: the clip as another model takes it that verifies; None without one.
        heard_by: number of a prompt that comes with the clip.
    """

    window: int
    window_s: float | None
    asked: tuple[Any | Failure, ...]
    cot: tuple[Any | Failure, ...] = ()
    heard_by_judge: Any | Failure | None = None
    heard_by: int = 0

    @property
    def clip(self) -> Any | Failure:
        """The clip as the model takes it; without one if no prompt comes with it."""
        return self.asked[self.heard_by]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one kind of question took.

    Attributes:
        question: its name.
        asked: inputs that were answered.
        seconds: of the engine, wall time.
    """

    question: str
    asked: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Unit:
    """One input: a part of a row, asked by one prompt."""

    place: Place
    part: Part
    given: Any


class Answers:
    """What has been answered so far, by row and prompt."""

    def __init__(self, rows: Sequence[Sequence[Part] | Failure], prompts: int) -> None:
        self._rows, self._prompts = rows, prompts
        self._hypotheses: dict[Place, list[Hypothesis]] = {}
        self._first: dict[Place, Generation] = {}
        self._failures: dict[Place, Failure] = {}
        self.timings: list[Timing] = []

    def ask(
        self,
        question: Question,
        engine: Engine[Any],
        is_ambiguous: Callable[[Sequence[Hypothesis]], bool],
    ) -> None:
        """Put one kind of question to the engine, about everyone whom it concerns."""
        units = [
            unit
            for unit in self._units(cot=question.cot)
            if not question.only_ambiguous or is_ambiguous(self._hypotheses[unit.place])
        ]
        if not units:
            return
        first_asked = frozenset(self._first)
        started = time.monotonic()
        replies = engine.generate([unit.given for unit in units], question.search)
        self.timings.append(Timing(question.name, len(units), time.monotonic() - started))
        for unit, reply in zip(units, replies, strict=True):
            if not isinstance(reply, Failure):
                self._keep(unit, reply, question)
            elif unit.place not in first_asked:
                self._failures.setdefault(unit.place, reply)
            else:
                # What was answered before is not lost because more could not be had.
                self._hypotheses[unit.place].append(_failed(unit, reply, question))

    def by_row(self) -> Iterator[tuple[Generation | Failure, ...]]:
        """What became of each row, by prompt.

        A first question that failed fails the whole prompt. Of a further one the reason is kept
        in the place of its hypothesis.
        """
        for number, row in enumerate(self._rows):
            if isinstance(row, Failure):
                yield (row,) * self._prompts
            else:
                yield tuple(self._answer((number, prompt)) for prompt in range(self._prompts))

    def _answer(self, place: Place) -> Generation | Failure:
        failed = self._failures.get(place)
        if failed is not None:
            return failed
        return replace(self._first[place], hypotheses=tuple(self._hypotheses[place]))

    def _units(self, *, cot: bool) -> Iterator[_Unit]:
        """Inputs that can be asked; what could not be prepared fails its row and prompt."""
        for number, row in enumerate(self._rows):
            for part in () if isinstance(row, Failure) else row:
                for prompt, given in enumerate(part.cot if cot else part.asked):
                    place = number, prompt
                    if isinstance(given, Failure):
                        self._failures.setdefault(place, given)
                    elif place not in self._failures:
                        yield _Unit(place, part, given)

    def _keep(self, unit: _Unit, reply: Generation, question: Question) -> None:
        self._first.setdefault(unit.place, reply)
        kept = self._hypotheses.setdefault(unit.place, [])
        for one in reply.hypotheses:
            is_beam = one.kind == "beam"
            kept.append(
                replace(
                    one,
                    kind="cot" if question.cot else one.kind,
                    beam_count=question.search.beam_count if is_beam else None,
                    prompt_tokens=reply.prompt_tokens,
                    window=unit.part.window,
                    window_s=unit.part.window_s,
                )
            )


def _failed(unit: _Unit, failure: Failure, question: Question) -> Hypothesis:
    """A hypothesis that there is not, and why."""
    beam_count = question.search.beam_count
    return Hypothesis(
        kind="cot" if question.cot else "beam",
        rank=0,
        text=f"{failure.error_type}: {failure.message}",
        token_ids=(),
        token_logprobs=None,
        alpha=None,
        finish_reason="failed",
        emotion_logits=None,
        alpha_kind="none",
        beam_count=None if question.cot else beam_count,
        window=unit.part.window,
        window_s=unit.part.window_s,
    )
