"""Users' own data as a Hugging Face AudioFolder."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from raypipe.corpora.bad_line import line_fault
from raypipe.corpora.clips import AUDIO_SUFFIXES, FileTree
from raypipe.corpora.field_names import with_usual_names, without_missing
from raypipe.corpora.fields import BadLineError, FieldRules
from raypipe.corpora.lines import csv_columns, csv_records, open_text
from raypipe.corpora.manifest import (
    AudioPaths,
    ManifestParser,
    Record,
    check_columns,
    json_records,
)
from raypipe.corpora.pending import PendingClip, failure, sized_ahead
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.store.location import Location

LAYOUT = """
Recordings with a table beside them, or sorted into folders.

With a metadata.csv or metadata.jsonl (one at the top, or one in each split's folder), its file_name
is relative to its own folder and the other columns are those of a manifest under their own or usual
other names. Without any, the folder that holds a recording is its label. A folder named train,
validation, dev or test on the way to a recording is its split.
"""
"""Text of the catalogue about the files, in paragraphs."""

_TABLES = ("metadata.csv", "metadata.jsonl")
_SPLITS = ("train", "validation", "valid", "dev", "test")


def pending_audio_folder(
    folder: str,
    labels: LabelSet,
    *,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
) -> Iterator[PendingClip | Failure]:
    """The clips of a folder, before their audio is read.

    Args:
        folder: path or ``s3://`` URI.
        labels: the label set; labels are matched through its aliases.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the folder's.
        other_labels: words outside the label set that are labels all the same; they do not count.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.

    Yields:
        Clips whose id is their path without its ending, unless the table has ids; failures, also
        for recordings that no table names.

    Raises:
        CorpusError: if there is nothing to read, or a table lacks ``file_name``.
        StoreError: if the storage refuses.
    """
    place = Location.parse(folder, endpoint).confined(allow)
    tree = FileTree(place)
    rules = FieldRules.of(labels, other_labels, dataset or posixpath.basename(place.uri), channel)
    tables = [name for name in tree.names if posixpath.basename(name).lower() in _TABLES]
    recordings = [name for name in tree.names if name.lower().endswith(AUDIO_SUFFIXES)]
    if not recordings:
        raise CorpusError(f"there is no recording in {place.uri}")
    if not tables:
        yield from _sorted_by_label(tree, recordings, rules)
        return
    seen: set[bytes] = set()
    named: set[str] = set()
    for table in tables:
        parser = ManifestParser(table, rules, AudioPaths(place, place, tuple(allow)), seen)
        yield from sized_ahead(parser.lines(_rows(place, table, named)))
    for name in recordings:
        if name not in named:
            yield failure(name, None, _id(name), "no_votes", "no table names this recording")


def _rows(place: Location, table: str, named: set[str]) -> Iterator[Record]:
    below = posixpath.dirname(table)
    with open_text(place, table, newline="") as text:
        if table.lower().endswith(".csv"):
            check_columns(csv_columns(text, table, [("file_name",)]), table)
            records: Iterator[Record] = (
                (line, row if isinstance(row, BadLineError) else without_missing(row))
                for line, row in csv_records(text, table, [("file_name",)])
            )
        else:
            records = json_records(text, dialects=False)
        for line, record in records:
            try:
                if isinstance(record, BadLineError):
                    raise record
                fields = _table_fields(record, below)
                named.add(str(fields["audio"]))
                yield line, fields
            except Exception as error:
                yield line, line_fault(error)


def _table_fields(record: Mapping[str, object], below: str) -> dict[str, object]:
    """Fields of a table's line, whose ``audio`` is relative to the folder that is read."""
    fields = with_usual_names(record)
    file_name = fields.get("file_name")
    if not isinstance(file_name, str) or not file_name.strip():
        raise BadLineError("missing_audio", "no file_name")
    path = posixpath.normpath(posixpath.join(below, file_name.strip()))
    return {"id": _id(path), "split": _split(path), **fields, "audio": path}


def _sorted_by_label(
    tree: FileTree, recordings: Iterable[str], rules: FieldRules
) -> Iterator[PendingClip | Failure]:
    seen: dict[str, str] = {}
    for name in recordings:
        clip = _id(name)
        fields: dict[str, object] = {
            "split": _split(name),
            "votes": [posixpath.basename(posixpath.dirname(name))],
        }
        try:
            if seen.setdefault(clip, name) != name:
                raise BadLineError("duplicate_id", f"{clip} is also {seen[clip]}")
            pending = PendingClip(
                rules.utterance(fields, clip),
                tree.source,
                name,
                name,
                None,
                path=name,
                size=tree.sizes[name],
                segment=rules.part(fields),
            )
        except Exception as error:
            fault = line_fault(error)
            yield failure(name, None, clip, fault.reason, str(fault))
        else:
            yield pending


def _id(path: str) -> str:
    return posixpath.splitext(path)[0]


def _split(path: str) -> str | None:
    return next((part for part in path.split("/")[:-1] if part.lower() in _SPLITS), None)
