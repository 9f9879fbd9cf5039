"""w2v-BERT 2.0, which takes log-mel frames two by two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from raypipe.errors import ConfigError
from raypipe.records import FloatArray, LayerStatistics
from raypipe.ssl.encoder import EncoderFamily, EncoderSource
from raypipe.ssl.loading import load_encoder
from raypipe.ssl.pooling import LayerPooling, kept_frames, pooled_layers

_HOP, _WINDOW = 160, 400


class W2vBertEncoder:
    """A ``Wav2Vec2BertModel`` behind SeamlessM4T's log-mel front end.

    Attributes:
        sampling_rate: in Hz.
        stride: samples from one frame to the next.
        pads: clips of different lengths go together, their padding masked.
        shortest_samples: of a clip with one frame.
        longest_samples: None, there is no limit.
        normalisation: in words.
    """

    pads = True
    longest_samples = None

    def __init__(self, source: EncoderSource) -> None:
        from transformers import AutoFeatureExtractor, Wav2Vec2BertModel

        self._model: Any = load_encoder(Wav2Vec2BertModel, source)
        self._extractor = AutoFeatureExtractor.from_pretrained(
            source.path, revision=source.revision
        )
        self._source = source
        self.sampling_rate = int(self._extractor.sampling_rate)
        self.stride = _HOP * int(self._extractor.stride)
        self.shortest_samples = _WINDOW + self.stride - _HOP
        if source.normalisation.kind == "utterance":
            raise ConfigError("w2v-BERT normalises its log-mel bins; set normalisation to none")
        self._normalise = source.normalisation.resolved(False)
        self.normalisation = f"{self._normalise.kind}; log-mel bins to mean 0, variance 1 per clip"

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        """Statistics of every clip; see :class:`raypipe.ssl.encoder.Encoder`."""
        model = self._model
        inputs = self._extractor(
            [self._normalise.apply(clip) for clip in clips],
            sampling_rate=self.sampling_rate,
            return_tensors="pt",
        )
        mask = inputs["attention_mask"].to(model.device)
        kept = [
            kept_frames(frames, len(clip), self.stride)
            for frames, clip in zip(mask.sum(1).tolist(), clips, strict=True)
        ]
        pooling = LayerPooling(kept, with_std=self._source.with_std)
        with torch.inference_mode(), pooled_layers(model.encoder.layers, model.encoder, pooling):
            model(inputs["input_features"].to(model.device, model.dtype), attention_mask=mask)
        return pooling.statistics()


FAMILY = EncoderFamily(
    name="w2v-BERT 2.0",
    rank=70,
    model_types=("wav2vec2-bert",),
    load=W2vBertEncoder,
    layers="the input of each conformer layer, and the encoder's output",
    batches="similar lengths, padding masked",
    normalisation="none of the waveform; every log-mel bin to mean 0 and variance 1 over the clip",
    examples=("facebook/w2v-bert-2.0",),
)
