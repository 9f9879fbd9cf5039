"""The CPU half: clips as lossless files, emotion words as tokens where there is a tokenizer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import soundfile

from raypipe.config.api import ApiConfig
from raypipe.engines import emotion_tokens as emotion_token_table
from raypipe.engines.openai.presets import endpoint_of
from raypipe.labels import LabelSet
from raypipe.records import ChatInput, EmotionTokens, Failure, FloatArray, Request, WrittenTurn

_FULL_SCALE = 32_768


class OpenAIFrontend:
    """Encoder of the clips that are sent to an endpoint.

    Args:
        api: the endpoint.
        tokenizer: folder or hub id of the model's tokenizer; None where it is not known.

    Raises:
        ConfigError: if the endpoint is unknown or does not read the format.
    """

    def __init__(self, api: ApiConfig, tokenizer: str | None = None) -> None:
        self.sampling_rate: int = api.sampling_rate
        self.max_duration_s: float = endpoint_of(api).max_duration_s
        self._format = api.audio_format
        self._tokenizer = tokenizer

    def prepare(self, requests: Sequence[Request]) -> list[ChatInput | Failure]:
        """Encode every clip there is: same length, same order, one failure per bad request.

        A failure's ``error_type`` is ``too_long``, ``empty``, ``not_finite`` or ``not_mono``.
        """
        return [self._refuse(request) or self._prepare(request) for request in requests]

    def with_prompt(self, prepared: ChatInput, prompt: str) -> ChatInput | Failure:
        """A model input of the same clip with another prompt."""
        return replace(prepared, prompt=prompt)

    def written(self, prepared: ChatInput) -> WrittenTurn:
        """The text that is sent, after the clip if there is one."""
        clip = f"[{prepared.audio_format} file] " if prepared.audio is not None else ""
        return WrittenTurn(clip + prepared.prompt, None, None)

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        """The sub-tokens of every surface form of every label; none without a tokenizer."""
        if self._tokenizer is None:
            return EmotionTokens((), (), ())
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self._tokenizer)
        return emotion_token_table.emotion_tokens(tokenizer, labels)

    def _prepare(self, request: Request) -> ChatInput:
        samples = request.samples
        audio = None if samples is None else encode(samples, self.sampling_rate, self._format)
        return ChatInput(request.utterance_id, request.prompt, audio, self._format)

    def _refuse(self, request: Request) -> Failure | None:
        samples = request.samples

        def failure(error_type: str, message: str) -> Failure:
            return Failure(request.utterance_id, "prompt", error_type, message)

        if samples is None:
            return None  # a question that can be answered without a clip
        if samples.ndim != 1:
            return failure("not_mono", f"samples have shape {samples.shape}, expected one axis")
        if len(samples) == 0:
            return failure("empty", "no samples")
        duration_s = len(samples) / self.sampling_rate
        if duration_s > self.max_duration_s:
            return failure(
                "too_long", f"{duration_s:.3f} s, the model hears {self.max_duration_s:g} s"
            )
        if not np.isfinite(samples).all():
            return failure("not_finite", "samples hold values that are not finite")
        return None


def encode(samples: FloatArray, sampling_rate: int, audio_format: str) -> bytes:
    """Samples as a file with 16 bits; exactly what they were if they came from 16 bits.

    Args:
        samples: mono, shape ``(samples,)``, full scale at 1; beyond it they are clipped.
        sampling_rate: in Hz.
        audio_format: ``wav`` or ``flac``.
    """
    # libsndfile scales floats by 32,767 and would change every sample that came from 16 bits.
    scaled = np.rint(samples.astype(np.float64) * _FULL_SCALE)
    whole = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, whole, sampling_rate, format=audio_format.upper(), subtype="PCM_16")
    return buffer.getvalue()
