"""Users' own data as WebDataset."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from raypipe.corpora.clips import AUDIO_SUFFIXES
from raypipe.corpora.containers import ClipEntry, found_files
from raypipe.corpora.field_names import unused_names, with_usual_names
from raypipe.corpora.fields import BadLineError, FieldRules, optional_text, parse_json, shown
from raypipe.corpora.limits import DEFAULT_LIMITS, TEXT_LIMITS, RecordingLimits
from raypipe.corpora.lines import checked_text
from raypipe.corpora.pending import id_or_none, in_order, measured, read_or_failure
from raypipe.corpora.tar_stream import content, members_of, open_tar
from raypipe.errors import CorpusError, ObjectMissingError, OutsideError, RaypipeError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.shards import RowFailure
from raypipe.store.location import Location

LAYOUT = """
Tar files in which neighbours of one name are one sample.

A member's name up to the first dot after its folders is the sample, the rest is the field:
utt1.wav (or .flac, ...) is the audio, utt1.json (or utt1.wav.json) holds the fields of a manifest's
line (usual other names such as spk and text are understood), utt1.txt the transcript, utt1.cls (or
.label, .emotion) one label, utt1.speaker the speaker, utt1.channel the channel that is the clip.
"""
"""Text of the catalogue about the files, in paragraphs."""

_FIELDS = {
    **dict.fromkeys((".txt", ".text", ".transcript"), "transcript"),
    **dict.fromkeys((".cls", ".label", ".labels", ".emotion", ".emo"), "votes"),
    **dict.fromkeys((".speaker", ".spk"), "speaker"),
    ".channel": "channel",
}
_LOOKED_AT = 20  # samples, for the names of fields
_READ = {".json", *_FIELDS, *AUDIO_SUFFIXES, ""}


@dataclass(slots=True)
class _Sample:
    """Members of one sample, by their ending with its dot, in lower case.

    Attributes:
        members: their bytes; empty for those that nothing is read from.
        audio_size: bytes of the largest recording.
        held: bytes of all members that are read.
        faults: of members that are too large to be read.
    """

    file: str
    number: int
    name: str
    members: dict[str, bytes] = field(default_factory=dict)
    audio_size: int = 0
    held: int = 0
    faults: dict[str, BadLineError] = field(default_factory=dict)

    def check(self, ending: str) -> None:
        """Raise the fault of a member, if it has one."""
        if ending in self.faults:
            raise self.faults[ending]


@dataclass(frozen=True, slots=True)
class Tarball:
    """A tar file; see :class:`raypipe.corpora.containers.Container`."""

    place: Location
    name: str
    rules: FieldRules

    def scan(self) -> Iterator[ClipEntry]:
        """Ids and sizes; the audio is passed over."""
        seen: set[str] = set()
        for sample in _samples(self.place, self.name):
            if isinstance(sample, RowFailure):
                yield ClipEntry(None, 0)
                continue
            name = id_or_none(partial(_name_and_fields, sample))
            # With folders, or in the same file, a name that comes again means the same recording.
            is_derived = name == sample.name and "/" not in name and name not in seen
            seen.add(sample.name)
            yield ClipEntry(name, sample.audio_size, is_derived)

    def read(self, limits: RecordingLimits = DEFAULT_LIMITS) -> Iterator[Utterance | Failure]:
        """Utterances, and failures that name file and sample."""
        samples = _samples(self.place, self.name, limits)
        yield from in_order(lambda sample: _utterance(sample, self.rules, limits), samples, _held)

    def position(self, number: int) -> str:
        """File and sample, counted from 1."""
        return f"{self.name} sample {number + 1}"


def tar_files(
    uri: str,
    labels: LabelSet,
    *,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
) -> list[Tarball]:
    """The tar files a user means.

    Args:
        uri: path or ``s3://`` URI of a tar file or of a folder of them; ``{000000..000007}`` in it
            stands for several.
        labels: the label set; votes are matched through its aliases.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the tar file's up to its number.
        other_labels: words outside the label set that votes may hold.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.

    Raises:
        CorpusError: for a folder without any.
    """
    base = posixpath.basename(uri.rstrip("/")).partition(".tar")[0].partition("{")[0]
    name = dataset or base.rstrip("-_0123456789") or "webdataset"
    rules = FieldRules.of(labels, other_labels, name, channel)
    return [
        Tarball(place, name, rules) for place, name in found_files(uri, (".tar",), endpoint, allow)
    ]


def unused_columns(tarball: Tarball) -> tuple[str, ...]:
    """Fields of a tar file's first samples that nothing is read from; raises as ``scan``."""
    rows: list[dict[str, object]] = []
    unread: dict[str, None] = {}
    for sample in islice(_samples(tarball.place, tarball.name), _LOOKED_AT):
        if isinstance(sample, _Sample):
            unread |= dict.fromkeys(
                ending for ending in sample.members if _field_ending(ending) not in _READ
            )
            with suppress(BadLineError):
                rows.append(_fields(sample))
    return (*unused_names(rows), *unread)


def _held(sample: _Sample | RowFailure) -> int:
    return sample.held if isinstance(sample, _Sample) else 0


