"""Encoders that take the waveform itself: wav2vec 2.0 and those built like it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from raypipe.records import FloatArray, LayerStatistics
from raypipe.ssl.encoder import EncoderSource
from raypipe.ssl.loading import load_encoder, normalises
from raypipe.ssl.pooling import LayerPooling, kept_frames, pooled_layers

SAMPLING_RATE = 16_000


class WaveformEncoder:
    """An encoder with a convolutional front end and transformer layers.

    Clips of different lengths go together only where padding can be masked: not with a front end
    that normalises every channel over time (group norm), whose statistics would count the padding.

    Args:
        model: transformers', in evaluation mode, on its device.
        source: what was loaded.
        masks_padding: the rest of the model leaves padding out, given a mask.

    Attributes:
        sampling_rate: in Hz.
        stride: samples from one frame to the next.
        pads: whether clips of different lengths may go together.
        shortest_samples: of a clip with one frame.
        longest_samples: None, there is no limit.
        normalisation: of the waveform, in words.
    """

    sampling_rate = SAMPLING_RATE
    longest_samples = None

    def __init__(self, model: Any, source: EncoderSource, *, masks_padding: bool = True) -> None:
        self._model, self._source = model, source
        config = model.config
        self.stride = int(np.prod(config.conv_stride))
        self.pads = masks_padding and config.feat_extract_norm != "group"
        self.shortest_samples = _receptive_field(config.conv_kernel, config.conv_stride)
        asked = source.normalisation
        self._normalise = asked.resolved(asked.kind == "checkpoint" and normalises(source))
        self.normalisation = self._normalise.kind

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        """Statistics of every clip; see :class:`raypipe.ssl.encoder.Encoder`."""
        model = self._model
        lengths = [len(clip) for clip in clips]
        longest = max(lengths)
        padded = min(lengths) < longest
        assert self.pads or not padded, "clips of different lengths, which would change each other"
        samples = np.zeros((len(clips), longest), np.float32)
        for row, clip in enumerate(clips):
            samples[row, : len(clip)] = self._normalise.apply(clip)
        waveforms = torch.from_numpy(samples).to(model.device, model.dtype)
        mask = None
        if padded:
            mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
            mask = mask.to(model.device, torch.long)
        frames = model._get_feat_extract_output_lengths(torch.tensor(lengths)).tolist()
        kept = [
            kept_frames(own, length, self.stride)
            for own, length in zip(frames, lengths, strict=True)
        ]
        pooling = LayerPooling(kept, with_std=self._source.with_std)
        with (
            torch.inference_mode(),
            pooled_layers(model.encoder.layers, model.encoder, pooling),
            warnings.catch_warnings(),
        ):
            # Of transformers' WavLM, whose mask is boolean and position bias is not.
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
            model(waveforms, attention_mask=mask)
        return pooling.statistics()


def _receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that one frame is made of."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def waveform_loader(
    class_name: str, *, masks_padding: bool = True
) -> Callable[[EncoderSource], WaveformEncoder]:
    """Loader of one of transformers' classes.

    Args:
        class_name: such as ``WavLMModel``.
        masks_padding: see :class:`WaveformEncoder`.
    """

    def load(source: EncoderSource) -> WaveformEncoder:
        import transformers

        model = load_encoder(getattr(transformers, class_name), source)
        return WaveformEncoder(model, source, masks_padding=masks_padding)

    return load


LAYERS = "the input of each transformer layer, and the encoder's output"
BATCHES = "similar lengths, padding masked; clips of one length only with a group-norm front end"
NORMALISATION = "as its preprocessor_config.json says: mean 0 and variance 1 over the clip, or none"
