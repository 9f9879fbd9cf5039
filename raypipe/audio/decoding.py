"""Decoded audio: mono float32 at a model's rate, or the reason why there is none.

libsndfile answers many broken files with fewer or other samples and no error. What it does not
tell is checked: sizes that a container declares but does not hold
(:mod:`raypipe.audio.containers`), frames that a header promises but the decoder does not deliver,
values that are not numbers. A cut is noticed in WAV, AIFF, FLAC, Ogg and in MP3s that tell their
length; rarer containers (AU, CAF, W64) do not give it away.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr  # type: ignore[import-untyped]  # comes with librosa, whose resampler it is

from raypipe.audio.containers import checked_container
from raypipe.audio.marks import OutOfRange, SignalSums, SilentClips
from raypipe.errors import DecodeError
from raypipe.records import AudioMarks, FloatArray

_BLOCK_S = 1
UNKNOWN_FRAMES = 0x7FFFFFFFFFFFFFFF
"""Frames, by libsndfile, of a stream that does not tell its length."""

_FLAC_HEADER = 42  # bytes, with the block that tells the number of frames
_MP3_SHORTFALL = 2 * 1152  # frames; an MP3 decoder may drop what it cannot begin or end with


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Limits of a clip; anything beyond is refused before it is decoded.

    Attributes:
        max_duration_s: longest clip, in seconds.
        max_channels: most channels.
        min_sampling_rate: lowest plausible rate, in Hz.
        max_sampling_rate: highest plausible rate, in Hz.
        channel: that is heard of several, counted from 0; None for their average.
        out_of_range: what becomes of samples far beyond full scale: an ``error``, ``scale`` to what
            they are as whole numbers, or ``keep``.
        silent: what becomes of clips in which nothing is to be heard.
    """

    max_duration_s: float = 1800.0
    max_channels: int = 2
    min_sampling_rate: int = 4_000
    max_sampling_rate: int = 192_000
    channel: int | None = None
    out_of_range: OutOfRange = "keep"
    silent: SilentClips = "keep"


@dataclass(frozen=True, slots=True)
class MeasuredSound:
    """Length and marks of a clip that was decoded.

    Attributes:
        sampling_rate: in Hz.
        frames: number of samples per channel.
        marks: None for samples that are no numbers.
    """

    sampling_rate: int
    frames: int
    marks: AudioMarks | None


@dataclass(frozen=True, slots=True)
class AudioHeader:
    """Sampling rate, channels and length of a clip, from its header.

    Attributes:
        sampling_rate: in Hz.
        channels: number of channels.
        frames: number of samples per channel; None if the header does not say.
    """

    sampling_rate: int
    channels: int
    frames: int | None

    @property
    def duration_s(self) -> float | None:
        """Length in seconds; None if the header does not say."""
        return None if self.frames is None else self.frames / self.sampling_rate


class _Stream(io.BytesIO):
    """Bytes to read; a damaged header that points before them is not followed, but not raised.

    libsndfile calls back through C, where an exception would be printed and lost; it notices
    that the position is not what it asked for.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


class _ForwardReader(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file read front to back.

    soundfile seeks after every read, which makes FLAC decoding slow and fails at the end of a
    stream of unknown length.
    """

    def seekable(self) -> bool:
        return False


def open_sound(audio: bytes, *, whole: bool = True) -> soundfile.SoundFile:
    """A clip opened for reading from front to back.

    Args:
        audio: the encoded file.
        whole: whether it is refused if samples are missing at its end.

    Raises:
        DecodeError: ``empty``, ``not_audio`` or ``truncated``.
    """
    return _open(_Stream(checked_container(audio, whole=whole).audio))


def read_header(audio: bytes, limits: AudioLimits | None = None) -> AudioHeader:
    """Header of a clip, read without decoding it.

    Args:
        audio: the encoded file.
        limits: of the clip; default: those of :class:`AudioLimits`.

    Raises:
        DecodeError: as :func:`decode`, for everything that can be told without decoding.
    """
    with open_sound(audio) as reader:
        return _checked_header(reader, limits or AudioLimits())


