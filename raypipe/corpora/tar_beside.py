"""Tar files of recordings with a JSONL file beside them that describes each: Lhotse Shar, NeMo."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from raypipe.corpora.bad_line import line_fault
from raypipe.corpora.containers import ClipEntry
from raypipe.corpora.dialects import EXACT_ID, line_id
from raypipe.corpora.fields import BadLineError, FieldRules, shown, utterance_id
from raypipe.corpora.limits import DEFAULT_LIMITS, RecordingLimits
from raypipe.corpora.manifest import json_records, text_of, until_torn
from raypipe.corpora.pending import failure, in_order, measured, read_or_failure
from raypipe.corpora.tar_stream import content, members_of, open_tar
from raypipe.errors import CorpusError, ObjectMissingError, OutsideError, RaypipeError
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location

_NOT_AUDIO = (".json", ".nodata", ".nometa")

Described = tuple[str, Mapping[str, object]]
"""Name of a member of the tar file without its ending, and the fields of a manifest's line."""


@dataclass(frozen=True, slots=True)
class _DescribedClip:
    """A line of the JSONL file."""

    number: int
    utterance_id: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _TarRecording:
    """A member of the tar file; without its bytes where they are not asked for, or too many."""

    key: str
    size: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class TarBeside:
    """A tar file and the lines about it; see :class:`raypipe.corpora.containers.Container`.

    The lines are held in memory, some thousand as these tools write them; the audio is streamed.

    Attributes:
        place: where the tar file lies.
        name: of the tar file.
        lines: name of the JSONL file at the same place.
        describe: what a line says, None for one about another tar file; may raise BadLineError.
        rules: how the fields are read.
        tells_faults: whether bad lines are told here: several tar files can share the lines.
    """

    place: Location
    name: str
    lines: str
    describe: Callable[[Mapping[str, object]], Described | None]
    rules: FieldRules
    tells_faults: bool = True

    def scan(self) -> Iterator[ClipEntry]:
        """Ids and sizes; the audio is passed over."""
        for entry in self._joined():
            if isinstance(entry, Failure):  # its id may be that of a good clip: a line told twice
                yield ClipEntry(None, 0)
            else:
                line, recording = entry
                is_derived = EXACT_ID in line.fields and "/" not in line.utterance_id
                yield ClipEntry(line.utterance_id, recording.size, is_derived)

    def read(self, limits: RecordingLimits = DEFAULT_LIMITS) -> Iterator[Utterance | Failure]:
        """Utterances, and failures that name file and line."""
        yield from in_order(partial(self._utterance, limits), self._joined(limits), _held)

    def position(self, number: int) -> str:
        """File and recording, counted from 1."""
        return f"{self.name} recording {number + 1}"

    def _utterance(
        self, limits: RecordingLimits, entry: Failure | tuple[_DescribedClip, _TarRecording]
    ) -> Utterance | Failure:
        if isinstance(entry, Failure):
            return entry
        line, sound = entry
        fields, name = line.fields, line.utterance_id

        def read() -> Utterance:
            recording = f"{self.name} {shown(sound.key)}"
            limits.check_size(sound.size, recording)
            utterance, part = self.rules.utterance(fields, name), self.rules.part(fields)
            return measured(utterance, sound.audio, part, name=recording, limits=limits)

        return read_or_failure(read, partial(failure, self.lines, line.number, name))

    def _joined(
        self, audio: RecordingLimits | None = None
    ) -> Iterator[Failure | tuple[_DescribedClip, _TarRecording]]:
        """Bad lines, then every recording with its line, then the lines left without one."""
        described: dict[str, _DescribedClip] = {}
        for fault in self._read_lines(described):
            if self.tells_faults:
                yield fault
        for recording in self._recordings(audio):
            if isinstance(recording, Failure):
                yield recording
            elif recording.key in described:
                yield described.pop(recording.key), recording
            else:
                message = f"{shown(recording.key)} has no line in {self.lines}, or came before"
                yield failure(self.name, None, recording.key, "no_votes", message)
        for key, line in described.items():
            message = f"{shown(key)} is not in {self.name}"
            yield failure(self.lines, line.number, line.utterance_id, "missing_audio", message)

    def _read_lines(self, clips: dict[str, _DescribedClip]) -> Iterator[Failure]:
        with (
            _opened(self.place, self.lines) as stream,
            text_of(stream, self.lines) as text,
        ):
            for number, record in until_torn(json_records(text, dialects=False)):
                name = None
                try:
                    if isinstance(record, BadLineError):
                        raise record
                    description = self.describe(record)
                    if description is None:
                        continue
                    key, fields = description
                    name = utterance_id(fields)
                    if key in clips:
                        message = f"{shown(key)} is also in line {clips[key].number}"
                        raise BadLineError("duplicate_id", message)
                    clips[key] = _DescribedClip(number, name, fields)
                except Exception as error:
                    told = None if isinstance(record, BadLineError) else line_id(record)
                    fault = line_fault(error, name or told)
                    yield failure(self.lines, number, fault.utterance_id, fault.reason, str(fault))

    def _recordings(self, limits: RecordingLimits | None) -> Iterator[_TarRecording | Failure]:
        """Those of the tar file, with their bytes where limits for them are given."""
        last: _TarRecording | None = None
        with _opened(self.place, self.name) as stream:
            try:
                with open_tar(stream) as tar:
                    for member in members_of(tar, self.place.size(self.name)):
                        # Only what comes after a member shows that all of it is there.
                        if last is not None:
                            yield last
                            last = None
                        key, ending = posixpath.splitext(posixpath.normpath(member.name))
                        if member.isfile() and ending.lower() not in _NOT_AUDIO:
                            is_read = limits is not None and member.size <= limits.max_bytes
                            audio = content(tar, member) if is_read else b""
                            last = _TarRecording(key, member.size, audio)
                if last is not None:
                    yield last
            except RaypipeError:
                raise
            except Exception as error:  # of a damaged archive, its packing or its names
                message = f"the tar file is torn from here on: {error}"
                yield failure(self.name, None, None, "bad_tar", message)


def _held(entry: Failure | tuple[_DescribedClip, _TarRecording]) -> int:
    return 0 if isinstance(entry, Failure) else len(entry[1].audio)


def _opened(place: Location, name: str) -> BinaryIO:
    try:
        return place.open(name)
    except ObjectMissingError as error:
        raise CorpusError(f"there is no {place.uri}/{name}") from error
    except OutsideError as error:
        raise CorpusError(str(error)) from error