def _samples(
    place: Location, name: str, audio: RecordingLimits | None = None
) -> Iterator[_Sample | RowFailure]:
    """The samples of a tar file; recordings are read only where limits for them are given."""
    try:
        stream = place.open(name)
    except ObjectMissingError as error:
        raise CorpusError(f"there is no {place.uri}/{name}") from error
    except OutsideError as error:
        raise CorpusError(str(error)) from error
    sample: _Sample | None = None
    number = 0
    with stream:
        try:
            with open_tar(stream) as tar:
                for key, ending, member in _named(members_of(tar, place.size(name))):
                    if sample is None or sample.name != key:
                        if sample is not None:
                            yield sample
                        number += 1
                        sample = _Sample(name, number, key)
                    _add(sample, ending, tar, member, audio)
        except RaypipeError:
            raise
        except Exception as error:  # of a damaged archive, its packing or its names
            number = max(number, 1)  # the sample at hand may lack members
            message = f"{name} sample {number}: the tar file is torn from here on: {error}"
            yield RowFailure(None, "ingest", "bad_tar", message, number)
            return
    if sample is not None:
        yield sample


def _add(
    sample: _Sample,
    ending: str,
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    audio: RecordingLimits | None,
) -> None:
    """Take over a member of a sample, as far as it is asked for and not too large."""
    is_audio = ending.endswith(AUDIO_SUFFIXES)
    if is_audio:
        sample.audio_size = max(sample.audio_size, member.size)
        if audio is None:
            return
    sample.members[ending] = b""
    limits = audio if is_audio and audio is not None else TEXT_LIMITS
    if not is_audio and not _is_field(ending):
        return
    try:
        limits.check_size(sample.held * is_audio + member.size, shown(member.name))
    except BadLineError as error:
        sample.faults[ending] = error
        return
    sample.members[ending] = content(tar, member)
    sample.held += member.size


def _is_field(ending: str) -> bool:
    return _field_ending(ending) in _FIELDS or _without_audio_suffix(ending) == ".json"


def _named(members: Iterable[tarfile.TarInfo]) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Sample and ending with its dot of every file."""
    for member in members:
        folder, base = posixpath.split(posixpath.normpath(member.name))
        if member.isfile() and not base.startswith("."):
            stem, dot, ending = base.partition(".")
            yield posixpath.join(folder, stem).lstrip("/"), f"{dot}{ending}".lower(), member


def _utterance(
    sample: _Sample | RowFailure, rules: FieldRules, limits: RecordingLimits
) -> Utterance | Failure:
    if isinstance(sample, RowFailure):
        return sample
    named = [sample.name]

    def read() -> Utterance:
        name, fields = _name_and_fields(sample)
        named.append(name)
        utterance = rules.utterance(fields, name)
        return measured(utterance, _audio(sample), rules.part(fields), limits=limits)

    def failed(reason: str, message: str) -> Failure:
        text = f"{sample.file} sample {sample.number} ({shown(sample.name)}): {message}"
        return RowFailure(named[-1], "ingest", reason, text, sample.number)

    return read_or_failure(read, failed)


def _name_and_fields(sample: _Sample) -> tuple[str, dict[str, object]]:
    fields = _fields(sample)
    name = optional_text(fields, "id") or optional_text(fields, "utterance_id")
    return name or sample.name, fields


def _fields(sample: _Sample) -> dict[str, object]:
    fields: dict[str, object] = {}
    for member in sample.members:
        ending = _field_ending(member)
        if ending in _FIELDS and _FIELDS[ending] not in fields:
            fields[_FIELDS[ending]] = _text(sample, member)
    for member in sample.members:
        if _without_audio_suffix(member) == ".json":
            document = parse_json(_text(sample, member), sample.name + member)
            if not isinstance(document, dict):
                raise BadLineError("bad_json", f"{sample.name}{member} is not a JSON object")
            fields |= with_usual_names(document)
    return fields


def _without_audio_suffix(ending: str) -> str:
    """The ending of a member that is named after the recording itself, such as ``u1.wav.json``."""
    suffix = next((suffix for suffix in AUDIO_SUFFIXES if ending.startswith(f"{suffix}.")), "")
    return ending.removeprefix(suffix)


def _field_ending(ending: str) -> str:
    """The ending that says what a member holds: ``.emotion`` of ``u1.wav.emotion.txt``."""
    ending = _without_audio_suffix(ending)
    inner = ending.removesuffix(".txt")
    return inner if inner in _FIELDS else ending


def _text(sample: _Sample, ending: str) -> str:
    sample.check(ending)
    text = sample.members[ending].decode("utf-8-sig", "surrogateescape")
    return checked_text(text, sample.name + ending)


def _audio(sample: _Sample) -> bytes:
    for suffix in AUDIO_SUFFIXES:
        if suffix in sample.members:
            sample.check(suffix)
            return sample.members[suffix]
    dotted = [ending for ending in sample.members if ending.endswith(AUDIO_SUFFIXES)]
    if dotted:
        raise BadLineError(
            "bad_name",
            f"{shown(sample.name + dotted[0])} has a dot in its name, where WebDataset cuts it",
        )
    members = ", ".join(sample.members)
    raise BadLineError("missing_audio", f"no audio among the members {members}")
