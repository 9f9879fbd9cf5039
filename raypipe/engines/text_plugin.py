"""A plug-in made of one function that answers a clip and a prompt with a text.

What tells more of its answers (beams, log-probabilities, raw logits) writes the two halves of
:class:`raypipe.engines.plugins.EnginePlugin` itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol

from raypipe.engines.plugins import EnginePlugin, EngineSettings, ModelSettings, PluginOptions
from raypipe.errors import EngineError
from raypipe.labels import LabelSet
from raypipe.protocols import Capabilities
from raypipe.records import EmotionTokens, Failure, Generation, Hypothesis, Request, Search

_TEXT_ALONE = Capabilities(beams=False, emotion_logits=False, token_logprobs=False)


class TextModel(Protocol):
    """A loaded model."""

    def answer(self, requests: Sequence[Request]) -> Sequence[str | Failure]:
        """Answers to the ``prompt`` about the ``samples`` of each request.

        Args:
            requests: at most ``resources.batch_size`` of them, each with a clip: mono, float32,
                shape ``(samples,)``, at the plug-in's sampling rate.

        Returns:
            For each request, in its place, the greedy answer or why there is none.
        """
        ...


def text_plugin(
    model: Callable[[EngineSettings], TextModel],
    *,
    sampling_rate: int,
    max_duration_s: float,
    options: type[PluginOptions] = PluginOptions,
) -> EnginePlugin:
    """A plug-in for strategies that read a greedy answer.

    Args:
        model: loads the model where the accelerator is.
        sampling_rate: of the clips, in Hz.
        max_duration_s: longest clip in seconds that it takes whole.
        options: what the config's ``model.options`` may hold.
    """
    return EnginePlugin(
        partial(_TextFrontend, sampling_rate, max_duration_s),
        partial(_TextEngine, model),
        _TEXT_ALONE,
        options,
    )


class _TextFrontend:
    def __init__(self, sampling_rate: int, max_duration_s: float, model: ModelSettings) -> None:
        self.sampling_rate, self.max_duration_s = sampling_rate, max_duration_s

    def prepare(self, requests: Sequence[Request]) -> list[Request | Failure]:
        return [self._refuse(request) or request for request in requests]

    def with_prompt(self, prepared: Request, prompt: str) -> Request:
        return dataclasses.replace(prepared, prompt=prompt)

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        return EmotionTokens((), (), ())

    def _refuse(self, request: Request) -> Failure | None:
        if request.samples is None:
            return Failure(
                request.utterance_id, "prompt", "no_clip", "the model is asked about clips"
            )
        duration_s = len(request.samples) / self.sampling_rate
        if duration_s > self.max_duration_s:
            message = f"{duration_s:.3f} s, the model hears {self.max_duration_s:g} s"
            return Failure(request.utterance_id, "prompt", "too_long", message)
        return None


class _TextEngine:
    capabilities = _TEXT_ALONE

    def __init__(
        self, model: Callable[[EngineSettings], TextModel], settings: EngineSettings
    ) -> None:
        self._model, self._batch_size = model(settings), settings.batch_size

    def audio_cache(self) -> AbstractContextManager[None]:
        return nullcontext()

    def generate(self, inputs: Sequence[Request], search: Search) -> list[Generation | Failure]:
        replies: list[Generation | Failure] = []
        for start in range(0, len(inputs), self._batch_size):
            batch = inputs[start : start + self._batch_size]
            answers = self._model.answer(batch)
            if len(answers) != len(batch):
                raise EngineError(f"{len(answers)} answers to {len(batch)} requests")
            replies += [
                _reply(request, answer) for request, answer in zip(batch, answers, strict=True)
            ]
        return replies


def _reply(request: Request, answer: str | Failure) -> Generation | Failure:
    if isinstance(answer, Failure):
        return answer
    greedy = Hypothesis("greedy", 0, answer, (), None, None, "stop", None, alpha_kind="none")
    return Generation(request.utterance_id, (greedy,), prompt_tokens=None, audio_tokens=None)
