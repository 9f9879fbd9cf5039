"""Cells of an audio column: whole files, decoded samples, paths."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from raypipe.corpora.bad_line import BadLineError, shown
from raypipe.corpora.field_names import whole_number
from raypipe.corpora.limits import RecordingLimits
from raypipe.corpora.manifest import AudioPaths
from raypipe.corpora.pending import stored_recording

_MOST_CHANNELS = 64
_MOST_HERTZ = 1_000_000


def path_of(audio: object) -> str | None:
    """The path that an audio cell tells; None where it tells none."""
    path = audio.get("path") if isinstance(audio, dict) else audio
    return path.strip() or None if isinstance(path, str) else None


def cell_bytes(audio: object, paths: AudioPaths, limits: RecordingLimits) -> bytes:
    """The recording that a cell holds or leads to, as a file.

    Args:
        audio: the cell.
        paths: where a path may lead.
        limits: of the clip.

    Raises:
        BadLineError: ``missing_audio``, ``bad_type``, ``too_large`` and others, for what is none.
        StoreError: if the storage refuses.
    """
    if isinstance(audio, bytes):
        return audio
    if isinstance(audio, dict):
        if audio.get("bytes") is not None:
            return _whole_file(audio["bytes"])
        if audio.get("array") is not None:
            return _encoded(audio["array"], audio.get("sampling_rate"))
    elif audio is not None and not isinstance(audio, str):
        raise BadLineError("missing_audio", f"audio is {shown(audio)}")
    path = path_of(audio)
    if path is None:
        raise BadLineError("missing_audio", "audio has neither bytes nor a path")
    place, name = paths.find(path)
    return stored_recording(place, name, limits)


def _whole_file(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    fault = BadLineError("bad_type", f"audio: bytes is {shown(value)}")
    if not isinstance(value, list):  # of a number, bytes() would make as many zeroes
        raise fault
    try:  # a list of numbers, as JSON writes bytes
        return bytes(value)
    except (TypeError, ValueError) as error:
        raise fault from error


def _encoded(samples: object, sampling_rate: object) -> bytes:
    """Decoded samples as a WAV file that holds exactly them."""
    rate = whole_number(sampling_rate)
    if rate is None or not 1 <= rate <= _MOST_HERTZ:
        raise BadLineError("bad_sampling_rate", f"audio: sampling_rate is {shown(sampling_rate)}")
    try:
        array = np.asarray(samples, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BadLineError("corrupt", f"audio: array is not of numbers: {error}") from error
    if array.ndim not in (1, 2):
        raise BadLineError("corrupt", f"audio: array has {array.ndim} dimensions, not 1 or 2")
    # Channels by samples, or as soundfile gives it: there are fewer channels than samples.
    frames = array.T if array.ndim == 2 and array.shape[0] < array.shape[1] else array
    if array.ndim == 2 and not 1 <= frames.shape[1] <= _MOST_CHANNELS:
        raise BadLineError(
            "too_many_channels", f"audio: array is {array.shape[0]} by {array.shape[1]}"
        )
    buffer = io.BytesIO()
    soundfile.write(buffer, frames, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()
