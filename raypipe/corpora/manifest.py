"""Users' own data as a manifest."""

from __future__ import annotations

import gzip
import posixpath
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from raypipe.corpora.bad_line import line_fault
from raypipe.corpora.dialects import EXACT_ID, as_fields, line_id
from raypipe.corpora.field_names import (
    AUDIO_COLUMNS,
    repeated_column,
    unused_names,
    whole_path,
    with_usual_names,
)
from raypipe.corpora.fields import (
    BadLineError,
    FieldRules,
    optional_text,
    parse_json,
    shown,
    utterance_id,
)
from raypipe.corpora.limits import LabelText, TextLimitError, unpacked
from raypipe.corpora.lines import as_lines, csv_columns, csv_records, json_entries, single_lines
from raypipe.corpora.pending import PendingClip, failure, sized_ahead
from raypipe.corpora.segment import SEGMENT
from raypipe.corpora.vote_rows import table_records
from raypipe.errors import ConfigError, CorpusError, ObjectMissingError, OutsideError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.store.bounds import Bounds
from raypipe.store.location import Location

LAYOUT = """
A JSONL, CSV or TSV file that names each clip, where it lies and what was heard. One line is one
utterance. Columns (others, such as gender or snr, are kept as facts to slice by):

- id (or utterance_id): unique text
- audio: path relative to the manifest (or audio_root), absolute path or s3:// URI below it
- votes: labels, ["anger", "sadness"]; or votes, [{"annotator": "a1", "labels": ["anger"], "typed":
  "fed up"}]; or counts, {"anger": 2}; in CSV anger|sadness or the same JSON. Without it, words in a
  column emotion, label, labels or emo are votes
- soft_label: instead of, or overruling, the votes: {"anger": 0.8, "sadness": 0.2} or a list in the
  label set's order; in CSV the same JSON
- transcript, speaker, split, dataset: text
- context: previous turns, oldest first: a list of texts; in CSV as JSON
- arousal, valence, dominance: numbers, the annotators' mean; a vote may have these three as well

A table may have one row for every vote, as annotation tools write them: with a column annotator (or
rater, worker ...) and one of votes (or emotion ...), rows of one clip are one utterance, and typed,
arousal, valence and dominance are the vote's. Without a column id the path is the id; audio may
also be called file, path, filename or wav.

Lines of NeMo and EmoBox manifests and of Lhotse cuts are understood too, and SpeechBrain's JSON
files. A file may be packed with gzip (.gz).

A line that cannot be used is a failure of its own with its reason; all the others go on.
"""
"""Text of the catalogue about the files, in paragraphs."""

Fields = Mapping[str, object]
Record = tuple[int, Fields | BadLineError]
"""A line's number and its fields, or why it has none."""

_LOOKED_AT = 100  # lines, for the names of fields
_LONGEST_PATH = 1024  # bytes; the longest key of an S3 object


def pending_manifest(
    manifest: str,
    labels: LabelSet,
    *,
    audio_root: str | None = None,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
) -> Iterator[PendingClip | Failure]:
    """The clips of a manifest in its order, before their audio is read.

    Their sizes are asked for, a few at a time, so a clip that is not there is a failure already.

    Args:
        manifest: path or ``s3://`` URI of a ``.jsonl``, ``.ndjson``, ``.csv``, ``.tsv`` or
            ``.json`` file, packed with gzip if ``.gz`` follows.
        labels: the label set; votes are matched through its aliases.
        audio_root: directory or ``s3://`` prefix that relative paths are relative to and every
            clip must lie below. Default: the manifest's own folder. ``s3://`` URIs lie below one
            of the two.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the manifest's file name without its ending.
        other_labels: words outside the label set that votes may hold; they are kept in the votes
            and do not count. Any other unknown word makes its line a failure.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.

    Yields:
        Clips and failures in the manifest's order.

    Raises:
        CorpusError: if the manifest is missing, of unknown kind, or lacks a needed column.
        StoreError: if the storage refuses.
    """
    place, name = Location.parse_object(manifest, endpoint)
    root = None if audio_root is None else Location.parse(audio_root, endpoint)
    rules = FieldRules.of(
        labels, other_labels, dataset or _unpacked(name).rpartition(".")[0], channel
    )
    parser = ManifestParser(name, rules, AudioPaths(place, root, tuple(allow)))
    try:
        stream = place.open(name)
    except ObjectMissingError as error:
        raise CorpusError(f"there is no manifest {manifest}") from error
    with stream, text_of(stream, name) as text:
        yield from sized_ahead(parser.lines(until_torn(_records(text, _unpacked(name)))))


