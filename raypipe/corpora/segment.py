"""Parts of recordings: some seconds of some channels, as a file of their own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile

from raypipe.audio import open_sound
from raypipe.audio.decoding import UNKNOWN_FRAMES
from raypipe.corpora.bad_line import shown
from raypipe.corpora.channels import Channels
from raypipe.errors import DecodeError

SEGMENT = "segment"
"""Name of the field that holds a line's :class:`Segment`."""

SLACK_S = 0.05
"""Seconds by which a duration in a manifest may be rounded."""

_EXACT = ("PCM_16", "PCM_S8", "PCM_U8")


@dataclass(frozen=True, slots=True, repr=False)
class Segment:
    """A part of a recording.

    Attributes:
        start_s: where it begins, in seconds.
        duration_s: how long it is; None to the end of the recording.
        channels: its channels, counted from 0, which stay as they are, mixed by a later decoder;
            None for all; a name that is none of a channel, for a recording that has only one. A
            recording with one channel has no other to take.
    """

    start_s: float
    duration_s: float | None
    channels: Channels = None

    def __repr__(self) -> str:
        # This text stands in the fingerprints of ingests that began before there were channels.
        channels = "" if self.channels is None else f", channels={self.channels!r}"
        return f"Segment(start_s={self.start_s}, duration_s={self.duration_s}{channels})"

    def cut(self, audio: bytes) -> bytes:
        """The part as a file of its own, sample for sample.

        A part that is the whole recording is left as it was found.

        Args:
            audio: the encoded recording.

        Raises:
            DecodeError: ``not_audio``, ``empty``, ``no_channel``, or ``truncated`` if the recording
                ends before the part.
        """
        with open_sound(audio, whole=False) as reader:
            picked = self._picked(reader.channels)
            if picked is None and self._is_whole(reader):
                return audio
            exact = reader.subtype in _EXACT
            try:
                samples = self._read(reader, "int16" if exact else "float32")
            except soundfile.LibsndfileError as error:
                raise DecodeError("not_audio", f"cannot be cut: {error}") from error
            rate = reader.samplerate
        if picked is not None:
            samples = samples[:, picked]
        buffer = io.BytesIO()
        kind, subtype = ("FLAC", "PCM_16") if exact else ("WAV", "FLOAT")
        try:
            soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
        except soundfile.LibsndfileError as error:
            message = f"{samples.shape[1]} channels at {rate} Hz cannot be kept as {kind}: {error}"
            raise DecodeError("not_audio", message) from error
        return buffer.getvalue()

    def _picked(self, count: int) -> list[int] | None:
        """The channels to keep of a recording; None for all of them."""
        if self.channels is None or count == 1:
            return None
        if isinstance(self.channels, str):
            raise DecodeError(
                "no_channel",
                f"channel {shown(self.channels)} is none of {count}; they are counted from 0, left "
                "or A is 0, right or B is 1, mix is all",
            )
        beyond = [channel for channel in self.channels if channel >= count]
        if beyond:
            raise DecodeError("no_channel", f"channel {beyond[0]} of {count}, counted from 0")
        return None if self.channels == tuple(range(count)) else list(self.channels)

    def _is_whole(self, reader: soundfile.SoundFile) -> bool:
        slack = round(SLACK_S * reader.samplerate)
        if round(self.start_s * reader.samplerate) > 0:
            return False
        if self.duration_s is None:
            return True
        return bool(abs(round(self.duration_s * reader.samplerate) - reader.frames) <= slack)

    def _read(self, reader: soundfile.SoundFile, dtype: str) -> np.ndarray:
        """Samples of the part, shape ``(frames, channels)``."""
        rate, is_known = reader.samplerate, reader.frames < UNKNOWN_FRAMES
        start = round(self.start_s * rate)
        wanted = None if self.duration_s is None else round(self.duration_s * rate)
        if is_known:
            self._check_end(start + max(wanted or 0, 1), reader.frames, rate)
            reader.seek(min(start, reader.frames))
        else:  # a stream of unknown length can only be read from its beginning
            for block in _blocks(reader, start, dtype):
                start -= len(block)
        # A header that lies about the length must not cost memory.
        blocks = list(_blocks(reader, wanted, dtype)) if start <= 0 or is_known else []
        samples = np.concatenate([np.zeros((0, reader.channels), dtype), *blocks])
        if not is_known:
            self._check_end(max(wanted or 0, 1) + max(start, 0), len(samples), rate)
        return samples

    def _check_end(self, end: int, frames: int, rate: int) -> None:
        if end > frames + round(SLACK_S * rate):
            raise DecodeError(
                "truncated",
                f"the part from {self.start_s:g} s, {self.duration_s} s long, ends after the "
                f"recording; {frames / rate:g} s are there",
            )


def _blocks(reader: soundfile.SoundFile, frames: int | None, dtype: str) -> Iterator[np.ndarray]:
    """The next samples, a second at a time, up to so many frames or to the end."""
    while frames is None or frames > 0:
        most = reader.samplerate if frames is None else min(frames, reader.samplerate)
        block = reader.read(most, dtype=dtype, always_2d=True)
        yield block
        if len(block) < most:
            return
        frames = None if frames is None else frames - len(block)
