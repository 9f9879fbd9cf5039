"""The CPU half of the transformers engine: requests to model inputs, without weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from raypipe.engines import emotion_tokens as emotion_token_table
from raypipe.engines.families import family_of
from raypipe.engines.input_builders import AudioFeatures, InputBuilder
from raypipe.engines.plain_turn import plain_turn
from raypipe.engines.processor_loading import in_one_line
from raypipe.errors import ConfigError, EngineError, UnsupportedError
from raypipe.labels import LabelSet
from raypipe.records import (
    ClipPlace,
    EmotionTokens,
    Failure,
    FloatArray,
    IntArray,
    ModelInput,
    Request,
    Turn,
    WrittenTurn,
)

# Most runs ask the same question about every clip; prompts with transcripts differ each time.
_CACHED_TURNS = 256

_ANSWER = "An answer"
"""Stands for any in the chat template."""

_WORD = "emotion"
"""Of a prompt, to see where it is written; no chat template brings it along."""

_NO_LIMIT_S = 24 * 3600.0
"""Longest clip where none is taken: the limit is then another one."""


class TransformersFrontend:
    """Tokenizer and feature extractor of a checkpoint; loads no weights.

    Args:
        model_path: local directory or hub id.
        revision: commit of a hub id.
        trust_remote_code: run code that comes with the checkpoint.
        engine: the engine that will be given what is made here.

    Raises:
        ConfigError: for files that cannot be loaded, or a chat template that cannot be used.
        UnsupportedError: for an architecture that the engine does not take, or one whose processor
            needs a package that is missing.
    """

    def __init__(
        self,
        model_path: str,
        revision: str | None = None,
        trust_remote_code: bool = False,
        *,
        engine: str = "transformers",
    ) -> None:
        origin = {"revision": revision, "trust_remote_code": trust_remote_code}
        # As it is written: a class for it may be vLLM's alone.
        with in_one_line(model_path, "its config.json cannot be loaded"):
            config, _ = PreTrainedConfig.get_config_dict(model_path, revision=revision)
        self.family = family_of(model_path, config.get("architectures"), engine)
        with in_one_line(model_path, "its tokenizer or processor cannot be loaded"):
            self._inputs: InputBuilder = self.family.input_builder(self.family, model_path, origin)
        self._tokenizer = self._inputs.tokenizer
        self._cached_turns: dict[tuple[str, bool, Turn, ClipPlace | None], IntArray] = {}
        self._closing: tuple[int, ...] | None = None
        self.sampling_rate: int = self._inputs.sampling_rate
        self._max_samples = self._inputs.longest
        # A checkpoint may say that it was trained on shorter clips, as the bundled one does.
        trained_s: float | None = config.get("max_audio_duration_s")
        if self._max_samples is not None and trained_s is not None:
            self._max_samples = min(self._max_samples, int(trained_s * self.sampling_rate))
        self.max_duration_s: float = (
            _NO_LIMIT_S if self._max_samples is None else self._max_samples / self.sampling_rate
        )

        self._try_template(model_path)

    def prepare(self, requests: Sequence[Request]) -> list[ModelInput | Failure]:
        """Turn requests into model inputs: same length, same order, one failure per bad request.

        Requests that hold the same ``samples`` object share one feature extraction. A failure's
        ``error_type`` is ``too_long``, ``too_short``, ``not_finite``, ``not_mono``,
        ``no_audio_input``, ``special_token_in_prompt`` or ``not_processed``.
        """
        extracted: dict[int, AudioFeatures] = {}
        return [self._refuse(request) or self._prepare(request, extracted) for request in requests]

    def with_prompt(self, prepared: ModelInput, prompt: str) -> ModelInput | Failure:
        """A model input of the same clip with another prompt in a chat; fails as `prepare`."""
        refused = self._refuse_prompt(prepared.utterance_id, prompt)
        if refused is not None:
            return refused
        audio_tokens = int((prepared.token_ids == self._inputs.audio_token_id).sum())
        return dataclasses.replace(prepared, token_ids=self._ids(prompt, audio_tokens))

    def check_clip_place(self, clip: ClipPlace) -> None:
        """Refuse a place that the chat template does not put a clip in.

        Raises:
            ConfigError: naming the family and the place.
        """
        family = self.family.name
        if self._max_samples is None:
            raise ConfigError(f"prompt.clip: {clip}: {family} takes no clips")
        turn = self._turn(_WORD, True, "chat", clip)
        is_audio = turn == self._inputs.audio_token_id
        is_last = _WORD in self._tokenizer.decode(turn[: int(is_audio.argmax())].tolist())
        if is_last != (clip == "after"):
            other = "after" if is_last else "before"
            raise ConfigError(
                f"prompt.clip: {clip}: the chat template of {family} puts the clip {other} the text"
            )

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""
        return self._tokenizer

    def answer_ids(self, answer: str, end_ids: Sequence[int]) -> IntArray:
        """Token ids of an assistant's answer and of the end of its turn, shape ``(tokens,)``.

        They go on where a request's ``token_ids`` end. The answer is tokenised by itself, as a
        model that answers sees the turn before it.

        Args:
            answer: text without control tokens.
            end_ids: ids that end an answer, one of which closes the template's turn.

        Raises:
            EngineError: if the answer holds a control token.
            UnsupportedError: if the chat template does not write answers after its open turn.
        """
        for token in self._inputs.control_tokens:
            if token in answer:
                raise EngineError(f"the answer contains {token!r}")
        if self._closing is None:
            self._closing = self._closed_by(end_ids)
        written = self._tokenizer(answer, add_special_tokens=False)["input_ids"]
        return np.asarray([*written, *self._closing], dtype=np.int64)

    def _closed_by(self, end_ids: Sequence[int]) -> tuple[int, ...]:
        """Token ids that the template writes after an answer, up to the first that ends it."""
        with_clip = self._max_samples is not None
        opened = self._inputs.rendered("?", with_clip=with_clip)
        closed = self._inputs.rendered("?", with_clip=with_clip, answer=_ANSWER)
        rest = closed.removeprefix(opened + _ANSWER)
        ids: list[int] = self._tokenizer(rest, add_special_tokens=False)["input_ids"]
        length = next((n for n, token_id in enumerate(ids, 1) if token_id in end_ids), None)
        if rest == closed or length is None:
            raise UnsupportedError(
                f"the chat template of {self.family.name} writes no answer, ended by a token that "
                f"ends answers, after the turn that it leaves open: {closed[len(opened) :]!r}"
            )
        return tuple(ids[:length])

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        """The sub-tokens of every surface form of every label."""
        return emotion_token_table.emotion_tokens(self._tokenizer, labels)

    def written(self, prepared: ModelInput) -> WrittenTurn:
        """The turn as the model reads it."""
        token_ids = prepared.token_ids
        is_audio = token_ids == self._inputs.audio_token_id
        edges = np.flatnonzero(np.diff(is_audio)) + 1
        parts = [
            f"[{len(part)} audio tokens]"
            if len(part) and part[0] == self._inputs.audio_token_id
            else self._tokenizer.decode(part.tolist())
            for part in np.split(token_ids, edges)
        ]
        return WrittenTurn("".join(parts), len(token_ids), int(is_audio.sum()))

    def _try_template(self, model_path: str) -> None:
        """Refuse a chat template that every request would fail with."""
        with in_one_line(model_path, "its chat template cannot be used"):
            try:
                self._turn("", self._max_samples is not None, "chat")
            except EngineError as error:
                raise ConfigError(f"model {model_path}: {error}") from error

    def _prepare(
        self, request: Request, extracted: dict[int, AudioFeatures]
    ) -> ModelInput | Failure:
        try:
            if request.samples is None:
                token_ids = self._ids(request.prompt, 0, request.turn, request.clip)
                return ModelInput(request.utterance_id, token_ids, self._inputs.silence, 0)
            clip = id(request.samples)
            if clip not in extracted:
                extracted[clip] = self._extract(request.samples)
            features, frames, tensors, audio_tokens = extracted[clip]
            token_ids = self._ids(request.prompt, audio_tokens, request.turn, request.clip)
        except EngineError as error:
            return Failure(request.utterance_id, "prompt", "not_processed", str(error))
        return ModelInput(request.utterance_id, token_ids, features, frames, tensors)

    def _extract(self, samples: FloatArray) -> AudioFeatures:
        try:
            return self._inputs.extract(samples)
        except (ValueError, RuntimeError, IndexError) as error:
            raise EngineError(
                f"{self.family.processor} does not take {len(samples)} samples: {error}"
            ) from error

    def _ids(
        self, prompt: str, audio_tokens: int, kind: Turn = "chat", clip: ClipPlace | None = None
    ) -> IntArray:
        """The whole turn, with as many audio tokens as its clip asks for."""
        turn = self._turn(prompt, audio_tokens > 0, kind, clip)
        if not audio_tokens:
            return turn
        is_audio = turn == self._inputs.audio_token_id
        return np.repeat(turn, np.where(is_audio, audio_tokens, 1))

    def _turn(
        self, prompt: str, with_clip: bool, kind: Turn, clip: ClipPlace | None = None
    ) -> IntArray:
        """Token ids of the turn with a single audio token, shape ``(tokens,)``."""
        key = prompt, with_clip, kind, clip
        if key not in self._cached_turns:
            if len(self._cached_turns) >= _CACHED_TURNS:
                self._cached_turns.clear()
            self._cached_turns[key] = (
                self._inputs.turn(prompt, with_clip=with_clip, clip=clip)
                if kind == "chat"
                else plain_turn(self.family, self._tokenizer, prompt, with_clip=with_clip)
            )
        return self._cached_turns[key]

    def _refuse(self, request: Request) -> Failure | None:
        if request.samples is not None:
            refusal = self._refuse_clip(request.samples)
            if refusal is not None:
                return Failure(request.utterance_id, "prompt", *refusal)
        return self._refuse_prompt(request.utterance_id, request.prompt)

    def _refuse_clip(self, samples: FloatArray) -> tuple[str, str] | None:
        """Error type and message of a clip that the model does not take; None if it does."""
        rate, shortest = self.sampling_rate, self._inputs.shortest
        if self._max_samples is None:
            name = self.family.name
            return "no_audio_input", f"the question has a clip, {name} hears none"
        if samples.ndim != 1:
            return "not_mono", f"samples have shape {samples.shape}, expected one axis"
        duration = f"{len(samples) / rate:.3f} s ({len(samples)} samples at {rate} Hz)"
        if len(samples) > self._max_samples:
            return "too_long", f"{duration}, the model hears {self.max_duration_s:g} s"
        if len(samples) < shortest:
            return "too_short", f"{duration}, the model needs {shortest} samples"
        if not np.isfinite(samples).all():
            return "not_finite", "samples hold values that are not finite"
        return None

    def _refuse_prompt(self, utterance_id: str, prompt: str) -> Failure | None:
        for token in self._inputs.control_tokens:
            # It would be read as a control token: a second audio, or the end of the user's turn.
            if token in prompt:
                message = f"the prompt contains {token!r}"
                return Failure(utterance_id, "prompt", "special_token_in_prompt", message)
        return None
