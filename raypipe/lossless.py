"""Integer PCM as FLAC of the same depth, sample for sample; all else unchanged.

FLAC holds whole numbers. Floating-point recordings and those that were compressed with loss (MP3,
Ogg, Opus, ...) could only become FLAC with other samples or at many times their size.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from raypipe.audio import open_sound
from raypipe.errors import DecodeError

# libsndfile's names of integer PCM, each with FLAC's of the same depth.
_CONTAINERS = {"WAV", "WAVEX", "RF64", "AIFF"}
_DEPTHS = {"PCM_U8": "PCM_S8", "PCM_S8": "PCM_S8", "PCM_16": "PCM_16", "PCM_24": "PCM_24"}
_MAX_CHANNELS = 8
_MAX_SAMPLING_RATE = 655_350


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """A recording as it is stored in a shard.

    Attributes:
        audio: the encoded file.
        kept: reason why it is not FLAC, such as ``WAV/FLOAT``; None for FLAC.
    """

    audio: bytes
    kept: str | None


def as_flac(audio: bytes) -> StoredAudio:
    """A recording as FLAC if that loses nothing, else as it is.

    The samples of the FLAC file are decoded and compared. What a WAV file holds beside its samples
    (names, cue points) is not taken over.

    Args:
        audio: the encoded file.

    Raises:
        DecodeError: ``not_audio``, ``corrupt``, or ``truncated`` if samples are missing.
    """
    with open_sound(audio) as reader:
        kind, subtype, rate = reader.format, reader.subtype, reader.samplerate
        if kind == "FLAC":
            return StoredAudio(audio, None)
        fits = reader.channels <= _MAX_CHANNELS and rate <= _MAX_SAMPLING_RATE
        if kind not in _CONTAINERS or subtype not in _DEPTHS or not fits:
            return StoredAudio(audio, f"{kind}/{subtype}")
        dtype = "int16" if subtype == "PCM_16" else "int32"
        frames = reader.frames
        # A sample takes a byte or more: a header that lies must not cost memory.
        samples = _samples(reader, min(frames, len(audio)), dtype)
    if len(samples) != frames:
        raise DecodeError(
            "truncated", f"the header promises {frames} frames, {len(samples)} are there"
        )
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC", subtype=_DEPTHS[subtype])
    flac = buffer.getvalue()
    with open_sound(flac) as reader:
        decoded = _samples(reader, frames + 1, dtype)
        same = reader.samplerate == rate and np.array_equal(decoded, samples)
    return StoredAudio(flac, None) if same else StoredAudio(audio, "not the same as FLAC")


def _samples(reader: soundfile.SoundFile, frames: int, dtype: str) -> np.ndarray:
    """Up to so many samples, shape ``(frames, channels)``; fewer bits stand in upper ones."""
    try:
        samples: np.ndarray = reader.read(frames, dtype=dtype, always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DecodeError("corrupt", f"cannot be decoded: {error}") from error
    return samples
