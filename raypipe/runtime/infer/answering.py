"""All questions about the utterances of one shard, and what was answered, without Ray.

The questions of a shard are asked one kind after the other, each about all of its utterances at
once, so that the engine's batches are full; the clips' encodings are kept meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from raypipe.engines.contract import Tagged
from raypipe.protocols import RunEngine
from raypipe.questions import Pass
from raypipe.records import AskedQuestion, Failure, Generation, Hypothesis
from raypipe.records.pickling import quickly_pickled
from raypipe.runtime.finish.timings import Timing

RowPrompt = tuple[int, int]
"""Row of the shard and number of the prompt."""

Answered = tuple[Sequence[Hypothesis], Sequence[AskedQuestion]]
"""What is known of an utterance under a prompt: its hypotheses, and what was asked."""


@quickly_pickled
@dataclass(frozen=True, slots=True)
class WindowInputs:
    """A clip, or a window of a long one, made ready for every prompt.

    Attributes:
        window: its number, from 0.
        window_s: its seconds; None for a whole clip.
        asked: the model's inputs, by prompt.
        cot: those of the prompts' variants with step-by-step instructions, by prompt; empty if
            they are not asked.
        for_verifier: the clip as another model takes it that verifies; None without one.
        clip_from: number of a prompt that comes with the clip.
        attributes: those of the template about arousal, valence and dominance, by prompt; empty
            if it is not asked.
        silent: those about silence in the clip's place, by prompt; empty if it is not asked about.
    """

    window: int
    window_s: float | None
    asked: tuple[Tagged | Failure, ...]
    cot: tuple[Tagged | Failure, ...] = ()
    for_verifier: Tagged | Failure | None = None
    clip_from: int = 0
    attributes: tuple[Tagged | Failure, ...] = ()
    silent: tuple[Tagged | Failure, ...] = ()

    def inputs(self, asking: Pass) -> tuple[Tagged | Failure, ...]:
        """What a call of the engine is about, by prompt."""
        if asking.attributes:
            return self.attributes
        if asking.silent:
            return self.silent
        return self.cot if asking.cot else self.asked

    @property
    def clip(self) -> Tagged | Failure:
        """The clip as the model takes it; a text-only input if no prompt comes with a clip."""
        return self.asked[self.clip_from]


@dataclass(frozen=True, slots=True)
class _Input:
    """One input of the engine: a window of a row, asked by one prompt."""

    where: RowPrompt
    window: WindowInputs
    prepared: Tagged | Failure


class ShardAnswers:
    """What has been answered so far, by row and prompt."""

    def __init__(self, rows: Sequence[Sequence[WindowInputs] | Failure], prompts: int) -> None:
        self._rows, self._prompts = rows, prompts
        self._hypotheses: dict[RowPrompt, list[Hypothesis]] = {}
        self._questions: dict[RowPrompt, list[AskedQuestion]] = {}
        self._first: dict[RowPrompt, Generation] = {}
        self._failures: dict[RowPrompt, Failure] = {}
        self.timings: list[Timing] = []

    def ask(
        self, asking: Pass, engine: RunEngine[Tagged], is_ambiguous: Callable[[Answered], bool]
    ) -> None:
        """Put one kind of question to the engine, about every utterance that it concerns.

        Args:
            asking: the call.
            engine: that answers.
            is_ambiguous: of the answers so far of an utterance under a prompt.
        """
        inputs = [
            item
            for item in self._inputs(asking)
            if not asking.only_ambiguous or is_ambiguous(self._answered(item.where))
        ]
        ready = [item.prepared for item in inputs if not isinstance(item.prepared, Failure)]
        first_asked = frozenset(self._first)
        replies: Iterator[Generation | Failure] = iter(())
        if ready:
            started = time.monotonic()
            replies = iter(asking.put(engine, ready))
            self.timings.append(Timing(asking.name, len(ready), time.monotonic() - started))
        for item in inputs:
            reply = item.prepared if isinstance(item.prepared, Failure) else next(replies)
            if isinstance(reply, Failure) and item.where not in first_asked:
                self._failures.setdefault(item.where, reply)
                continue
            # What was answered before is not lost because more could not be had.
            self._questions.setdefault(item.where, []).extend(_asked(item, asking, reply))
            if not isinstance(reply, Failure):
                self._keep(item, reply, asking)

    def by_row(self) -> Iterator[tuple[Generation | Failure, ...]]:
        """What became of each row, by prompt.

        A first question that failed fails the whole prompt; a further one is noted among the
        questions of the answer.
        """
        for number, row in enumerate(self._rows):
            if isinstance(row, Failure):
                yield (row,) * self._prompts
            else:
                yield tuple(self._answer((number, prompt)) for prompt in range(self._prompts))

    def _answered(self, where: RowPrompt) -> Answered:
        return self._hypotheses.get(where, ()), self._questions.get(where, ())

    def _answer(self, where: RowPrompt) -> Generation | Failure:
        failure = self._failures.get(where)
        if failure is not None:
            return failure
        hypotheses, questions = self._answered(where)
        return replace(self._first[where], hypotheses=tuple(hypotheses), questions=tuple(questions))

    def _inputs(self, asking: Pass) -> Iterator[_Input]:
        """Inputs of the rows and prompts that have not failed.

        What could not be prepared fails its row and prompt, unless that was answered before.
        """
        for number, row in enumerate(self._rows):
            for window in () if isinstance(row, Failure) else row:
                for prompt, prepared in enumerate(window.inputs(asking)):
                    where = number, prompt
                    if isinstance(prepared, Failure) and where not in self._first:
                        self._failures.setdefault(where, prepared)
                    elif where not in self._failures:
                        yield _Input(where, window, prepared)

    def _keep(self, item: _Input, reply: Generation, asking: Pass) -> None:
        self._first.setdefault(item.where, reply)
        kept = self._hypotheses.setdefault(item.where, [])
        for hypothesis in reply.hypotheses:
            kept.append(
                replace(
                    hypothesis,
                    kind=asking.kind or hypothesis.kind,
                    beam_count=asking.beam_count if hypothesis.kind == "beam" else None,
                    prompt_tokens=reply.prompt_tokens,
                    window=item.window.window,
                    window_s=item.window.window_s,
                )
            )


def _asked(item: _Input, asking: Pass, reply: Generation | Failure) -> Iterator[AskedQuestion]:
    """A row for every question of the call: answered, or failed with its reason."""
    failure = reply if isinstance(reply, Failure) else None
    for question in asking.questions:
        yield AskedQuestion(
            question=question,
            window=item.window.window,
            window_s=item.window.window_s,
            beam_count=asking.beam_count if question == "beams" else None,
            prompt_tokens=None if isinstance(reply, Failure) else reply.prompt_tokens,
            error_type=None if failure is None else failure.error_type,
            error_message=None if failure is None else failure.message,
        )
