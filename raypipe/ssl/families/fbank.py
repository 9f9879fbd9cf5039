"""Log-mel filter banks as s3prl's baseline makes them, the features without a model.

80 mel bins of 25-ms frames every 10 ms by Kaldi's recipe (its defaults but for the number of bins,
no dither, full scale at 1), deltas and deltas of the deltas over 5 frames. ``fbank-s3prl`` then
normalises every dimension over the utterance to mean 0 and variance 1, so that the time-mean of
every clip is 0 and tells nothing; ``fbank-raw`` leaves that out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from raypipe.errors import ConfigError
from raypipe.records import FloatArray, LayerStatistics
from raypipe.ssl.encoder import EncoderFamily, EncoderSource
from raypipe.ssl.pooling import LayerPooling, kept_frames

SAMPLING_RATE = 16_000
_HOP, _WINDOW, _FFT, _BINS = 160, 400, 512, 80
_PRE_EMPHASIS = 0.97
_FLOOR = float(np.finfo(np.float32).eps)
_DELTA_REACH = 2  # frames on either side: torchaudio's win_length of 5
NORMALISED, RAW = "fbank-s3prl", "fbank-raw"


def log_mel_filter_bank(samples: FloatArray) -> FloatArray:
    """Kaldi's log-mel filter bank energies.

    Args:
        samples: at 16 kHz, shape ``(samples,)``, full scale at 1, at least 400.

    Returns:
        Shape ``(frames, 80)``, natural log, float32.
    """
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=_FFT // 2 + 1,
        num_mel_filters=_BINS,
        min_frequency=20,
        max_frequency=SAMPLING_RATE // 2,
        sampling_rate=SAMPLING_RATE,
        norm=None,
        mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )
    window = np.hanning(_WINDOW) ** 0.85  # Povey's
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), _WINDOW)[::_HOP]
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.abs(np.fft.rfft((frames - _PRE_EMPHASIS * before) * window, _FFT)) ** 2
    return np.asarray(np.log(np.maximum(spectrum @ filters, _FLOOR)), np.float32)


def deltas(features: FloatArray) -> FloatArray:
    """Slope over 5 frames, the first and last frame repeated at the ends.

    d_t = sum_n n (c_{t+n} - c_{t-n}) / (2 sum_n n^2), n = 1, 2 (HTK; torchaudio's compute_deltas).

    Args:
        features: shape ``(frames, dimensions)``.

    Example:
        >>> deltas(np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]))[2]
        array([1.])
    """
    padded = np.pad(features, ((_DELTA_REACH, _DELTA_REACH), (0, 0)), mode="edge")
    count = len(features)
    slope = np.zeros_like(features)
    for step in range(1, _DELTA_REACH + 1):
        ahead = padded[_DELTA_REACH + step : _DELTA_REACH + step + count]
        behind = padded[_DELTA_REACH - step : _DELTA_REACH - step + count]
        slope += step * (ahead - behind)
    slope /= 2 * sum(step**2 for step in range(1, _DELTA_REACH + 1))
    return slope


def fbank(samples: FloatArray, *, normalised: bool) -> FloatArray:
    """Filter banks with two orders of deltas.

    Args:
        samples: at 16 kHz, shape ``(samples,)``, full scale at 1, at least 400.
        normalised: every dimension to mean 0 and standard deviation 1 (of a sample) over time.

    Returns:
        Shape ``(frames, 240)``, float32.
    """
    static = log_mel_filter_bank(samples)
    first = deltas(static)
    features = np.concatenate([static, first, deltas(first)], axis=1)
    if normalised:
        # s3prl's is not a number for a single frame; a clip of one frame is refused before.
        spread = features.std(0, ddof=1)
        features = (features - features.mean(0)) / (1e-10 + spread)
    return np.asarray(features, np.float32)


class FilterBanks:
    """Filter banks as an encoder with one layer.

    Attributes:
        sampling_rate: in Hz.
        stride: samples from one frame to the next.
        pads: clips of different lengths go together, each is worked out by itself.
        shortest_samples: of a clip with two frames, the least that has a variance.
        longest_samples: None, there is no limit.
        normalisation: in words.
    """

    sampling_rate, stride, pads = SAMPLING_RATE, _HOP, True
    shortest_samples, longest_samples = _WINDOW + _HOP, None

    def __init__(self, source: EncoderSource) -> None:
        if source.normalisation.kind not in ("checkpoint", "none"):
            raise ConfigError(f"{source.path}: set normalisation to none")
        self._normalised = source.path == NORMALISED
        self._with_std = source.with_std
        self.normalisation = "none; " + (
            "every dimension to mean 0, variance 1 over the clip" if self._normalised else "raw"
        )

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        """Statistics of every clip; see :class:`raypipe.ssl.encoder.Encoder`."""
        statistics = []
        for clip in clips:
            features = fbank(clip, normalised=self._normalised)
            pooling = LayerPooling(
                [kept_frames(len(features), len(clip), self.stride)], with_std=self._with_std
            )
            pooling.add(torch.from_numpy(features)[None])
            statistics += pooling.statistics()
        return statistics


FAMILY = EncoderFamily(
    name="FBANK",
    rank=90,
    built_in=(NORMALISED, RAW),
    load=FilterBanks,
    layers="one: 80 log-mel energies, their deltas, and the deltas of these",
    batches="each clip by itself",
    normalisation=f"{NORMALISED}: every dimension to mean 0, variance 1 over the clip; {RAW}: none",
)
