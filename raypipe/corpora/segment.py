"""Parts of recordings: some seconds of some channels, as a file of their own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile

from raypipe.audio import open_sound
from raypipe.audio.decoding import UNKNOWN_FRAMES
from raypipe.audio.media import LONGEST_S
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

    def cut(self, audio: bytes, longest_s: float = LONGEST_S) -> bytes:
        """The part as a file of its own, sample for sample.

        A part that is the whole recording is left as it was found.

        Args:
            audio: the encoded recording.
            longest_s: seconds of a part, beyond which it is refused; no more are ever held.

        Raises:
            DecodeError: ``not_audio``, ``empty``, ``no_channel``, ``too_long``, or ``truncated`` if
                the recording ends before the part.
        """
        buffer = io.BytesIO()
        with open_sound(audio, whole=False) as reader:
            picked = self._picked(reader.channels)
            if picked is None and self._is_whole(reader):
                return audio
            is_exact = reader.subtype in _EXACT
            blocks = self._read(reader, "int16" if is_exact else "float32", longest_s)
            kind, subtype = ("FLAC", "PCM_16") if is_exact else ("WAV", "FLOAT")
            channels, rate = reader.channels if picked is None else len(picked), reader.samplerate
            try:
                with soundfile.SoundFile(
                    buffer, "w", rate, channels, subtype, format=kind
                ) as writer:
                    for block in blocks:
                        writer.write(block if picked is None else block[:, picked])
            except soundfile.LibsndfileError as error:
                message = f"{channels} channels at {rate} Hz cannot be kept as {kind}: {error}"
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

    def _read(
        self, reader: soundfile.SoundFile, dtype: str, longest_s: float
    ) -> Iterator[np.ndarray]:
        """Samples of the part, shape ``(frames, channels)``, a second at a time."""
        rate, is_known = reader.samplerate, reader.frames < UNKNOWN_FRAMES
        start = round(self.start_s * rate)
        wanted = None if self.duration_s is None else round(self.duration_s * rate)
        _check_length(wanted or 0, rate, longest_s)
        try:
            if is_known:
                self._check_end(start + max(wanted or 0, 1), reader.frames, rate)
                start = min(start, reader.frames)
                reader.seek(start)
                _check_length(reader.frames - start if wanted is None else 0, rate, longest_s)
                start = 0
            else:  # a stream of unknown length can only be read from its beginning
                for block in _blocks(reader, start, dtype):
                    start -= len(block)
            frames = 0
            # A header that lies about the length must not cost memory.
            for block in _blocks(reader, wanted, dtype) if start <= 0 else ():
                frames += len(block)
                _check_length(frames, rate, longest_s)
                yield block
        except soundfile.LibsndfileError as error:
            raise DecodeError("not_audio", f"cannot be cut: {error}") from error
        if not is_known:
            self._check_end(max(wanted or 0, 1) + max(start, 0), frames, rate)

    def _check_end(self, end: int, frames: int, rate: int) -> None:
        if end > frames + round(SLACK_S * rate):
            raise DecodeError(
                "truncated",
                f"the part from {self.start_s:g} s, {self.duration_s} s long, ends after the "
                f"recording; {frames / rate:g} s are there",
            )


def _check_length(frames: int, rate: int, longest_s: float) -> None:
    if frames > longest_s * rate:
        raise DecodeError("too_long", f"{frames / rate:.3f} s, the limit is {longest_s:g} s")


def _blocks(reader: soundfile.SoundFile, frames: int | None, dtype: str) -> Iterator[np.ndarray]:
    """The next samples, a second at a time, up to so many frames or to the end."""
    while frames is None or frames > 0:
        most = reader.samplerate if frames is None else min(frames, reader.samplerate)
        block = reader.read(most, dtype=dtype, always_2d=True)
        yield block
        if len(block) < most:
            return
        frames = None if frames is None else frames - len(block)
