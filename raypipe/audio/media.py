"""Audio tracks of containers that libsndfile does not know: M4A, AAC and video, by extra ``media``.

A track becomes FLAC of 16 bits, which everything else reads; its codec has lost more than that.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from typing import Any

import numpy as np
import soundfile

from raypipe.errors import DecodeError
from raypipe.installation import install_hint
from raypipe.records import FloatArray

_LONGEST_S = 24 * 3600
_SHORTFALL_S = 0.5  # what encoders put around a track, and rounding of its length
_FULL_SCALE = 2**15


def media_kind(audio: bytes) -> str | None:
    """Name of a container with an audio track that libsndfile does not know; None for any other."""
    if audio[4:8] == b"ftyp":
        return "MP4 or M4A"
    if audio[:4] == b"RIFF" and audio[8:12] == b"AVI ":
        return "AVI"
    if audio[:4] == b"\x1a\x45\xdf\xa3":
        return "Matroska or WebM"
    if audio[:4] == b"\x30\x26\xb2\x75":
        return "WMA or WMV"
    if audio[:5] == b"#!AMR":
        return "AMR"
    if audio[:3] == b"FLV":
        return "FLV"
    # The frames of MP3 begin alike, but for the two bits that tell the layer.
    is_adts = len(audio) > 1 and audio[0] == 0xFF and audio[1] & 0xF6 == 0xF0
    return "AAC" if is_adts else None


def can_read_media() -> bool:
    """Whether the extra ``media`` is installed."""
    return importlib.util.find_spec("av") is not None


def audio_track(audio: bytes) -> bytes:
    """The first audio track as a FLAC file of 16 bits.

    Args:
        audio: a file that :func:`media_kind` knows.

    Raises:
        DecodeError: ``video`` if the extra is not installed; ``not_audio``, ``corrupt``,
            ``truncated``, ``zero_length`` or ``too_long``.
    """
    if not can_read_media():
        raise DecodeError(
            "video",
            f"{media_kind(audio)} is read with extra media ({install_hint('media')}); or make it "
            "audio first: ffmpeg -i FILE -vn FILE.wav",
        )
    samples, rate = _samples(audio)
    whole = np.clip(np.rint(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, whole.astype(np.int16), rate, format="FLAC", subtype="PCM_16")
    except soundfile.LibsndfileError as error:
        message = f"its {samples.shape[1]} channels at {rate} Hz cannot be kept as FLAC: {error}"
        raise DecodeError("not_audio", message) from error
    return buffer.getvalue()


def _samples(audio: bytes) -> tuple[FloatArray, int]:
    """Samples of the first audio track, shape ``(frames, channels)``, and their rate in Hz."""
    av: Any = importlib.import_module("av")
    blocks: list[FloatArray] = []
    frames = 0
    try:
        with av.open(io.BytesIO(audio), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise DecodeError("not_audio", f"{media_kind(audio)} without an audio track")
            stream = container.streams.audio[0]
            rate = int(stream.rate or 0)
            if rate < 1:
                raise DecodeError("not_audio", f"{media_kind(audio)} does not tell its rate")
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
            for frame in container.decode(stream):
                for converted in resampler.resample(frame):
                    blocks.append(converted.to_ndarray().T.astype(np.float32))
                    frames += converted.samples
                if frames > _LONGEST_S * rate:
                    raise DecodeError("too_long", f"more than {_LONGEST_S} s")
            declared_s = float(stream.duration * stream.time_base) if stream.duration else 0.0
    except (av.FFmpegError, ValueError) as error:
        raise DecodeError("corrupt", f"{media_kind(audio)}: {error}") from error
    if not frames:
        raise DecodeError("zero_length", "no frames")
    if frames / rate < declared_s - _SHORTFALL_S:
        message = f"the track declares {declared_s:.3f} s, {frames / rate:.3f} s are there"
        raise DecodeError("truncated", message)
    return np.concatenate(blocks), rate
