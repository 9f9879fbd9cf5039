"""Users' own data as Hugging Face style Parquet or Arrow files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.corpora.audio_cell import cell_bytes, path_of
from raypipe.corpora.class_names import class_names, worded
from raypipe.corpora.containers import ClipEntry, found_files
from raypipe.corpora.field_names import (
    label_field,
    path_id,
    unused_names,
    with_usual_names,
)
from raypipe.corpora.fields import FieldRules, optional_text
from raypipe.corpora.limits import DEFAULT_LIMITS, RecordingLimits
from raypipe.corpora.manifest import AudioPaths
from raypipe.corpora.pending import id_or_none, measured, read_or_failure
from raypipe.errors import CallError, CorpusError, ObjectMissingError, OutsideError, RaypipeError
from raypipe.isolation.iterating import iterated_apart
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.shards import RowFailure
from raypipe.store.location import Location

Item = TypeVar("Item")

LAYOUT = """
Tables with an audio column: a struct of bytes (a whole encoded file) and path, or the encoded bytes
themselves, or what is left after decoding: array (samples, or channels by samples either way round)
and sampling_rate, or plain text, a path. Where bytes is null the path is read, relative to
audio_root or to the file's own folder and below it.

The other columns are those of a manifest under their own or usual other names. The words behind
whole-number labels are taken from the schema's huggingface metadata, never guessed.
"""
"""Text of the catalogue about the files, in paragraphs."""

_PATH_COLUMNS = ("audio_path", "audio_filepath", "file_name", "path", "file", "wav")
_ROWS_AT_ONCE = 32
_BYTES_AT_ONCE = 16_000_000  # of audio; as Python's numbers they take several times as much
_LIMIT_S = 600.0
"""Seconds without a row after which the process that reads a file is killed."""

_MEMORY_GB, _MEMORY_OF_FILE = 0.8, 4.0
"""Memory that it may take: so many GB, and so many times the file's size."""

