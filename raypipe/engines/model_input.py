"""Limits of a model, and whether an input fits into them before it joins a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from raypipe.engines.log_mel import RIGHT_CONTEXT_FRAMES
from raypipe.errors import EngineError
from raypipe.records import ModelInput

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def encoder_frame_count(feature_frames: int) -> int:
    """Frames after the encoder's strided convolution."""
    return (feature_frames - 1) // 2 + 1


def audio_token_count(feature_frames: int) -> int:
    """Encoder outputs of a clip, each of which stands for one audio token of the prompt."""
    return (encoder_frame_count(feature_frames) - 2) // 2 + 1


@dataclass(frozen=True, slots=True)
class InputLimits:
    """A Qwen2-Audio checkpoint's limits.

    Attributes:
        vocabulary: ids are below it.
        audio_token_id: id that stands for one encoder output.
        mel_bins: of the features.
        window_frames: mel frames of the whole window; a longer clip has several.
        max_positions: tokens of the longest prompt with its answer.
    """

    vocabulary: int
    audio_token_id: int
    mel_bins: int
    window_frames: int
    max_positions: int

    @classmethod
    def of(cls, config: PreTrainedConfig) -> Self:
        """The limits in transformers' ``Qwen2AudioConfig``."""
        return cls(
            vocabulary=config.text_config.vocab_size,
            audio_token_id=config.audio_token_id,
            mel_bins=config.audio_config.num_mel_bins,
            window_frames=2 * config.audio_config.max_source_positions,
            max_positions=config.text_config.max_position_embeddings,
        )

    def check(self, model_input: ModelInput, max_new_tokens: int) -> None:
        """Refuse an input that cannot be answered at all.

        Raises:
            EngineError: if token ids and features do not fit the model or each other.
        """
        # On a GPU an id outside the vocabulary takes the whole process down, not one row.
        token_ids = model_input.token_ids
        if token_ids.ndim != 1 or not ((token_ids >= 0) & (token_ids < self.vocabulary)).all():
            raise EngineError(f"token ids are not a list of ids below {self.vocabulary}")
        audio_tokens = int((token_ids == self.audio_token_id).sum())
        expected = 0
        if model_input.feature_frames:
            self._check_features(model_input)
            expected = audio_token_count(model_input.feature_frames)
        if expected < bool(model_input.feature_frames) or audio_tokens != expected:
            raise EngineError(
                f"{audio_tokens} audio tokens for {model_input.feature_frames} frames, "
                f"expected {expected}"
            )
        check_positions(model_input, max_new_tokens, self.max_positions)

    def windows(self, model_input: ModelInput) -> list[ModelInput]:
        """The windows of a clip as inputs by themselves; the only one if it has one.

        A last window too short for an audio token is not among them.

        Args:
            model_input: passed by :meth:`check`.
        """
        if model_input.features.ndim == 2:
            return [model_input]
        frames = [self.window_frames] * (len(model_input.features) - 1)
        frames.append(model_input.feature_frames - sum(frames))
        return [
            replace(model_input, features=features, feature_frames=count)
            for features, count in zip(model_input.features, frames, strict=True)
            if audio_token_count(count) > 0
        ]

    def _check_features(self, model_input: ModelInput) -> None:
        features, frames = model_input.features, model_input.feature_frames
        if frames > self.window_frames:
            shape = -(-frames // self.window_frames), self.mel_bins, self.window_frames
            if features.shape != shape:
                raise EngineError(
                    f"features have shape {features.shape}, expected {shape} for {frames} frames"
                )
        elif features.ndim != 2 or features.shape[0] != self.mel_bins:
            raise EngineError(
                f"features have shape {features.shape}, expected ({self.mel_bins}, frames)"
            )
        needed = min(frames + RIGHT_CONTEXT_FRAMES, self.window_frames)
        if not needed <= features.shape[-1] <= self.window_frames:
            raise EngineError(
                f"{features.shape[-1]} feature frames for {frames} real ones, expected "
                f"{needed} to {self.window_frames}"
            )
        if not np.isfinite(features).all():
            raise EngineError("features hold values that are not finite")


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """The limits of a model whose features only its own encoder understands.

    Attributes:
        vocabulary: ids are below it, but for ``audio_token_id``.
        audio_token_id: stands for a piece of a clip; None if the model takes no audio.
        max_positions: tokens of the longest prompt with its answer.
        switch_at: a longer sequence has other positions from its first token on; None if not.
    """

    vocabulary: int
    audio_token_id: int | None
    max_positions: int
    switch_at: int | None = None

    @classmethod
    def of(cls, model: PreTrainedModel) -> Self:
        """The limits of a loaded transformers model."""
        config = model.config.get_text_config(decoder=True)
        rope: Any = getattr(config, "rope_parameters", None) or {}
        switches = rope.get("rope_type") in ("longrope", "dynamic")
        return cls(
            vocabulary=model.get_input_embeddings().weight.shape[0],
            audio_token_id=audio_token_id(model.config),
            max_positions=config.max_position_embeddings,
            switch_at=_original_positions(config, rope) if switches else None,
        )

    def check(self, model_input: ModelInput, max_new_tokens: int) -> None:
        """Refuse an input that cannot be answered at all.

        Raises:
            EngineError: if its token ids do not fit the model, or its features are not finite.
        """
        token_ids, is_audio = model_input.token_ids, model_input.token_ids == self.audio_token_id
        known = (token_ids >= 0) & (token_ids < self.vocabulary) | is_audio
        if token_ids.ndim != 1 or not known.all():
            raise EngineError(f"token ids are not a list of ids below {self.vocabulary}")
        if bool(is_audio.any()) != bool(model_input.features.size):
            raise EngineError(
                f"{int(is_audio.sum())} audio tokens for features of shape "
                f"{model_input.features.shape}"
            )
        if not np.isfinite(model_input.features).all():
            raise EngineError("features hold values that are not finite")
        check_positions(model_input, max_new_tokens, self.max_positions)
        if self.switch_at and len(token_ids) <= self.switch_at < len(token_ids) + max_new_tokens:
            raise EngineError(
                f"prompt of {len(token_ids)} tokens and {max_new_tokens} new ones lie on both "
                f"sides of {self.switch_at} positions, where the model counts them differently"
            )


def check_audio_is_in_one_piece(model_input: ModelInput, audio_token_id: int) -> None:
    """Refuse a clip whose audio tokens do not stand side by side, as vLLM takes them.

    Args:
        model_input: an input that fits the model.
        audio_token_id: stands for a piece of a clip.

    Raises:
        EngineError: if something stands between them.
    """
    (places,) = np.nonzero(model_input.token_ids == audio_token_id)
    if not len(places):
        raise EngineError("the question has no clip, which the vLLM engine does not take")
    if places[-1] - places[0] + 1 != len(places):
        raise EngineError("the audio tokens do not stand side by side")


def check_positions(model_input: ModelInput, max_new_tokens: int, max_positions: int) -> None:
    """Refuse a prompt that leaves an answer no room in a model's positions.

    Raises:
        EngineError: if they do not.
    """
    if len(model_input.token_ids) + max_new_tokens > max_positions:
        raise EngineError(
            f"prompt of {len(model_input.token_ids)} tokens and {max_new_tokens} new ones "
            f"exceed the model's {max_positions} positions"
        )


def audio_token_id(config: PreTrainedConfig) -> int | None:
    """The token that stands for a piece of a clip, in transformers' config of a model."""
    for holder in (config, getattr(config, "audio_config", None)):
        token_id: int | None = getattr(holder, "audio_token_id", None)
        if token_id is not None:
            return token_id
    return None


def _original_positions(config: PreTrainedConfig, rope: Any) -> int:
    positions: int = rope.get("original_max_position_embeddings") or getattr(
        config, "original_max_position_embeddings", config.max_position_embeddings
    )
    return positions