def unused_columns(manifest: str, endpoint: str | None) -> tuple[str, ...]:
    """Fields of a manifest's first lines that nothing is read from.

    Raises:
        CorpusError: as :func:`pending_manifest`.
    """
    place, name = Location.parse_object(manifest, endpoint)
    with place.open(name) as stream, text_of(stream, name) as text:
        records = islice(until_torn(_records(text, _unpacked(name))), _LOOKED_AT)
        return unused_names(record for _, record in records if not isinstance(record, BadLineError))


def text_of(stream: BinaryIO, name: str) -> LabelText:
    """The text of a label file, unpacked if its name ends in ``.gz``.

    Bytes that are not UTF-8 stay visible as lone surrogates, to be refused line by line.

    Raises:
        CorpusError: if it is not gzip, or UTF-16 by its own account.
    """
    if not name.lower().endswith(".gz"):
        return as_lines(stream, name, newline="")
    try:
        return as_lines(unpacked(stream, name), name, newline="")
    except (EOFError, zlib.error, OSError) as error:
        raise CorpusError(f"{name} is not gzip: {error}") from error


def _unpacked(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


NOTHING_AFTER = "nothing after it is read"
"""How the message of a file ends that could not be read to its end."""


def until_torn(records: Iterable[Record]) -> Iterator[Record]:
    """Records, and a last one for a file that cannot be read further: torn, or without an end."""
    line = 0
    try:
        for line, record in records:
            yield line, record
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"the gzip file is torn from here on: {error}"
        yield line + 1, BadLineError("bad_gzip", message)
    except TextLimitError as error:
        yield line + 1, BadLineError("too_large", f"{error}; {NOTHING_AFTER}")


@dataclass(frozen=True, slots=True)
class ManifestParser:
    """Turns a label file's records into clips or failures.

    Attributes:
        manifest: name of the file, for messages.
        rules: how the fields are read.
        paths: where the field ``audio`` may lead.
        seen: digests of the ids so far; shared by the files of one corpus.
    """

    manifest: str
    rules: FieldRules
    paths: AudioPaths
    seen: set[bytes] = field(default_factory=set)

    def lines(self, records: Iterable[Record]) -> Iterator[PendingClip | Failure]:
        """The clips of these records, in order."""
        for number, record in records:
            yield self._clip_or_failure(number, record)

    def _clip_or_failure(self, number: int, record: Fields | BadLineError) -> PendingClip | Failure:
        try:
            if isinstance(record, BadLineError):
                raise record
            return self._clip(number, record)
        except Exception as error:
            fault = line_fault(error)
        return failure(self.manifest, number, _id_or_none(record), fault.reason, str(fault))

    def _clip(self, number: int, fields: Fields) -> PendingClip:
        name = self._name(fields)
        path = optional_text(fields, "audio")
        if path is None:
            raise BadLineError("missing_audio", "no audio")
        utterance = self.rules.utterance(fields, name)
        place, recording = self.paths.find(path)
        return PendingClip(
            utterance,
            place,
            recording,
            self.manifest,
            number,
            path=f"{place.uri}/{recording}",
            segment=self.rules.part(fields),
        )

    def _name(self, fields: Fields) -> str:
        """The line's id, which no line before has.

        Raises:
            BadLineError: as :func:`utterance_id`, and ``duplicate_id``.
        """
        name = utterance_id(fields)
        exact = fields.get(EXACT_ID)
        if isinstance(exact, str):  # it is a path: without the folder that all of them lie in
            name, exact = (self.paths.below_root(text) for text in (name, exact))
            name = exact if self._digest(name) in self.seen else name
            name = self._with_ending(name, fields)
        digest = self._digest(name)
        if digest in self.seen:
            message = f"id {shown(name)} came before"
            if isinstance(fields.get("votes"), str):
                message += "; of a table with a row for every vote, name the column annotator"
            raise BadLineError("duplicate_id", message)
        self.seen.add(digest)
        return name

    def _with_ending(self, name: str, fields: Fields) -> str:
        """An id that was made of a path, with its ending if a file of another one came before."""
        audio = fields.get("audio")
        if SEGMENT in fields or not isinstance(audio, str):
            return name
        path = self.paths.below_root(whole_path(audio))
        file = self._digest(f"\0{path}")  # no id holds such a character
        is_another = file not in self.seen
        self.seen.add(file)
        return path if is_another and self._digest(name) in self.seen else name

    @staticmethod
    def _digest(name: str) -> bytes:
        return blake2b(name.encode(), digest_size=16).digest()


def _id_or_none(record: Fields | BadLineError) -> str | None:
    if isinstance(record, BadLineError):
        return record.utterance_id
    try:
        return utterance_id(record)
    except BadLineError:
        return None


@dataclass(frozen=True, slots=True)
class AudioPaths:
    """Locations of clips that a manifest names, all inside of a few places.

    Attributes:
        manifest: folder of the manifest.
        root: what relative paths are relative to; None for the manifest's folder.
        allowed: further places that the manifest may name.
    """

    manifest: Location
    root: Location | None
    allowed: tuple[Location, ...] = ()

    def find(self, path: str) -> tuple[Location, str]:
        """Place and name of a recording.

        Raises:
            BadLineError: ``bad_audio_path``.
        """
        if "\0" in path or len(path.encode()) > _LONGEST_PATH:
            raise BadLineError("bad_audio_path", f"audio is not a path: {shown(path)}")
        root = self.root or self.manifest
        if path.startswith("s3://"):
            return self._object(path, (root, self.manifest, *self.allowed))
        if "://" in path:
            raise BadLineError("bad_audio_path", f"audio is no file and no s3://: {shown(path)}")
        if root.is_s3:
            return self._object(f"{root.uri}/{path}", (root, *self.allowed))
        local = [place.uri for place in (root, *self.allowed) if not place.is_s3]
        try:
            full = Path(Bounds(local).real_path(Path(root.uri, path)))
        except OutsideError as error:
            raise _outside(path, root) from error
        return Location(str(full.parent)), full.name

    def below_root(self, name: str) -> str:
        """An id that was made of a path, without the root's own where it begins with it."""
        root = (self.root or self.manifest).uri.rpartition("://")[2].strip("/")
        return name.removeprefix(f"{root}/") if root else name

    def _object(self, uri: str, roots: Sequence[Location]) -> tuple[Location, str]:
        """Place and name of an object, which must lie below one of the roots."""
        root, *_ = roots
        endpoint = next((place.endpoint for place in roots if place.is_s3), None)
        # A key may hold any character, a question mark too.
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        parent, _, name = posixpath.normpath(f"/{key}").strip("/").rpartition("/")
        try:
            place = Location.parse(f"s3://{bucket}", endpoint)
            if not name:
                raise ConfigError(f"{uri!r} names no object")
        except ConfigError as error:
            raise BadLineError("bad_audio_path", f"audio: {error}") from error
        place = place.child(parent) if parent else place
        if not any(f"{place.uri}/".startswith(f"{known.uri}/") for known in roots):
            raise _outside(uri, root)
        return place, name


def _outside(path: str, root: Location) -> BadLineError:
    return BadLineError(
        "bad_audio_path",
        f"audio {shown(path)} is not below {root.uri}, nor does it lead there; see audio_root and "
        "--allow",
    )


def _records(text: LabelText, name: str) -> Iterator[Record]:
    """Line numbers and fields, by the format that the file's ending names."""
    kind = name.rpartition(".")[2].lower()
    if kind in ("jsonl", "ndjson"):
        return json_records(text)
    if kind in ("csv", "tsv"):
        delimiter = "\t" if kind == "tsv" else ","
        header = csv_columns(text, name, [AUDIO_COLUMNS], delimiter)
        check_columns(header, name)
        return table_records(header, csv_records(text, name, [AUDIO_COLUMNS], delimiter))
    if kind == "json":
        return _speechbrain(text, name)
    raise CorpusError(
        f"{name} is not a manifest: its ending is none of jsonl, ndjson, csv, tsv, json"
    )


def check_columns(header: Sequence[str], name: str) -> None:
    """Refuse a table of which a column that is read stands there twice.

    Raises:
        CorpusError: naming it.
    """
    column = repeated_column(header)
    if column is not None:
        raise CorpusError(f"{name} has the column {column} twice; which of them counts?")


def _speechbrain(text: LabelText, name: str) -> Iterator[Record]:
    """Entries of SpeechBrain's JSON object, such as ``{"u1": {"wav": ..., "emo": ...}}``."""
    for line, key, value in json_entries(text.document(), name):
        try:
            yield line, _speechbrain_fields(key, value)
        except Exception as error:
            yield line, line_fault(error, key)


def _speechbrain_fields(key: str, value: object) -> Fields:
    if not isinstance(value, dict):
        raise BadLineError("bad_json", f"{shown(key)} is not an object")
    audio = value.get("audio", value.get("wav"))
    if isinstance(audio, str):
        audio = audio.removeprefix("{data_root}/")
    return {"id": key, **with_usual_names(value), "audio": audio}


def json_records(text: Iterable[str], *, dialects: bool = True) -> Iterator[Record]:
    """The lines of a JSONL file that are not blank; those of other dialects under our names."""
    for number, line in enumerate(single_lines(text), start=1):
        if isinstance(line, str) and not line.strip():
            continue
        name = None
        try:
            if isinstance(line, BadLineError):
                raise line
            document = parse_json(line, "line")
            if not isinstance(document, dict):
                raise BadLineError("bad_json", f"line is not a JSON object: {shown(line)}")
            name = line_id(document)
            record: Fields | BadLineError = as_fields(document) if dialects else document
        except Exception as error:
            record = line_fault(error, name)
        yield number, record
