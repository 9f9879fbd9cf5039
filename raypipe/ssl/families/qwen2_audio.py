"""The audio encoder of a Qwen2-Audio, and so of the bundled tiny-alm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import gelu

from raypipe.engines.hub_weights import weights_folder
from raypipe.engines.log_mel import cropped_log_mel
from raypipe.engines.model_input import encoder_frame_count
from raypipe.engines.weight_files import weight_files
from raypipe.errors import ConfigError
from raypipe.records import FloatArray, LayerStatistics
from raypipe.ssl.encoder import EncoderFamily, EncoderSource
from raypipe.ssl.pooling import LayerPooling, kept_frames

_TOWERS = ("model.audio_tower.", "audio_tower.")
"""Beginnings of the encoder's weights' names in a checkpoint."""


class Qwen2AudioEncoder:
    """The audio tower alone; the language model's weights are not loaded.

    Clips are encoded on their real frames with padding masked, as the engines do for the whole
    model, and before the tower's pooling of frames two by two.

    Attributes:
        sampling_rate: in Hz.
        stride: samples from one frame to the next.
        pads: clips of different lengths go together, their padding masked.
        shortest_samples: of a clip with one frame.
        longest_samples: of the window.
        normalisation: in words.
    """

    pads = True

    def __init__(self, source: EncoderSource) -> None:
        from transformers import AutoProcessor

        self._extractor = AutoProcessor.from_pretrained(
            source.path, revision=source.revision
        ).feature_extractor
        self._tower: Any = _load_tower(source)
        self._source = source
        self.sampling_rate = int(self._extractor.sampling_rate)
        self.stride = 2 * int(self._extractor.hop_length)
        self.shortest_samples = self.stride
        self.longest_samples = int(self._extractor.n_samples)
        if source.normalisation.kind == "utterance":
            raise ConfigError("Qwen2-Audio normalises its own log-mel; set normalisation to none")
        self._normalise = source.normalisation.resolved(False)
        self.normalisation = f"{self._normalise.kind}; log10-mel floored at 8 below its maximum"

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        """Statistics of every clip; see :class:`raypipe.ssl.encoder.Encoder`."""
        tower = self._tower
        mels = [cropped_log_mel(self._extractor, self._normalise.apply(clip)) for clip in clips]
        counts = [encoder_frame_count(frames) for _, frames in mels]
        kept = [
            kept_frames(count, len(clip), self.stride)
            for count, clip in zip(counts, clips, strict=True)
        ]
        width = max(counts)
        pooling = LayerPooling(kept, with_std=self._source.with_std)
        mask = None
        if min(counts) < width:
            inside = torch.arange(width) < torch.tensor(counts)[:, None]
            mask = inside[:, None, None, :].expand(-1, 1, width, -1).to(tower.device)
        with torch.inference_mode():
            hidden = self._convolved([features for features, _ in mels], width)
            for layer in tower.layers:
                pooling.add(hidden)
                hidden = layer(hidden, mask)
            pooling.add(tower.layer_norm(hidden))
        return pooling.statistics()

    def _convolved(self, mels: Sequence[FloatArray], width: int) -> torch.Tensor:
        """The first ``width`` frames with their positions, shape ``(clips, width, channels)``."""
        tower = self._tower
        # One more frame than is kept: the last one must not see the convolution's own zeros.
        frames = min(2 * width + 2, 2 * tower.max_source_positions)
        features = np.zeros((len(mels), tower.num_mel_bins, frames), np.float32)
        for row, mel in enumerate(mels):
            taken = min(mel.shape[1], frames)
            features[row, :, :taken] = mel[:, :taken]
        hidden = torch.from_numpy(features).to(tower.device, tower.conv1.weight.dtype)
        hidden = gelu(tower.conv2(gelu(tower.conv1(hidden))))
        hidden = hidden.permute(0, 2, 1)[:, :width]
        placed: torch.Tensor = hidden + tower.embed_positions.weight[:width]
        return placed


def _load_tower(source: EncoderSource) -> Any:
    from safetensors import safe_open
    from transformers import AutoConfig
    from transformers.models.qwen2_audio.modeling_qwen2_audio import Qwen2AudioEncoder as Tower

    folder = weights_folder(source.path, source.revision)
    config = AutoConfig.from_pretrained(source.path, revision=source.revision)
    tower = Tower(config.audio_config)
    weights: dict[str, torch.Tensor] = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - an open file of tensors is no dict
                for beginning in _TOWERS:
                    if name.startswith(beginning):
                        weights[name.removeprefix(beginning)] = tensors.get_tensor(name)
    missing = tower.state_dict().keys() - weights.keys()
    if missing:
        raise ConfigError(f"encoder {source.path}: the checkpoint lacks {min(missing)}")
    tower.load_state_dict(weights)
    tower.eval()
    tower.requires_grad_(False)
    return tower.to(source.device, getattr(torch, source.dtype))


FAMILY = EncoderFamily(
    name="Qwen2-Audio",
    rank=10,
    model_types=("qwen2_audio",),
    load=Qwen2AudioEncoder,
    layers="the input of each layer of the audio tower, and the last one's output, normalised",
    batches="similar lengths, padding masked",
    normalisation="none of the waveform; log10-mel floored at 8 below its maximum",
    examples=("tiny-alm", "Qwen/Qwen2-Audio-7B-Instruct"),
)
