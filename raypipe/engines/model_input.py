"""What a model input must be like before it joins a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from raypipe.engines.log_mel import RIGHT_CONTEXT_FRAMES
from raypipe.errors import EngineError
from raypipe.records import ModelInput


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
        window_frames: mel frames of the whole window.
        max_positions: tokens of the longest prompt with its answer.
    """

    vocabulary: int
    audio_token_id: int
    mel_bins: int
    window_frames: int
    max_positions: int

    @classmethod
    def of(cls, config: Any) -> Self:
        """The limits in transformers' ``Qwen2AudioConfig``."""
        return cls(
            vocabulary=config.text_config.vocab_size,
            audio_token_id=config.audio_token_id,
            mel_bins=config.audio_config.num_mel_bins,
            window_frames=2 * config.audio_config.max_source_positions,
            max_positions=config.text_config.max_position_embeddings,
        )

    def check(self, one: ModelInput, max_new_tokens: int) -> None:
        """Find out whether an input can be answered at all.

        Raises:
            EngineError: if token ids and features do not fit the model or each other.
        """
        # On a GPU an id outside the vocabulary takes the whole process down, not one row.
        token_ids = one.token_ids
        if token_ids.ndim != 1 or not ((token_ids >= 0) & (token_ids < self.vocabulary)).all():
            raise EngineError(f"token ids are not a list of ids below {self.vocabulary}")
        self._check_features(one)
        found = int((token_ids == self.audio_token_id).sum())
        expected = audio_token_count(one.feature_frames)
        if expected < 1 or found != expected:
            raise EngineError(
                f"{found} audio tokens for {one.feature_frames} frames, expected {expected}"
            )
        needed = len(token_ids) + max_new_tokens
        if needed > self.max_positions:
            raise EngineError(
                f"prompt of {len(token_ids)} tokens and {max_new_tokens} new ones "
                f"exceed the model's {self.max_positions} positions"
            )

    def check_audio_is_in_one_piece(self, one: ModelInput) -> None:
        """Find out whether a clip's audio tokens stand side by side, as vLLM takes them.

        Args:
            one: passed by :meth:`check`.

        Raises:
            EngineError: if something stands between them.
        """
        (places,) = np.nonzero(one.token_ids == self.audio_token_id)
        if places[-1] - places[0] + 1 != len(places):
            raise EngineError("the audio tokens do not stand side by side")

    def _check_features(self, one: ModelInput) -> None:
        features, frames = one.features, one.feature_frames
        if features.ndim != 2 or features.shape[0] != self.mel_bins:
            raise EngineError(
                f"features have shape {features.shape}, expected ({self.mel_bins}, frames)"
            )
        needed = min(frames + RIGHT_CONTEXT_FRAMES, self.window_frames)
        if not needed <= features.shape[1] <= self.window_frames:
            raise EngineError(
                f"{features.shape[1]} feature frames for {frames} real ones, expected "
                f"{needed} to {self.window_frames}"
            )
        if not np.isfinite(features).all():
            raise EngineError("features hold values that are not finite")