_SPLIT = re.compile(r"(?P<split>train|validation|valid|dev|test)\b[-_.\w]*")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A Parquet or Arrow file; see :class:`raypipe.corpora.containers.Container`."""

    place: Location
    name: str
    root: Location | None
    rules: FieldRules
    allowed: tuple[Location, ...] = ()

    def scan(self) -> Iterator[ClipEntry]:
        """Ids and sizes; of Parquet only the other columns are read, a size is a mean."""
        return self._apart(self.scan_here, _no_weight)

    def read(self, limits: RecordingLimits = DEFAULT_LIMITS) -> Iterator[Utterance | Failure]:
        """Utterances, and failures that name file and row."""
        return self._apart(partial(self.read_here, limits), _audio_bytes)

    def unused_columns(self) -> tuple[str, ...]:
        """Columns that nothing is read from, as far as the first row tells."""
        return next(self._apart(self.unused_here, _no_weight))

    def _apart(
        self, make: Callable[[], Iterator[Item]], weight: Callable[[Item], int]
    ) -> Iterator[Item]:
        """Items that are made in a process which the file may end, as damaged ones do."""
        number = 0
        patience_s = self.place.patience_s if self.place.is_s3 else 0.0
        try:
            size_gb = self.place.size(self.name) / 1e9
            memory_gb = round(_MEMORY_GB + _MEMORY_OF_FILE * size_gb, 3)
            for item in iterated_apart(
                make, weight=weight, limit_s=_LIMIT_S + patience_s, memory_gb=memory_gb
            ):
                yield item
                number += 1
        except ObjectMissingError as error:
            raise CorpusError(f"there is no {self._where}") from error
        except OutsideError as error:
            raise CorpusError(str(error)) from error
        except CallError as error:
            message = f"the process that reads it {error}"
            raise CorpusError(
                f"{self._where} cannot be read beyond row {number}: {message}"
            ) from error

    @property
    def _where(self) -> str:
        return f"{self.place.uri}/{self.name}"

    def scan_here(self) -> Iterator[ClipEntry]:
        """What :meth:`scan` gives, in this process."""
        for number, (row, size, facts) in enumerate(self.rows(with_audio=False), start=1):
            audio = row.pop(facts.audio, None)
            named = partial(self._name_and_fields, row, audio, number, facts)
            is_given = row.get("id") is not None or row.get("utterance_id") is not None
            path = path_of(audio) or ""
            # A path with folders that comes again is the same file.
            is_derived = not is_given and "/" not in path
            yield ClipEntry(id_or_none(named), size, is_derived)

    def read_here(self, limits: RecordingLimits) -> Iterator[Utterance | Failure]:
        """What :meth:`read` gives, in this process."""
        for number, (row, _, facts) in enumerate(self.rows(with_audio=True), start=1):
            yield self._utterance(row, number, facts, limits)

    def unused_here(self) -> Iterator[tuple[str, ...]]:
        """What :meth:`unused_columns` gives, in this process, once."""
        row, _, facts = next(self.rows(with_audio=False), ({}, 0, None))
        read = {facts.audio, *facts.words} if facts else {*row}
        yield unused_names([{name: row[name] for name in row if name not in read}])

    def position(self, number: int) -> str:
        """File and row, counted from 1."""
        return f"{self.name} row {number + 1}"

    def _utterance(
        self, row: dict[str, object], number: int, facts: _TableSchema, limits: RecordingLimits
    ) -> Utterance | Failure:
        audio = row.pop(facts.audio)
        named: list[str] = []

        def read() -> Utterance:
            name, fields = self._name_and_fields(row, audio, number, facts)
            named.append(name)
            encoded = cell_bytes(audio, self._paths, limits)
            utterance = self.rules.utterance(fields, name)
            return measured(utterance, encoded, self.rules.part(fields), limits=limits)

        def failed(reason: str, message: str) -> Failure:
            name = named[0] if named else None
            return RowFailure(
                name, "ingest", reason, f"{self.name} row {number}: {message}", number
            )

        return read_or_failure(read, failed)

    def _name_and_fields(
        self, row: dict[str, object], audio: object, number: int, facts: _TableSchema
    ) -> tuple[str, dict[str, object]]:
        column = label_field(row, facts.words)
        if column is not None:
            row = {**row, "votes": worded(column, row[column], facts.words)}
        fields = with_usual_names(row)
        name = _given_id(fields)
        split = _SPLIT.match(posixpath.basename(self.name))
        if split is not None:
            fields.setdefault("split", split["split"])
        path = path_of(audio)
        if name is None and path is not None:
            name = self._paths.below_root(path_id(path))
        return name or f"{posixpath.splitext(self.name)[0]}-{number}", fields

    @property
    def _paths(self) -> AudioPaths:
        return AudioPaths(self.place, self.root, self.allowed)

    def rows(self, *, with_audio: bool) -> Iterator[tuple[dict[str, object], int, _TableSchema]]:
        """Rows, the size of their audio in bytes, and the schema, in this process."""
        where, number = self._where, 0
        with self.place.open(self.name) as stream:
            try:
                facts, batches = _opened(stream, self.name, where, with_audio)
                for batch, size in batches:
                    for row in batch.to_pylist():
                        number += 1
                        yield row, size, facts
            except RaypipeError:
                raise
            except Exception as error:  # of a damaged file, whose values may be anything
                raise CorpusError(f"{where} cannot be read beyond row {number}: {error}") from error


def _no_weight(item: object) -> int:
    """Weight of an item that holds no audio."""
    return 0


def _audio_bytes(row: Utterance | Failure) -> int:
    """Weight of a row."""
    return len(row.audio) if isinstance(row, Utterance) else 0


def _given_id(fields: Mapping[str, object]) -> str | None:
    return optional_text(fields, "id") or optional_text(fields, "utterance_id")


def tables(
    uri: str,
    labels: LabelSet,
    *,
    audio_root: str | None = None,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
) -> list[TableFile]:
    """The files a user means.

    Args:
        uri: path or ``s3://`` URI of a ``.parquet`` or ``.arrow`` file or of a folder of them;
            ``{00000..00006}`` in it stands for several.
        labels: the label set; votes are matched through its aliases.
        audio_root: what paths in the table are relative to; default: the file's folder.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the name of the folder that holds the file.
        other_labels: words outside the label set that votes may hold.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.

    Raises:
        CorpusError: for a folder without any.
    """
    root = None if audio_root is None else Location.parse(audio_root, endpoint)
    return [
        TableFile(
            place,
            name,
            root,
            FieldRules.of(labels, other_labels, dataset or posixpath.basename(place.uri), channel),
            tuple(allow),
        )
        for place, name in found_files(uri, (".parquet", ".arrow"), endpoint, allow)
    ]


def unused_columns(table: TableFile) -> tuple[str, ...]:
    """Columns of a table that nothing is read from; raises as :meth:`TableFile.scan`."""
    return table.unused_columns()


@dataclass(frozen=True, slots=True)
class _TableSchema:
    """Audio column of a table, and the words behind its whole numbers."""

    audio: str
    words: Mapping[str, Sequence[str]]


def _opened(
    stream: BinaryIO, name: str, where: str, with_audio: bool
) -> tuple[_TableSchema, Iterator[tuple[pa.RecordBatch, int]]]:
    """The schema, and batches of rows with the mean size of their audio in bytes."""
    if name.lower().endswith(".parquet"):
        table = pq.ParquetFile(stream)
        facts = _facts(table.schema_arrow, where)
        return facts, _row_groups(table, facts.audio, with_audio)
    schema, batches = _arrow(stream)
    facts = _facts(schema, where)
    # Arrow batches may be long: their rows become Python objects a few at a time.
    return facts, (
        (batch.slice(start, at_once), size)
        for batch in batches
        if batch.num_rows
        for size in [batch.column(facts.audio).nbytes // batch.num_rows]
        for at_once in [_rows_at_once(size)]
        for start in range(0, batch.num_rows, at_once)
    )


def _rows_at_once(size: int) -> int:
    """Number of rows that become Python objects together, from the mean bytes of their audio."""
    return max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // max(1, size)))


def _arrow(stream: BinaryIO) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    # Arrow's own threads may let go of a Python stream after Python has ended: an abort.
    options = pa.ipc.IpcReadOptions(use_threads=False)
    if stream.read(6) == b"ARROW1":
        file = pa.ipc.open_file(stream, options=options)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
        return file.schema, map(_validated, batches)
    stream.seek(0)
    reader = pa.ipc.open_stream(stream, options=options)
    return reader.schema, map(_validated, reader)


def _validated(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose offsets lie inside of it: pyarrow follows those of a damaged file anywhere."""
    batch.validate(full=True)
    return batch


