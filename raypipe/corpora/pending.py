"""Clips whose audio is yet to be read: read, cut and measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from raypipe.audio import AudioLimits, MeasuredSound, measure
from raypipe.audio.media import audio_track, media_kind
from raypipe.corpora.bad_line import BadLineError, line_fault, shown
from raypipe.corpora.limits import DEFAULT_LIMITS, LARGEST_TEXT, RecordingLimits
from raypipe.corpora.lines import checked_text
from raypipe.corpora.segment import Segment
from raypipe.errors import (
    DecodeError,
    ObjectMissingError,
    OutsideError,
    StoreError,
)
from raypipe.records import Failure, Utterance
from raypipe.shards import RowFailure
from raypipe.store.location import Location

Item = TypeVar("Item")
Result = TypeVar("Result")

_READERS = 8
_BYTES_AHEAD = 256_000_000
_MOST_CHANNELS = 64
_LFS_POINTER = b"version https://git-lfs"
_SEGMENT_BYTES_PER_S = 192_000  # 16 bits, 48 kHz, 2 channels: more than nearly all speech


@dataclass(frozen=True, slots=True)
class PendingClip:
    """A clip whose label is known and whose audio has not been read.

    It can be pickled to where the audio is read.

    Attributes:
        utterance: everything but the audio.
        place: where the audio lies.
        name: of the recording there.
        file: the label file that names the clip, for messages.
        line: in that file; None where the recording itself is all there is.
        path: the recording, as it is called in messages.
        size: bytes of the recording, or of its part; None if not known. Of a part it is an
            estimate from above.
        segment: the part of the recording that is the clip; None for all of it.
        recording_size: bytes of the whole recording, where ``size`` is that of a part.
        transcript_file: an object at ``place`` whose text is the transcript.
    """

    utterance: Utterance
    place: Location
    name: str
    file: str
    line: int | None
    path: str
    size: int | None = None
    segment: Segment | None = None
    transcript_file: str | None = None
    recording_size: int | None = None

    def failure(self, reason: str, message: str) -> Failure:
        """A failure of this clip."""
        return failure(self.file, self.line, self.utterance.utterance_id, reason, message)

    def sized(self) -> PendingClip | Failure:
        """The clip with the size of its recording in the storage, in bytes."""
        try:
            size = self.place.size(self.name)
        except ObjectMissingError as error:
            return self.failure("missing_audio", f"audio: {error}")
        except OutsideError as error:
            return self.failure("bad_audio_path", f"audio: {error}")
        except StoreError as error:
            if self.place.is_s3:
                raise
            return self.failure("unreadable", f"audio: {error}")
        except Exception as error:  # of the system, about a name that nobody foresaw
            fault = line_fault(error)
            return self.failure(fault.reason, str(fault))
        part = size
        if self.segment is not None and self.segment.duration_s is not None:
            part = min(size, round(self.segment.duration_s * _SEGMENT_BYTES_PER_S))
        return replace(self, size=part, recording_size=size)

    @property
    def read_bytes(self) -> int | None:
        """Bytes that are read for it; None if not known."""
        return self.size if self.recording_size is None else self.recording_size

    def read(self, limits: RecordingLimits = DEFAULT_LIMITS) -> Utterance | Failure:
        """The utterance with its audio, sampling rate, duration and transcript.

        Args:
            limits: of the clip.

        Raises:
            StoreError: if the storage refuses for another reason than a missing object.
        """
        return read_or_failure(partial(self._read, limits), self.failure)

    def _read(self, limits: RecordingLimits) -> Utterance:
        utterance = replace(self.utterance, transcript=self._transcript())
        audio = stored_recording(self.place, self.name, limits, self.read_bytes)
        if audio.startswith(_LFS_POINTER):
            raise BadLineError(
                "lfs_pointer", f"{self.path} is a pointer of Git LFS; run `git lfs pull`"
            )
        name = f"audio {shown(self.path)}"
        return measured(utterance, audio, self.segment, name=name, limits=limits)

    def _transcript(self) -> str | None:
        name = self.transcript_file
        if name is None:
            return self.utterance.transcript
        try:
            with self.place.open(name) as stream:
                data = stream.read(LARGEST_TEXT + 1)
        except ObjectMissingError as error:
            raise BadLineError("missing_transcript", f"transcript: {error}") from error
        if len(data) > LARGEST_TEXT:
            message = f"transcript {name} has more than {LARGEST_TEXT:,} bytes"
            raise BadLineError("too_large", message)
        text = data.decode("utf-8-sig", "surrogateescape")
        return checked_text(text, f"transcript {name} line 1") or None


def failure(
    file: str, line: int | None, utterance_id: str | None, reason: str, message: str
) -> Failure:
    """A clip's failure that names file and line, in texts that any table takes.

    An id or a file's name may be what is wrong: bytes in them that are no text are escaped.
    """
    name = None if utterance_id is None else _escaped(utterance_id)
    if line is None:
        return Failure(name, "ingest", reason, _escaped(f"{file}: {message}"))
    text = _escaped(f"{file} line {line}: {message}")
    return RowFailure(name, "ingest", reason, text, line)


def _escaped(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def read_ahead(clips: Iterable[PendingClip | Failure]) -> Iterator[Utterance | Failure]:
    """Read the audio of every clip, a few clips ahead; failures pass through in place."""
    return in_order(lambda clip: clip.read() if isinstance(clip, PendingClip) else clip, clips)


def sized_ahead(clips: Iterable[PendingClip | Failure]) -> Iterator[PendingClip | Failure]:
    """Ask for the size of every recording, a few clips ahead; one that is missing is a failure."""
    return in_order(lambda clip: clip.sized() if isinstance(clip, PendingClip) else clip, clips)


def measured_sound(audio: bytes, limits: RecordingLimits = DEFAULT_LIMITS) -> MeasuredSound:
    """Sampling rate, length and marks of an encoded clip.

    Only what cannot be a recording at all is refused; a run has limits of its own.

    What decoding shows to be damaged is refused by a run, or when it becomes FLAC: its length is
    what was decoded, and its marks say why it is no more.

    Raises:
        DecodeError: if it cannot be a recording.
    """
    known = AudioLimits(max_duration_s=limits.max_duration_s, max_channels=_MOST_CHANNELS)
    return measure(audio, known, whole=False)


def stored_recording(
    place: Location, name: str, limits: RecordingLimits = DEFAULT_LIMITS, size: int | None = None
) -> bytes:
    """A recording that lies in a file or object of its own.

    Args:
        place: where it lies.
        name: of the recording there.
        limits: of the clip.
        size: in bytes; None if not known.

    Raises:
        BadLineError: ``missing_audio``, ``too_large``, ``bad_audio_path`` for a link out of the
            corpus, or ``unreadable`` for a file that the system refuses.
        StoreError: if object storage refuses: it may be back for all of them later.
    """
    try:
        limits.check_size(place.size(name) if size is None else size, f"audio {shown(name)}")
        return place.read(name)
    except ObjectMissingError as error:
        raise BadLineError("missing_audio", f"audio: {error}") from error
    except OutsideError as error:
        raise BadLineError("bad_audio_path", f"audio: {error}") from error
    except StoreError as error:
        if place.is_s3:
            raise
        raise BadLineError("unreadable", f"audio: {error}") from error


def read_or_failure(
    read: Callable[[], Utterance | Failure], failed: Callable[[str, str], Failure]
) -> Utterance | Failure:
    """What a reader makes of one item, or its failure: an item costs no other, whatever is wrong.

    Args:
        read: the item.
        failed: a failure of the item, from reason and message.

    Raises:
        RaypipeError: what is not about the item, such as a storage that refuses.
    """
    try:
        return read()
    except Exception as error:
        fault = line_fault(error)
        return failed(fault.reason, str(fault))


def id_or_none(named: Callable[[], tuple[str, object]]) -> str | None:
    """The id, which comes first, of an item; None where reading the item is a failure."""
    try:
        return named()[0]
    except Exception as error:  # its failure is told when it is read
        line_fault(error)
        return None


def measured(
    utterance: Utterance,
    audio: bytes,
    part: Segment | None = None,
    *,
    name: str = "audio",
    limits: RecordingLimits = DEFAULT_LIMITS,
) -> Utterance:
    """An utterance with its audio, sampling rate, duration and marks.

    Args:
        utterance: everything but the audio.
        audio: the encoded recording.
        part: of the recording that is the clip; None for all of it.
        name: of the audio, for messages.
        limits: of the clip.

    Raises:
        BadLineError: with the reason why it cannot be a recording.
    """
    limits.check_size(len(audio), name)
    try:
        if media_kind(audio) is not None:
            # Once, as shards hold what everything reads.
            audio = audio_track(audio, limits.max_duration_s)
        audio = audio if part is None else part.cut(audio, limits.max_duration_s)
        sound = measured_sound(audio, limits)
    except DecodeError as error:
        raise BadLineError(error.code, f"{name}: {error}") from error
    return replace(
        utterance,
        audio=audio,
        sampling_rate=sound.sampling_rate,
        duration_s=sound.frames / sound.sampling_rate,
        audio_marks=sound.marks,
    )


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    size: Callable[[Item], int] = lambda _: 0,
) -> Iterator[Result]:
    """``map`` with a few threads ahead, so that slow storage is waited for side by side.

    Args:
        function: of an item.
        items: in order.
        size: bytes that an item, or its result, holds in memory: large ones are read alone.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[tuple[Future[Result], int]] = deque()
        held = 0
        for item in items:
            weight = size(item)
            while waiting and (len(waiting) == 2 * _READERS or held + weight > _BYTES_AHEAD):
                result, done = waiting.popleft()
                held -= done
                yield result.result()
            waiting.append((pool.submit(function, item), weight))
            held += weight
        while waiting:
            yield waiting.popleft()[0].result()