def decode(audio: bytes, *, sampling_rate: int, limits: AudioLimits | None = None) -> FloatArray:
    """Decode a clip, take one of its channels or their average, and resample it.

    Args:
        audio: the encoded file: WAV, FLAC, Ogg, MP3, AIFF or what else libsndfile reads.
        sampling_rate: of the result, in Hz.
        limits: of the clip; default: those of :class:`AudioLimits`.

    Returns:
        Mono samples, shape ``(samples,)``, float32, full scale at 1.

    Raises:
        DecodeError: with code ``empty``, ``not_audio``, ``truncated``, ``corrupt``,
            ``zero_length``, ``non_finite``, ``too_long``, ``too_many_channels``,
            ``bad_sampling_rate``, ``no_channel``, ``out_of_range``, ``silent`` or ``antiphase``,
            and a message with the value found and the limit.
    """
    limits = limits or AudioLimits()
    sums = SignalSums()
    joined = _JoinedSamples()
    rate = sampling_rate
    for header, block in sound_blocks(audio, limits):
        rate, heard = header.sampling_rate, _heard(block, limits.channel)
        sums.add(heard)
        joined.add(heard.mean(axis=1, dtype=np.float32))
    samples = joined.samples()
    unusable = len(samples) - int(np.count_nonzero(np.isfinite(samples)))
    if unusable:
        raise DecodeError("non_finite", f"{unusable} of {len(samples)} samples are NaN or infinite")
    scale = sums.scale(limits.out_of_range)
    sums.check_heard(limits.silent)
    return resample(samples if scale == 1.0 else samples * np.float32(scale), rate, sampling_rate)


