"""Checks that hold every engine to its contract while it runs.

An answer in the wrong place would look like a wrong answer, so every input travels with the id of
its utterance and every answer is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from raypipe.config.values import is_unicode, shortened
from raypipe.errors import EngineError
from raypipe.labels import LabelSet
from raypipe.protocols import Engine, EngineRequest, Frontend
from raypipe.records import (
    EmotionTokens,
    Failure,
    Generation,
    Hypothesis,
    Request,
    Search,
    WrittenTurn,
)
from raypipe.records.pickling import quickly_pickled

Item = TypeVar("Item")
GenerationOrFailure = TypeVar("GenerationOrFailure", bound=Generation | Failure)


@quickly_pickled
@dataclass(frozen=True, slots=True)
class Tagged:
    """Model input with the id of its utterance."""

    utterance_id: str
    prepared: object


class CheckedFrontend:
    """Frontend whose results are checked.

    Args:
        name: of the engine, for messages.
        frontend: that does the work.
    """

    def __init__(self, name: str, frontend: Frontend[Any]) -> None:
        self._name, self._frontend = name, frontend
        self.sampling_rate: int = frontend.sampling_rate
        self.max_duration_s: float = frontend.max_duration_s

    def prepare(self, requests: Sequence[Request]) -> list[Tagged | Failure]:
        """Turn requests into model inputs: same length, same order, one failure per bad request.

        Raises:
            EngineError: if the frontend gives another number of them, or another's failure.
        """
        ids = [request.utterance_id for request in requests]
        replies = _same_length(self._name, self._frontend.prepare(requests), ids, "inputs")
        return [
            _about(self._name, reply, utterance_id)
            if isinstance(reply, Failure)
            else Tagged(utterance_id, reply)
            for utterance_id, reply in zip(ids, replies, strict=True)
        ]

    def with_prompt(self, prepared: Tagged, prompt: str) -> Tagged | Failure:
        """A model input of the same clip with another prompt."""
        reply = self._frontend.with_prompt(prepared.prepared, prompt)
        if isinstance(reply, Failure):
            return _about(self._name, reply, prepared.utterance_id)
        return Tagged(prepared.utterance_id, reply)

    def written(self, prepared: Tagged) -> WrittenTurn | None:
        """The turn as the model reads it; None where the engine does not tell."""
        write = getattr(self._frontend, "written", None)
        turn: WrittenTurn | None = None if write is None else write(prepared.prepared)
        return turn

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        """The sub-tokens of every surface form of every label."""
        return self._frontend.emotion_tokens(labels)


class CheckedEngine:
    """Engine whose answers are checked.

    Args:
        name: of the engine, for messages.
        engine: that does the work.
        recorded: number of emotion tokens whose logits are recorded.
        several: whether it gives several hypotheses; without, it is asked for greedy answers
            only.
    """

    def __init__(self, name: str, engine: Engine[Any], recorded: int, *, several: bool) -> None:
        self._name, self._engine, self._recorded, self._several = name, engine, recorded, several
        self.capabilities = engine.capabilities

    def audio_cache(self) -> AbstractContextManager[None]:
        """Context in which what is worked out of a clip is kept."""
        return self._engine.audio_cache()

    def generate(self, inputs: Sequence[Tagged], search: Search) -> list[Generation | Failure]:
        """Answer every input: same length, same order.

        Raises:
            EngineError: if an answer is missing, about another utterance or inconsistent.
        """
        if not self._several:
            search = replace(search, beam_count=0)
        replies = self._engine.generate([tagged.prepared for tagged in inputs], search)
        answers = self._answers(inputs, replies)
        for answer in answers:
            if isinstance(answer, Generation):
                self._check_search(answer, search)
        return answers

    def answer(
        self, inputs: Sequence[Tagged], request: EngineRequest
    ) -> list[Generation | Failure]:
        """One reply for every input to a request beyond a search, in their order.

        Raises:
            EngineError: if an answer is missing, about another utterance or inconsistent.
        """
        replies = request.put(self._engine, [tagged.prepared for tagged in inputs])
        return self._answers(inputs, replies)

    def _answers(
        self, inputs: Sequence[Tagged], replies: Sequence[object]
    ) -> list[Generation | Failure]:
        ids = [tagged.utterance_id for tagged in inputs]
        answers = [
            _answer(self._name, reply, utterance_id)
            for utterance_id, reply in zip(
                ids, _same_length(self._name, replies, ids, "answers"), strict=True
            )
        ]
        for answer in answers:
            if isinstance(answer, Generation):
                self._check(answer)
        return answers

    def _check_search(self, answer: Generation, search: Search) -> None:
        who = f"engine {self._name}, {answer.utterance_id!r}"
        kinds = [hypothesis.kind for hypothesis in answer.hypotheses]
        if kinds.count("greedy") != search.greedy or kinds.count("beam") > search.beam_count:
            raise EngineError(
                f"{who}: {kinds.count('greedy')} greedy answers and {kinds.count('beam')} beams, "
                f"asked for were {search.greedy:d} and {search.beam_count}"
            )

    def _check(self, answer: Generation) -> None:
        who = f"engine {self._name}, {answer.utterance_id!r}"
        if not answer.hypotheses:
            raise EngineError(f"{who}: no hypothesis; a Failure says why there is none")
        for what in ("prompt_tokens", "audio_tokens"):
            count = getattr(answer, what)
            if count is not None and not (_is_whole(count) and count >= 0):
                raise EngineError(f"{who}: {what} is {shortened(count)}")
        for hypothesis in answer.hypotheses:
            wrong = self._inconsistency(hypothesis)
            if wrong is not None:
                raise EngineError(f"{who}, {hypothesis.kind} {hypothesis.rank}: {wrong}")

    def _inconsistency(self, hypothesis: Hypothesis) -> str | None:
        if not is_unicode(hypothesis.text):
            return "half a surrogate in its text, which no table takes"
        for token in hypothesis.token_ids or ():
            if not (_is_whole(token) and token >= 0):
                return f"{shortened(token)} among its token ids"
        if hypothesis.alpha is not None and not np.isfinite(hypothesis.alpha):
            return f"alpha is {hypothesis.alpha}; None says that it is not known"
        if (hypothesis.alpha is None) != (hypothesis.alpha_kind == "none"):
            return f"alpha is {hypothesis.alpha} and alpha_kind {hypothesis.alpha_kind!r}"
        if (
            hypothesis.token_logprobs is not None
            and len(hypothesis.token_logprobs) != hypothesis.steps
        ):
            return (
                f"{len(hypothesis.token_logprobs)} log-probabilities of {hypothesis.steps} tokens"
            )
        expected = (hypothesis.steps, self._recorded)
        if hypothesis.emotion_logits is not None and hypothesis.emotion_logits.shape != expected:
            return (
                f"emotion_logits have shape {hypothesis.emotion_logits.shape}, expected {expected}"
            )
        return None


def _is_whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _same_length(
    name: str, replies: Sequence[Item], ids: Sequence[str], what: str
) -> Sequence[Item]:
    if len(replies) != len(ids):
        raise EngineError(
            f"engine {name} gave {len(replies)} {what} for {len(ids)} utterances, "
            f"{ids[0] if ids else 'none'!r} the first"
        )
    return replies


def _answer(name: str, reply: object, utterance_id: str) -> Generation | Failure:
    if not isinstance(reply, Generation | Failure):
        raise EngineError(f"engine {name} answered {utterance_id!r} with a {type(reply).__name__}")
    return _about(name, reply, utterance_id)


def _about(name: str, reply: GenerationOrFailure, utterance_id: str) -> GenerationOrFailure:
    if reply.utterance_id != utterance_id:
        raise EngineError(
            f"engine {name} answered about {reply.utterance_id!r} where {utterance_id!r} was asked"
        )
    return reply