def _row_groups(
    table: pq.ParquetFile, audio: str, with_audio: bool
) -> Iterator[tuple[pa.RecordBatch, int]]:
    paths = [table.metadata.schema.column(number).path for number in range(len(table.schema))]
    inside = {number for number, path in enumerate(paths) if path.split(".")[0] == audio}
    kept = None
    if not with_audio:  # the path in an audio struct may be the only name of a clip
        outside = [path.split(".")[0] for number, path in enumerate(paths) if number not in inside]
        is_text = pa.types.is_string(table.schema_arrow.field(audio).type)
        is_text |= pa.types.is_large_string(table.schema_arrow.field(audio).type)
        kept = [*dict.fromkeys(outside), *({f"{audio}.path"} & {*paths}), *[audio] * is_text]
    for number in range(table.num_row_groups):
        group = table.metadata.row_group(number)
        total = sum(group.column(column).total_uncompressed_size for column in inside)
        size = total // max(1, group.num_rows)
        at_once = _rows_at_once(size if with_audio else 0)
        # No threads, for the same reason as in _arrow.
        for batch in table.iter_batches(
            at_once, row_groups=[number], columns=kept, use_threads=False
        ):
            yield _validated(batch), size


def _facts(schema: pa.Schema, where: str) -> _TableSchema:
    return _TableSchema(_audio_column(schema, where), class_names(schema, where))


def _audio_column(schema: pa.Schema, where: str) -> str:
    """The column named audio, else the only one with bytes inside, else one with paths."""
    if "audio" in schema.names:
        return "audio"
    columns = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    if not columns:
        columns = [name for name in _PATH_COLUMNS if name in schema.names][:1]
    if len(columns) != 1:
        raise CorpusError(f"{where} needs a column audio, has {', '.join(schema.names)}")
    return str(columns[0])