class _JoinedSamples:
    """Mono samples in one array that grows in its place: never held twice, as a list would be."""

    def __init__(self) -> None:
        self._array: FloatArray = np.zeros(0, dtype=np.float32)
        self._count = 0

    def add(self, block: FloatArray) -> None:
        """Put samples behind those that are there."""
        end = self._count + len(block)
        if end > len(self._array):
            self._array.resize(end + end // 4, refcheck=False)
        self._array[self._count : end] = block
        self._count = end

    def samples(self) -> FloatArray:
        """All of them."""
        self._array.resize(self._count, refcheck=False)
        return self._array


def _heard(block: FloatArray, channel: int | None) -> FloatArray:
    """The channel that is asked for, as one column; a recording with one has no other."""
    if channel is None or block.shape[1] == 1:
        return block
    if channel >= block.shape[1]:
        raise DecodeError("no_channel", f"channel {channel} of {block.shape[1]}, counted from 0")
    return block[:, channel : channel + 1]


def measure(
    audio: bytes, limits: AudioLimits | None = None, *, whole: bool = True
) -> MeasuredSound:
    """Length and marks of a clip, by decoding it.

    Args:
        audio: the encoded file.
        limits: of the clip; default: those of :class:`AudioLimits`.
        whole: whether it is refused if decoding ends too early; else what came before counts, and
            the reason stands in the marks.

    Raises:
        DecodeError: as :func:`decode`, but for what is about the samples' values.
    """
    sums = SignalSums()
    rate = 0
    note = checked_container(audio).note
    try:
        for header, block in sound_blocks(audio, limits or AudioLimits()):
            rate = header.sampling_rate
            sums.add(block)
    except DecodeError as error:
        if whole or error.code not in ("truncated", "corrupt") or not sums.frames:
            raise
        note = str(error)
    else:
        note = note or _more_than_declared(audio, sums.frames)
    return MeasuredSound(rate, sums.frames, sums.marks(note))


def _more_than_declared(audio: bytes, declared: int) -> str | None:
    """A note about a FLAC file with more frames than its header declares; None for any other.

    Decoding ends with the frames that are declared. If it left bytes, the number is taken out of
    the header of a copy, and what is there is counted.

    Args:
        audio: an encoded file that could be decoded.
        declared: frames that were decoded.
    """
    if audio[:4] != b"fLaC" or len(audio) < _FLAC_HEADER:
        return None
    stream = _Stream(audio)
    with _open(stream) as reader:
        for start in range(0, min(reader.frames, declared), reader.samplerate):
            reader.read(min(reader.samplerate, declared - start), dtype="int16")
    if stream.tell() == len(audio):
        return None
    without_number = bytearray(audio)
    without_number[21] &= 0xF0  # 36 bits hold the number of frames
    without_number[22:26] = bytes(4)
    present = 0
    try:
        with _open(_Stream(bytes(without_number))) as reader:
            while block := len(reader.read(reader.samplerate, dtype="int16", always_2d=True)):
                present += block
    except (soundfile.LibsndfileError, DecodeError):
        pass  # the bytes after the last frame are no frames
    if present <= declared:
        return None
    return f"the header declares {declared} frames, {present} are there; the rest is not heard"


def sound_blocks(audio: bytes, limits: AudioLimits) -> Iterator[tuple[AudioHeader, FloatArray]]:
    """Header and samples of a clip, a second at a time, shape ``(frames, channels)``.

    Headers can lie, so the limit of the duration holds while reading too.

    Raises:
        DecodeError: after the last block as well, if there are fewer than the header promises.
    """
    believable = checked_container(audio).audio
    stream = _Stream(believable)
    read = 0
    with _open(stream) as reader:
        header = _checked_header(reader, limits)
        block_frames = _BLOCK_S * header.sampling_rate
        most = int(limits.max_duration_s * header.sampling_rate)
        while True:
            wanted = block_frames
            if reader.format == "FLAC" and header.frames is not None:
                wanted = min(wanted, header.frames - read)  # a tag may follow the last frame
            try:
                block = reader.read(wanted, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                # The decoder lost its way: having used up the bytes, they were cut; before,
                # changed. It reads ahead, so a change in the last few kilobytes is called a cut.
                if stream.tell() >= len(believable):
                    raise DecodeError("truncated", f"the bytes end after frame {read}") from error
                message = f"cannot decode beyond frame {read}: {error}"
                raise DecodeError("corrupt", message) from error
            read += len(block)
            if read > most:
                raise _too_long(read / header.sampling_rate, limits)
            yield header, block
            if len(block) < block_frames:
                break
        shortfall = _MP3_SHORTFALL if reader.subtype.startswith("MPEG") else 0
    if header.frames is not None and read < header.frames - shortfall:
        raise DecodeError(
            "truncated", f"the header promises {header.frames} frames, {read} are there"
        )
    if read == 0:
        raise DecodeError("zero_length", "no frames")


def resample(samples: FloatArray, source: int, target: int) -> FloatArray:
    """Resample with soxr's high-quality band-limited filter, as ``librosa.resample`` does.

    Args:
        samples: shape ``(samples,)``.
        source: sampling rate of ``samples``, in Hz.
        target: sampling rate wanted, in Hz.

    Returns:
        Shape ``(ceil(samples * target / source),)``, float32.
    """
    if source == target:
        return samples
    length = math.ceil(len(samples) * target / source)
    resampled = soxr.resample(samples, source, target, quality="HQ")[:length]
    return np.pad(resampled, (0, length - len(resampled))).astype(np.float32, copy=False)


def _open(stream: _Stream) -> _ForwardReader:
    try:
        return _ForwardReader(stream)
    except soundfile.LibsndfileError as error:
        start = stream.getvalue()[:12]
        raise DecodeError("not_audio", f"no audio format begins with {start!r}") from error


def _checked_header(reader: _ForwardReader, limits: AudioLimits) -> AudioHeader:
    # Of MPEG layers I and II libsndfile only estimates the number.
    is_estimate = reader.subtype in ("MPEG_LAYER_I", "MPEG_LAYER_II")
    frames = None if reader.frames >= UNKNOWN_FRAMES or is_estimate else reader.frames
    header = AudioHeader(reader.samplerate, reader.channels, frames)
    if not limits.min_sampling_rate <= header.sampling_rate <= limits.max_sampling_rate:
        raise DecodeError(
            "bad_sampling_rate",
            f"sampling rate {header.sampling_rate} Hz is outside {limits.min_sampling_rate} to "
            f"{limits.max_sampling_rate} Hz",
        )
    if header.channels > limits.max_channels:
        raise DecodeError(
            "too_many_channels", f"{header.channels} channels, the limit is {limits.max_channels}"
        )
    if frames == 0:
        raise DecodeError("zero_length", "no frames")
    if header.duration_s is not None and header.duration_s > limits.max_duration_s:
        raise _too_long(header.duration_s, limits)
    return header


def _too_long(duration_s: float, limits: AudioLimits) -> DecodeError:
    return DecodeError("too_long", f"{duration_s:.3f} s, the limit is {limits.max_duration_s:g} s")
