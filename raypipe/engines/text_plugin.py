"""A plug-in made of one function that answers a clip and a prompt with a text.

What tells more of its answers (beams, log-probabilities, raw logits) writes the two halves of
:class:`raypipe.engines.plugins.EnginePlugin` itself. ``tests/plugins/`` has worked packages for
models with loaders of their own.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from raypipe.engines.engine import loads_nothing_else, refuses_nothing
from raypipe.engines.plugins import EnginePlugin, EngineSettings, ModelSettings, PluginOptions
from raypipe.errors import ConfigError, EngineError
from raypipe.labels import LabelSet
from raypipe.protocols import Capabilities, Demand
from raypipe.records import EmotionTokens, Failure, Generation, Hypothesis, Request, Search

_TEXT_ALONE = Capabilities(beams=False, emotion_logits=False, token_logprobs=False)


class TextModel(Protocol):
    """A loaded model."""

    def answer(self, requests: Sequence[Request], max_new_tokens: int) -> Sequence[str | Failure]:
        """Answers to the ``prompt`` about the ``samples`` of each request.

        Args:
            requests: at most ``resources.batch_size`` of them, each with a clip: mono, float32,
                shape ``(samples,)``, at the plug-in's sampling rate.
            max_new_tokens: longest answer.

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
    marks: Sequence[str] = (),
    also_loads: Callable[[Any], Sequence[str]] = loads_nothing_else,
    runs_remote_code: bool = False,
    packages: tuple[str, ...] = (),
) -> EnginePlugin:
    """A plug-in for strategies that read a greedy answer.

    Args:
        model: loads the model where the accelerator is.
        sampling_rate: of the clips, in Hz.
        max_duration_s: longest clip in seconds that it takes whole.
        options: what the config's ``model.options`` may hold.
        marks: texts that the model would take for something else than text; a prompt with one is
            a failure.
        also_loads: from the checked options, files and folders that are loaded beside
            ``model.path``.
        runs_remote_code: code that comes with the checkpoint is run, so that the config has to
            allow it.
        packages: further packages whose versions can change an answer.
    """
    return EnginePlugin(
        partial(_TextFrontend, sampling_rate, max_duration_s, tuple(marks)),
        partial(_TextEngine, model),
        _TEXT_ALONE,
        options,
        also_loads=also_loads,
        also_refuse=_refuse_remote_code if runs_remote_code else refuses_nothing,
        packages=packages,
    )


def import_from(folder: str) -> None:
    """Let modules of a source checkout be imported, as if it were the working directory.

    Raises:
        ConfigError: if there is no such folder.
    """
    if not Path(folder).is_dir():
        raise ConfigError(f"{folder}: there is no such folder with the model's code")
    place = str(Path(folder).resolve())
    if place not in sys.path:
        sys.path.insert(0, place)


@contextmanager
def clip_file(request: Request, sampling_rate: int) -> Iterator[str]:
    """Path of a WAV file with the request's clip, for loaders that take nothing else.

    Args:
        request: with samples.
        sampling_rate: of the samples, in Hz.
    """
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, request.samples, sampling_rate, subtype="FLOAT")  # nothing is rounded
        yield str(path)


def _refuse_remote_code(settings: ModelSettings, demand: Demand) -> None:
    if not settings.trust_remote_code:
        raise ConfigError(
            f"model.trust_remote_code: {settings.path} is run by code that comes with it; say true"
        )


class _TextFrontend:
    def __init__(
        self,
        sampling_rate: int,
        max_duration_s: float,
        marks: tuple[str, ...],
        model: ModelSettings,
    ) -> None:
        self.sampling_rate, self.max_duration_s = sampling_rate, max_duration_s
        self._marks = marks

    def prepare(self, requests: Sequence[Request]) -> list[Request | Failure]:
        return [
            self._refuse(request) or self._refuse_prompt(request) or request for request in requests
        ]

    def with_prompt(self, prepared: Request, prompt: str) -> Request | Failure:
        request = dataclasses.replace(prepared, prompt=prompt)
        return self._refuse_prompt(request) or request

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

    def _refuse_prompt(self, request: Request) -> Failure | None:
        for mark in self._marks:
            if mark in request.prompt:
                message = f"the prompt contains {mark!r}"
                return Failure(request.utterance_id, "prompt", "special_token_in_prompt", message)
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
            answers = self._model.answer(batch, search.max_new_tokens)
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
