"""Whisper's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from raypipe.errors import ConfigError
from raypipe.records import FloatArray, LayerStatistics
from raypipe.ssl.encoder import EncoderFamily, EncoderSource
from raypipe.ssl.loading import load_encoder
from raypipe.ssl.pooling import LayerPooling, kept_frames, pooled_layers


class WhisperEncoder:
    """The encoder of a Whisper checkpoint.

    It has no mask: every clip stands in a window of 30 s whose rest is silence, as it was trained,
    and the frames of the clip alone are pooled. So a clip is the same in any batch.

    Attributes:
        sampling_rate: in Hz.
        stride: samples from one frame to the next.
        pads: clips of different lengths go together.
        shortest_samples: of a clip with one frame.
        longest_samples: of the window.
        normalisation: in words.
    """

    pads = True

    def __init__(self, source: EncoderSource) -> None:
        from transformers import AutoFeatureExtractor, WhisperModel

        self._encoder: Any = load_encoder(WhisperModel, source).encoder
        self._extractor = AutoFeatureExtractor.from_pretrained(
            source.path, revision=source.revision
        )
        self._source = source
        self.sampling_rate = int(self._extractor.sampling_rate)
        self.stride = 2 * int(self._extractor.hop_length)
        self.shortest_samples = self.stride
        self.longest_samples = int(self._extractor.n_samples)
        if source.normalisation.kind == "utterance":
            raise ConfigError("Whisper normalises its own log-mel; set normalisation to none")
        self._normalise = source.normalisation.resolved(False)
        self.normalisation = f"{self._normalise.kind}; log10-mel floored at 8 below its maximum"

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        """Statistics of every clip; see :class:`raypipe.ssl.encoder.Encoder`."""
        encoder = self._encoder
        inputs = self._extractor(
            [self._normalise.apply(clip) for clip in clips],
            sampling_rate=self.sampling_rate,
            return_tensors="pt",
        )
        frames = int(encoder.config.max_source_positions)
        kept = [kept_frames(frames, len(clip), self.stride) for clip in clips]
        pooling = LayerPooling(kept, with_std=self._source.with_std)
        features = inputs["input_features"].to(encoder.device, encoder.dtype)
        with torch.inference_mode(), pooled_layers(encoder.layers, encoder, pooling):
            encoder(features)
        return pooling.statistics()


FAMILY = EncoderFamily(
    name="Whisper",
    rank=80,
    model_types=("whisper",),
    load=WhisperEncoder,
    layers="the input of each layer of the encoder, and its output",
    batches="any lengths, each in a window of 30 s as the model was trained",
    normalisation="none of the waveform; log10-mel floored at 8 below its maximum",
    examples=("openai/whisper-small", "openai/whisper-large-v3"),
)
