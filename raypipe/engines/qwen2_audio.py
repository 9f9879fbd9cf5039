"""Qwen2-Audio's clips, encoded on their real frames, many windows at a time.

``generate()`` pads every clip to 30 s. Audio Flamingo 3 is built of the same parts under the same
names, with another projector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu
from transformers import PreTrainedModel

from raypipe.engines.buckets import similar_lengths
from raypipe.engines.decoder_adapter import DecoderAdapter
from raypipe.engines.model_input import InputLimits, audio_token_count, encoder_frame_count
from raypipe.records import ModelInput

_FRAMES_AT_ONCE = 48_000
"""Clips are encoded together up to so many feature frames (8 minutes): bounds the memory."""
_MASK_ALIGNMENT = 16


class Qwen2AudioAdapter(DecoderAdapter):
    """Adapter of a ``Qwen2AudioForConditionalGeneration``, or of a model built alike.

    Args:
        model: the model in evaluation mode, on its device.

    Raises:
        UnsupportedError: for a variant that the tree decoder does not reproduce.
    """

    limits: InputLimits

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self._audio_tower = model.model.audio_tower
        self._projector = model.model.multi_modal_projector
        self.limits = InputLimits(
            vocabulary=self._embed_tokens.num_embeddings,
            audio_token_id=model.config.audio_token_id,
            mel_bins=self._audio_tower.num_mel_bins,
            window_frames=2 * int(self._audio_tower.max_source_positions),
            max_positions=self.language_model.config.max_position_embeddings,
        )

    def encode(self, inputs: Sequence[ModelInput]) -> list[Tensor]:
        """Audio embeddings of each input: its windows' encoder outputs, one after the other.

        Args:
            inputs: each passed by ``limits.check``.

        Returns:
            Encoder outputs of each input, shape ``(audio tokens, hidden)``, in input order; none
            for a question without a clip.
        """
        windows = [
            self.limits.windows(model_input) if model_input.feature_frames else []
            for model_input in inputs
        ]
        encoded = iter(self._encode_windows([window for some in windows for window in some]))
        outputs = []
        for some in windows:
            parts = [next(encoded) for _ in some]
            outputs.append(torch.cat(parts) if len(parts) > 1 else (*parts, self._no_audio())[0])
        return outputs

    def _encode_windows(self, windows: Sequence[ModelInput]) -> list[Tensor]:
        outputs: list[Tensor] = [torch.empty(0)] * len(windows)
        lengths = [window.feature_frames for window in windows]
        for group in similar_lengths(lengths, _FRAMES_AT_ONCE):
            encoded = self._encode_group([windows[row] for row in group])
            for row, output in zip(group, encoded, strict=True):
                outputs[row] = output
        return outputs

    def _encode_group(self, windows: Sequence[ModelInput]) -> list[Tensor]:
        tower = self._audio_tower
        lengths = torch.tensor([encoder_frame_count(window.feature_frames) for window in windows])
        width = int(lengths.max())
        mask = None
        if bool((lengths < width).any()):
            aligned = -(-width // _MASK_ALIGNMENT) * _MASK_ALIGNMENT
            width = min(aligned, int(tower.max_source_positions))
            mask = (torch.arange(width) < lengths[:, None])[:, None, None, :]
            mask = mask.expand(-1, 1, width, -1).to(self.device)
        hidden = self._convolve(windows, width)
        hidden = hidden + tower.embed_positions.weight[:width]
        for layer in tower.layers:
            hidden = layer(hidden, mask)
        pooled = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
        projected = self._projector(tower.layer_norm(pooled))
        counts = [audio_token_count(window.feature_frames) for window in windows]
        return [projected[row, :count] for row, count in enumerate(counts)]

    def _convolve(self, windows: Sequence[ModelInput], width: int) -> Tensor:
        """The first ``width`` encoder frames, shape ``(rows, width, channels)``."""
        tower = self._audio_tower
        # One more encoder frame than is kept: the last kept one must not see the convolution's
        # own zero padding where the full window has features.
        frames = min(2 * width + 2, self.limits.window_frames)
        features = np.zeros((len(windows), tower.num_mel_bins, frames), dtype=np.float32)
        for row, window in enumerate(windows):
            kept = min(window.features.shape[1], frames)
            features[row, :, :kept] = window.features[:, :kept]
        hidden = torch.from_numpy(features).to(self.device, tower.conv1.weight.dtype)
        hidden = gelu(tower.conv2(gelu(tower.conv1(hidden))))
        return hidden.permute(0, 2, 1)[:, :width]
