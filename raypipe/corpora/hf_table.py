"""Users' own data as Hugging Face style Parquet or Arrow files."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from raypipe.corpora.class_names import class_names, worded
from raypipe.corpora.containers import ClipEntry, found_files
from raypipe.corpora.field_names import (
    label_field,
    path_id,
    unused_names,
    whole_number,
    with_usual_names,
)
from raypipe.corpora.fields import BadLineError, FieldRules, optional_text, shown
from raypipe.corpora.manifest import AudioPaths
from raypipe.corpora.pending import id_or_none, measured, read_or_failure, stored_recording
from raypipe.errors import CorpusError, ObjectMissingError, RaypipeError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.shards import RowFailure
from raypipe.store.location import Location

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
_SPLIT = re.compile(r"(?P<split>train|validation|valid|dev|test)\b[-_.\w]*")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A Parquet or Arrow file; see :class:`raypipe.corpora.containers.Container`."""

    place: Location
    name: str
    root: Location | None
    rules: FieldRules

    def scan(self) -> Iterator[ClipEntry]:
        """Ids and sizes; of Parquet only the other columns are read, a size is a mean."""
        for number, (row, size, facts) in enumerate(self.rows(with_audio=False), start=1):
            audio = row.pop(facts.audio, None)
            named = partial(self._name_and_fields, row, audio, number, facts)
            is_given = row.get("id") is not None or row.get("utterance_id") is not None
            path = _path_of(audio) or ""
            # A path with folders that comes again is the same file.
            is_derived = not is_given and "/" not in path
            yield ClipEntry(id_or_none(named), size, is_derived)

    def read(self) -> Iterator[Utterance | Failure]:
        """Utterances, and failures that name file and row."""
        for number, (row, _, facts) in enumerate(self.rows(with_audio=True), start=1):
            yield self._utterance(row, number, facts)

    def position(self, number: int) -> str:
        """File and row, counted from 1."""
        return f"{self.name} row {number + 1}"

    def _utterance(
        self, row: dict[str, object], number: int, facts: _TableSchema
    ) -> Utterance | Failure:
        audio = row.pop(facts.audio)
        named: list[str] = []

        def read() -> Utterance:
            name, fields = self._name_and_fields(row, audio, number, facts)
            named.append(name)
            encoded = _bytes(audio, self._paths)
            return measured(self.rules.utterance(fields, name), encoded, self.rules.part(fields))

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
        path = _path_of(audio)
        if name is None and path is not None:
            name = self._paths.below_root(path_id(path))
        return name or f"{posixpath.splitext(self.name)[0]}-{number}", fields

    @property
    def _paths(self) -> AudioPaths:
        return AudioPaths(self.place, self.root)

    def rows(self, *, with_audio: bool) -> Iterator[tuple[dict[str, object], int, _TableSchema]]:
        """Rows, the size of their audio in bytes, and the schema."""
        where = f"{self.place.uri}/{self.name}"
        try:
            stream = self.place.open(self.name)
        except ObjectMissingError as error:
            raise CorpusError(f"there is no {where}") from error
        number = 0
        with stream:
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
        )
        for place, name in found_files(uri, (".parquet", ".arrow"), endpoint)
    ]


def unused_columns(table: TableFile) -> tuple[str, ...]:
    """Columns of a table that nothing is read from; raises as :func:`tables`."""
    row, _, facts = next(table.rows(with_audio=False), ({}, 0, None))
    read = {facts.audio, *facts.words} if facts else {*row}
    return unused_names([{name: row[name] for name in row if name not in read}])


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
        (batch.slice(start, _ROWS_AT_ONCE), batch.column(facts.audio).nbytes // batch.num_rows)
        for batch in batches
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE)
    )


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
        # No threads, for the same reason as in _arrow.
        for batch in table.iter_batches(
            _ROWS_AT_ONCE, row_groups=[number], columns=kept, use_threads=False
        ):
            yield _validated(batch), total // max(1, group.num_rows)


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


def _path_of(audio: object) -> str | None:
    """The path that an audio cell tells; None where it tells none."""
    path = audio.get("path") if isinstance(audio, dict) else audio
    return path.strip() or None if isinstance(path, str) else None


def _bytes(audio: object, paths: AudioPaths) -> bytes:
    if isinstance(audio, bytes):
        return audio
    if isinstance(audio, dict):
        if audio.get("bytes") is not None:
            return _whole_file(audio["bytes"])
        if audio.get("array") is not None:
            return _encoded(audio["array"], audio.get("sampling_rate"))
    elif audio is not None and not isinstance(audio, str):
        raise BadLineError("missing_audio", f"audio is {shown(audio)}")
    path = _path_of(audio)
    if path is None:
        raise BadLineError("missing_audio", "audio has neither bytes nor a path")
    return stored_recording(*paths.find(path))


def _whole_file(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:  # a list of numbers, as JSON writes bytes
        return bytes(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError) as error:
        raise BadLineError("bad_type", f"audio: bytes is {shown(value)}") from error


_MOST_CHANNELS = 64
_MOST_HERTZ = 1_000_000


def _encoded(samples: object, sampling_rate: object) -> bytes:
    """Decoded samples as a WAV file that holds exactly them."""
    rate = whole_number(sampling_rate)
    if rate is None or not 1 <= rate <= _MOST_HERTZ:
        raise BadLineError("bad_sampling_rate", f"audio: sampling_rate is {shown(sampling_rate)}")
    try:
        array = np.asarray(samples, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BadLineError("corrupt", f"audio: array is not of numbers: {error}") from error
    if array.ndim not in (1, 2):
        raise BadLineError("corrupt", f"audio: array has {array.ndim} dimensions, not 1 or 2")
    # Channels by samples, or as soundfile gives it: there are fewer channels than samples.
    frames = array.T if array.ndim == 2 and array.shape[0] < array.shape[1] else array
    if array.ndim == 2 and not 1 <= frames.shape[1] <= _MOST_CHANNELS:
        raise BadLineError(
            "too_many_channels", f"audio: array is {array.shape[0]} by {array.shape[1]}"
        )
    buffer = io.BytesIO()
    soundfile.write(buffer, frames, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()
