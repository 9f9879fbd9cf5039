"""Log-mel features of a clip's real frames, without the padding to the model's whole window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from raypipe.records import FloatArray

if TYPE_CHECKING:
    from transformers import WhisperFeatureExtractor

RIGHT_CONTEXT_FRAMES = 2
"""Frames after the last real one that the encoder's two convolutions of width 3 reach into."""

_SILENT_HOPS = 8
"""Hops of zeros after the kept frames: the STFT mirrors the end of its input, and the mirror must
fall on silence that is cut off again."""


def cropped_log_mel(
    extractor: WhisperFeatureExtractor, samples: FloatArray
) -> tuple[FloatArray, int]:
    """Log-mel features, equal to the full extraction on the frames that a model uses.

    Whisper's extractor pads every clip with zeros to its whole window (30 s) and computes 3000
    frames. The frames after the clip are a constant, so 4 s of speech cost 15 times less
    without them. What the encoder's convolutions see to the right of the last real frame is kept:
    it is the log-mel floor of zero *samples*, which is not a zero *feature*.

    Args:
        extractor: transformers' ``WhisperFeatureExtractor``.
        samples: mono audio at ``extractor.sampling_rate``, shape ``(samples,)``, float32, not
            longer than ``extractor.n_samples``.

    Returns:
        Features of shape ``(mel_bins, frames)``, an even number of frames, and the number of
        real frames among them (one per started hop).
    """
    hop = extractor.hop_length
    real_frames = math.ceil(len(samples) / hop)
    kept_frames = min(
        _round_up_to_even(real_frames + RIGHT_CONTEXT_FRAMES), extractor.nb_max_frames
    )
    padded = min((kept_frames + _SILENT_HOPS) * hop, extractor.n_samples)
    features = extractor(
        samples,
        sampling_rate=extractor.sampling_rate,
        padding="max_length",
        max_length=padded,
        return_tensors="np",
    )["input_features"][0]
    return np.ascontiguousarray(features[:, :kept_frames], dtype=np.float32), real_frames


def _round_up_to_even(count: int) -> int:
    return count + count % 2
