"""Audio tracks of containers that libsndfile does not know: M4A, AAC and video, by extra ``media``.

A track becomes FLAC of 16 bits, which everything else reads; its codec has lost more than that.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from raypipe.audio.mpeg import after_tags
from raypipe.errors import DecodeError
from raypipe.installation import install_hint
from raypipe.records import FloatArray

LONGEST_S = 24 * 3600.0
"""Seconds of a track that are decoded at most."""

_SHORTFALL_S = 0.5  # what encoders put around a track, and rounding of its length
_FULL_SCALE = 2**15
_MICROSECONDS = 1_000_000
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


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
    if audio[:1] == b"G" and audio[188:189] == b"G" and audio[376:377] in (b"G", b""):
        return "MPEG-TS"
    if audio[:4] == b"\0\0\x01\xba":
        return "MPEG-PS"
    if audio[:2] == b"\x0b\x77":
        return "AC-3"
    # The frames of MP3 begin alike, but for the two bits that tell the layer.
    start = after_tags(audio)
    is_adts = audio[start : start + 1] == b"\xff" and audio[start + 1 : start + 2] != b""
    return "AAC" if is_adts and audio[start + 1] & 0xF6 == 0xF0 else None


def can_read_media() -> bool:
    """Whether the extra ``media`` is installed."""
    return importlib.util.find_spec("av") is not None


def audio_track(audio: bytes, longest_s: float = LONGEST_S) -> bytes:
    """The first audio track as a FLAC file of 16 bits.

    Args:
        audio: a file that :func:`media_kind` knows.
        longest_s: seconds beyond which it is refused, as soon as they are decoded.

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
    _check_matroska(audio)
    buffer = io.BytesIO()
    blocks = _blocks(audio, longest_s)
    first, rate = next(blocks)
    channels = first.shape[1]
    try:
        with soundfile.SoundFile(buffer, "w", rate, channels, "PCM_16", format="FLAC") as writer:
            writer.write(_whole_numbers(first))
            for block, _ in blocks:  # so that no more than one of them is held
                writer.write(_whole_numbers(block))
    except soundfile.LibsndfileError as error:
        message = f"its {channels} channels at {rate} Hz cannot be kept as FLAC: {error}"
        raise DecodeError("not_audio", message) from error
    return buffer.getvalue()


def _whole_numbers(samples: FloatArray) -> NDArray[np.int16]:
    whole = np.clip(np.rint(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    return whole.astype(np.int16)


def _declared_s(container: Any, stream: Any) -> float:
    """Length of a track by its own account, in seconds; 0 if there is none."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    # Matroska and WebM keep it in a tag, and one of the whole file, whose video may be longer.
    match = _CLOCK.match(stream.metadata.get("DURATION", ""))
    if match:
        return 3600.0 * int(match[1]) + 60.0 * int(match[2]) + float(match[3])
    is_alone = len(container.streams) == 1 and container.duration
    return container.duration / _MICROSECONDS if is_alone else 0.0


def _check_matroska(audio: bytes) -> None:
    """Refuse a Matroska or WebM file that ends before its one segment does."""
    position = 0
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        start = position + len(name)
        if audio[position:start] != name or start >= len(audio) or not audio[start]:
            return
        width = 9 - audio[start].bit_length()
        coded = int.from_bytes(audio[start : start + width], "big")
        size = coded & ((1 << 7 * width) - 1)
        if size == (1 << 7 * width) - 1:  # not known, as of a live stream
            return
        position = start + width + (size if name[0] == 0x1A else 0)
    if position + size > len(audio):
        message = f"the segment declares {size} bytes, {len(audio) - position} are there"
        raise DecodeError("truncated", message)


def _blocks(audio: bytes, longest_s: float) -> Iterator[tuple[FloatArray, int]]:
    """Samples of the first audio track, shape ``(frames, channels)``, and their rate in Hz.

    There is at least one block; errors are raised after the last one, too.
    """
    av: Any = importlib.import_module("av")
    frames = 0
    try:
        with av.open(io.BytesIO(audio), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise DecodeError("not_audio", f"{media_kind(audio)} without an audio track")
            stream = container.streams.audio[0]
            rate = int(stream.rate or 0)
            if rate < 1:
                raise DecodeError("not_audio", f"{media_kind(audio)} does not tell its rate")
            declared_s = _declared_s(container, stream)
            if declared_s > longest_s:
                raise _too_long(declared_s, longest_s)
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
            for frame in container.decode(stream):
                for converted in resampler.resample(frame):
                    frames += converted.samples
                    if frames > longest_s * rate:
                        raise _too_long(frames / rate, longest_s)
                    yield converted.to_ndarray().T.astype(np.float32), rate
            declared_s = _declared_s(container, stream)
    except DecodeError:
        raise
    except Exception as error:  # of a damaged file, whose parts may be missing: not only FFmpeg's
        raise DecodeError("corrupt", f"{media_kind(audio)}: {error}") from error
    if not frames:
        raise DecodeError("zero_length", "no frames")
    if frames / rate < declared_s - _SHORTFALL_S:
        message = f"the track declares {declared_s:.3f} s, {frames / rate:.3f} s are there"
        raise DecodeError("truncated", message)


def _too_long(duration_s: float, longest_s: float) -> DecodeError:
    return DecodeError("too_long", f"{duration_s:.3f} s, the limit is {longest_s:g} s")
