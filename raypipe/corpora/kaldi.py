"""Users' own data as a Kaldi data directory."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from raypipe.corpora.bad_line import line_fault
from raypipe.corpora.facts import gender
from raypipe.corpora.fields import BadLineError, FieldRules, shown
from raypipe.corpora.lines import checked_text, open_text
from raypipe.corpora.manifest import AudioPaths, Fields, ManifestParser, Record
from raypipe.corpora.pending import PendingClip, failure, sized_ahead
from raypipe.corpora.segment import SEGMENT, Segment
from raypipe.errors import CorpusError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.store.location import Location

LAYOUT = """
wav.scp says where recordings lie, segments (if there) which part of which is an utterance; text,
utt2spk and utt2emo add transcript, speaker and labels (several with blanks between them), utt2lang
and spk2gender language and gender, and reco2file_and_channel says which channel (A or B) of a
recording is meant.

Nothing is ever executed: a line of wav.scp that is a command, which Kaldi would run, is refused,
and so is a place inside an archive (foo.ark:123).
"""
"""Text of the catalogue about the files, in paragraphs."""

_RECORDINGS, _SEGMENTS = "wav.scp", "segments"
_CHANNELS = "reco2file_and_channel"
_SIDE_FILES = {
    "text": "transcript",
    "utt2spk": "speaker",
    "utt2emo": "votes",
    "utt2lang": "language",
}
_GENDERS = "spk2gender"
_ARCHIVED = re.compile(r".*\.(?:ark|scp)(?::\d+.*)?", re.IGNORECASE)


def pending_kaldi(
    folder: str,
    labels: LabelSet,
    *,
    audio_root: str | None = None,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
) -> Iterator[PendingClip | Failure]:
    """The utterances of a data directory, before their audio is read.

    Args:
        folder: path or ``s3://`` URI of the directory.
        labels: the label set; labels are matched through its aliases.
        audio_root: what paths are relative to and every recording must lie below. Default: the
            directory itself.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the directory's.
        other_labels: words outside the label set that ``utt2emo`` may hold; they do not count.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.

    Raises:
        CorpusError: if there is no ``wav.scp``, or a file is not text.
        StoreError: if the storage refuses.
    """
    place = Location.parse(folder, endpoint).confined(allow)
    root = place if audio_root is None else Location.parse(audio_root, endpoint)
    rules = FieldRules.of(labels, other_labels, dataset or posixpath.basename(place.uri), channel)
    if not place.exists(_RECORDINGS):
        raise CorpusError(f"there is no {_RECORDINGS} in {place.uri}")
    side_files = {name: _SideFile.of(place, name) for name in _SIDE_FILES}
    channels = _SideFile.of(place, _CHANNELS, _channel)
    yield from channels.faults
    if place.exists(_SEGMENTS):
        recordings = _SideFile.of(place, _RECORDINGS, _plain_path)
        yield from recordings.faults
        file, records = _SEGMENTS, _segments(place, recordings, channels)
    else:
        file, records = _RECORDINGS, _whole(place, channels)
    parser = ManifestParser(file, rules, AudioPaths(root, root, tuple(allow)))
    genders = _SideFile.of(place, _GENDERS)
    yield from genders.faults
    records = _with_genders(_with_side_files(records, side_files), genders)
    yield from sized_ahead(parser.lines(records))
    for side_file in side_files.values():
        yield from side_file.faults
        yield from side_file.unused(file)


@dataclass(slots=True)
class _SideFile:
    """Values of a file with ``<id> <value>`` a line, by id; none if the file is not there."""

    name: str
    values: dict[str, tuple[int, str]] = field(default_factory=dict)
    faults: list[Failure] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, place: Location, name: str, check: Callable[[str], str] | None = None) -> _SideFile:
        side_file = cls(name)
        try:
            for line, key, value in _pairs(place, name):
                try:
                    if isinstance(value, BadLineError):
                        raise value
                    if key in side_file.values:
                        first = side_file.values[key][0]
                        raise BadLineError("duplicate_id", f"{shown(key)} is also in line {first}")
                    side_file.values[key] = line, check(value) if check else value
                except Exception as error:
                    fault = line_fault(error)
                    side_file.faults.append(
                        failure(name, line, key or None, fault.reason, str(fault))
                    )
        except ObjectMissingError:
            return cls(name)
        return side_file

    def take(self, key: str) -> str | None:
        """The value of an id, which is used from now on."""
        self.used.add(key)
        return self.values[key][1] if key in self.values else None

    def unused(self, file: str) -> Iterator[Failure]:
        """Lines about ids that nothing else knows."""
        for key, (line, _) in self.values.items():
            if key not in self.used:
                message = f"{shown(key)} is not in {file}"
                yield failure(self.name, line, key, "missing_audio", message)


def _pairs(place: Location, name: str) -> Iterator[tuple[int, str, str | BadLineError]]:
    """Line, id and the rest of the line."""
    with open_text(place, name) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                key, *rest = checked_text(line, "line").split(maxsplit=1)
            except BadLineError as error:
                yield number, "", error
            else:
                yield number, key, rest[0] if rest else ""


def _plain_path(text: str) -> str:
    """A path, and nothing that Kaldi would run or look into."""
    if not text:
        raise BadLineError("missing_audio", "no path")
    if text.endswith("|") or text.startswith("|"):
        message = f"a command is not run: {shown(text)}; write its output to a file first"
        raise BadLineError("command", message)
    if _ARCHIVED.fullmatch(text):
        message = f"audio in archives is not read: {shown(text)}; unpack it first"
        raise BadLineError("bad_audio_path", message)
    return text


def _channel(text: str) -> str:
    """Channel of a line ``<recording> <file> <channel>``.

    Kaldi writes A and B. Of a number it does not say whether it counts from 0 or 1: it is kept as
    a name, which does no harm beside a recording with one channel.
    """
    *_, channel = text.split() or [""]
    return f"{channel} of {_CHANNELS}" if channel.isdecimal() else channel


def _whole(place: Location, channels: _SideFile) -> Iterator[Record]:
    for line, key, value in _pairs(place, _RECORDINGS):
        try:
            if isinstance(value, BadLineError):
                raise value
            record: Fields | BadLineError = {
                **{"id": key, "audio": _plain_path(value)},
                "channel": channels.take(key),
            }
        except Exception as error:
            record = line_fault(error, key or None)
        yield line, record


def _segments(place: Location, recordings: _SideFile, channels: _SideFile) -> Iterator[Record]:
    for line, key, value in _pairs(place, _SEGMENTS):
        try:
            if isinstance(value, BadLineError):
                raise value
            recording, start_s, end_s = _times(value)
            path = recordings.take(recording)
            if path is None:
                message = f"recording {shown(recording)} has no usable line in {_RECORDINGS}"
                raise BadLineError("missing_audio", message)
            duration_s = None if end_s < 0 else end_s - start_s
            part = Segment(start_s, duration_s)
            record: Fields | BadLineError = {
                **{"id": key, "audio": path, SEGMENT: part},
                "channel": channels.take(recording),
            }
        except Exception as error:
            record = line_fault(error, key or None)
        yield line, record


def _times(value: str) -> tuple[str, float, float]:
    """Recording, start and end in seconds; an end of -1 is the recording's."""
    parts = value.split()
    try:
        recording, start_s, end_s = parts[0], float(parts[1]), float(parts[2])
    except (IndexError, ValueError) as error:
        message = f"not a recording, a start and an end: {shown(value)}"
        raise BadLineError("bad_line", message) from error
    if not 0 <= start_s < 1e7 or not (start_s < end_s < 1e7 or end_s == -1):
        raise BadLineError("bad_line", f"not a part of a recording: {shown(value)}")
    return recording, start_s, end_s


def _with_side_files(
    records: Iterable[Record], side_files: dict[str, _SideFile]
) -> Iterator[Record]:
    for line, record in records:
        if isinstance(record, BadLineError):
            for side_file in side_files.values():
                side_file.take(record.utterance_id or "")
            yield line, record
            continue
        clip = record["id"]
        assert isinstance(clip, str)  # the first word of a line
        values = {column: side_files[name].take(clip) for name, column in _SIDE_FILES.items()}
        votes = values["votes"]
        yield line, {**record, **values, "votes": None if votes is None else votes.split()}


def _with_genders(records: Iterable[Record], genders: _SideFile) -> Iterator[Record]:
    """Records with the gender of their speaker, where the directory tells it."""
    for line, record in records:
        if isinstance(record, BadLineError):
            yield line, record
        else:
            told = genders.take(str(record.get("speaker")))
            yield line, {**record, "gender": gender(told)}
