"""Users' own data as WebDataset."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import Self

from raypipe.corpora.clips import AUDIO_SUFFIXES
from raypipe.corpora.containers import ClipEntry, found_files
from raypipe.corpora.field_names import unused_names, with_usual_names
from raypipe.corpora.fields import BadLineError, FieldRules, optional_text, parse_json, shown
from raypipe.corpora.lines import checked_text
from raypipe.corpora.pending import id_or_none, in_order, measured, read_or_failure
from raypipe.errors import CorpusError, ObjectMissingError, RaypipeError
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
    """Members of one sample, by their ending with its dot, in lower case."""

    file: str
    number: int
    name: str
    members: dict[str, bytes] = field(default_factory=dict)
    audio_size: int = 0


@dataclass(frozen=True, slots=True)
class Tarball:
    """A tar file; see :class:`raypipe.corpora.containers.Container`."""

    place: Location
    name: str
    rules: FieldRules

    def scan(self) -> Iterator[ClipEntry]:
        """Ids and sizes; the audio is passed over."""
        seen: set[str] = set()
        for sample in _samples(self.place, self.name, with_audio=False):
            if isinstance(sample, RowFailure):
                yield ClipEntry(None, 0)
                continue
            name = id_or_none(partial(_name_and_fields, sample))
            # With folders, or in the same file, a name that comes again means the same recording.
            is_derived = name == sample.name and "/" not in name and name not in seen
            seen.add(sample.name)
            yield ClipEntry(name, sample.audio_size, is_derived)

    def read(self) -> Iterator[Utterance | Failure]:
        """Utterances, and failures that name file and sample."""
        samples = _samples(self.place, self.name, with_audio=True)
        yield from in_order(lambda sample: _utterance(sample, self.rules), samples)

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

    Raises:
        CorpusError: for a folder without any.
    """
    base = posixpath.basename(uri.rstrip("/")).partition(".tar")[0].partition("{")[0]
    name = dataset or base.rstrip("-_0123456789") or "webdataset"
    rules = FieldRules.of(labels, other_labels, name, channel)
    return [Tarball(place, name, rules) for place, name in found_files(uri, (".tar",), endpoint)]


def unused_columns(tarball: Tarball) -> tuple[str, ...]:
    """Fields of a tar file's first samples that nothing is read from; raises as ``scan``."""
    rows: list[dict[str, object]] = []
    unread: dict[str, None] = {}
    for sample in islice(_samples(tarball.place, tarball.name, with_audio=False), _LOOKED_AT):
        if isinstance(sample, _Sample):
            unread |= dict.fromkeys(
                ending for ending in sample.members if _field_ending(ending) not in _READ
            )
            with suppress(BadLineError):
                rows.append(_fields(sample))
    return (*unused_names(rows), *unread)


def _samples(place: Location, name: str, *, with_audio: bool) -> Iterator[_Sample | RowFailure]:
    try:
        stream = place.open(name)
    except ObjectMissingError as error:
        raise CorpusError(f"there is no {place.uri}/{name}") from error
    sample: _Sample | None = None
    number = 0
    with stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|*", tarinfo=_Member) as tar:
                for key, ending, member in _members(tar):
                    if sample is None or sample.name != key:
                        if sample is not None:
                            yield sample
                        number += 1
                        sample = _Sample(name, number, key)
                    if ending.endswith(AUDIO_SUFFIXES):
                        sample.audio_size = max(sample.audio_size, member.size)
                        if not with_audio:
                            continue
                    sample.members[ending] = content(tar, member)
        except RaypipeError:
            raise
        except Exception as error:  # of a damaged archive, its packing or its names
            number = max(number, 1)  # the sample at hand may lack members
            message = f"{name} sample {number}: the tar file is torn from here on: {error}"
            yield RowFailure(None, "ingest", "bad_tar", message, number)
            return
    if sample is not None:
        yield sample


class _Member(tarfile.TarInfo):
    """A member whose header, if it is cut or damaged, tarfile would take for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            if isinstance(error, EOFHeaderError):
                raise
            raise ReadError(f"{error}, where a member or the end mark is due") from error


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Sample and ending with its dot of every file."""
    for member in tar:
        folder, base = posixpath.split(posixpath.normpath(member.name))
        if member.isfile() and not base.startswith("."):
            stem, dot, ending = base.partition(".")
            yield posixpath.join(folder, stem).lstrip("/"), f"{dot}{ending}".lower(), member


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A member's bytes.

    Raises:
        EOFError: if the file ends before they do.
    """
    stream = tar.extractfile(member)
    data = b"" if stream is None else stream.read()
    if len(data) != member.size:
        raise EOFError(f"{member.name} ends after {len(data)} of {member.size} bytes")
    return data


def _utterance(sample: _Sample | RowFailure, rules: FieldRules) -> Utterance | Failure:
    if isinstance(sample, RowFailure):
        return sample
    named = [sample.name]

    def read() -> Utterance:
        name, fields = _name_and_fields(sample)
        named.append(name)
        return measured(rules.utterance(fields, name), _audio(sample), rules.part(fields))

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
    text = sample.members[ending].decode("utf-8-sig", "surrogateescape")
    return checked_text(text, sample.name + ending)


def _audio(sample: _Sample) -> bytes:
    for suffix in AUDIO_SUFFIXES:
        if suffix in sample.members:
            return sample.members[suffix]
    dotted = [ending for ending in sample.members if ending.endswith(AUDIO_SUFFIXES)]
    if dotted:
        raise BadLineError(
            "bad_name",
            f"{shown(sample.name + dotted[0])} has a dot in its name, where WebDataset cuts it",
        )
    members = ", ".join(sample.members)
    raise BadLineError("missing_audio", f"no audio among the members {members}")
