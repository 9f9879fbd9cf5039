"""Users' own data as Hugging Face style Parquet or Arrow files with an audio struct.

The audio column is a struct of ``bytes`` (a whole encoded file) and ``path``, or the encoded bytes
themselves, or what is left after decoding: ``array`` and ``sampling_rate``. Where ``bytes`` is null
the path is read, relative to ``audio_root`` or to the file's own folder. The other columns are
those of a manifest (see :mod:`raypipe.corpora.manifest`) under their own or usual other names. The
words behind whole-number labels are taken from the schema's ``huggingface`` metadata, never
guessed.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from raypipe.corpora.braces import expanded
from raypipe.corpora.clips import measured
from raypipe.corpora.fields import (
    USUAL_NAMES,
    BadLineError,
    Rules,
    optional_text,
    shown,
    with_usual_names,
)
from raypipe.errors import CorpusError, ObjectMissingError, StoreError
from raypipe.labels import LabelSet
from raypipe.records import Utterance
from raypipe.shards import RowFailure
from raypipe.store.location import Location

_ROWS_AT_ONCE = 32
_SPLIT = re.compile(r"(?P<split>train|validation|valid|dev|test)\b[-_.\w]*")
_VOTE_COLUMNS = {"votes", *(name for name, ours in USUAL_NAMES.items() if ours == "votes")}


def read_hf_table(
    uri: str,
    labels: LabelSet,
    *,
    audio_root: str | None = None,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
) -> Iterator[Utterance | RowFailure]:
    """Read tables row by row.

    Args:
        uri: path or ``s3://`` URI of a ``.parquet`` or ``.arrow`` file; ``{00000..00006}`` in it
            stands for several.
        labels: the label set; votes are matched through its aliases.
        audio_root: what paths in the table are relative to; default: the file's folder.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the name of the folder that holds the file.
        other_labels: words outside the label set that votes may hold.

    Yields:
        Utterances, and failures that name file and row, counted from 1.

    Raises:
        CorpusError: if a file is missing, no such table, or without an audio column.
        StoreError: if the storage refuses.
    """
    others = frozenset(word.strip().lower() for word in other_labels)
    for one in expanded(uri):
        place, name = Location.parse_object(one, endpoint)
        root = place if audio_root is None else Location.parse(audio_root, endpoint)
        rules = Rules(labels, others, dataset or posixpath.basename(place.uri))
        yield from _rows(place, name, root, rules)


def _rows(
    place: Location, name: str, root: Location, rules: Rules
) -> Iterator[Utterance | RowFailure]:
    where = f"{place.uri}/{name}"
    try:
        stream = place.open(name)
    except ObjectMissingError as error:
        raise CorpusError(f"there is no {where}") from error
    number = 0
    with stream:
        try:
            schema, batches = _opened(stream, name)
            audio = _audio_column(schema, where)
            words = _class_names(schema, where)
            for batch in batches:
                for row in batch.to_pylist():
                    number += 1
                    yield _row(row, number, name, audio, words, root, rules)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise CorpusError(f"{where} cannot be read beyond row {number}: {error}") from error


def _opened(stream: BinaryIO, name: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if name.lower().endswith(".parquet"):
        table = pq.ParquetFile(stream)
        return table.schema_arrow, table.iter_batches(batch_size=_ROWS_AT_ONCE)
    if stream.read(6) == b"ARROW1":
        file = pa.ipc.open_file(stream)
        return file.schema, (file.get_batch(n) for n in range(file.num_record_batches))
    stream.seek(0)
    reader = pa.ipc.open_stream(stream)
    return reader.schema, iter(reader)


def _audio_column(schema: pa.Schema, where: str) -> str:
    """The column named audio, else the only one with bytes inside."""
    if "audio" in schema.names:
        return "audio"
    found = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    if len(found) != 1:
        raise CorpusError(f"{where} needs a column audio, has {', '.join(schema.names)}")
    return str(found[0])


def _class_names(schema: pa.Schema, where: str) -> Mapping[str, Sequence[str]]:
    """The words behind whole numbers, by column."""
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return {}
    try:
        features = json.loads(raw)["info"]["features"]
        return {
            column: kind["names"]
            for column, feature in features.items()
            for kind in (feature, feature.get("feature", {}) if isinstance(feature, dict) else {})
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and "names" in kind
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{where}: the huggingface metadata cannot be read: {error}") from error


def _row(
    row: dict[str, Any],
    number: int,
    file: str,
    audio: str,
    words: Mapping[str, Sequence[str]],
    root: Location,
    rules: Rules,
) -> Utterance | RowFailure:
    name: str | None = None
    try:
        held = row.pop(audio)
        fields = with_usual_names({key: _worded(key, row[key], words) for key in row})
        name = optional_text(fields, "id") or optional_text(fields, "utterance_id")
        name = name or _stem_of(held) or f"{posixpath.splitext(file)[0]}-{number}"
        split = _SPLIT.match(posixpath.basename(file))
        if split is not None:
            fields.setdefault("split", split["split"])
        return measured(rules.utterance(fields, name), _bytes(held, root))
    except BadLineError as error:
        message = f"{file} row {number}: {error}"
        return RowFailure(name, "ingest", error.reason, message, number)


def _worded(column: str, value: object, words: Mapping[str, Sequence[str]]) -> object:
    """A label's word in place of its number; a number without a word is refused."""
    if column not in _VOTE_COLUMNS:
        return value
    if isinstance(value, list):
        return [_worded(column, one, words) for one in value]
    if isinstance(value, dict):  # a struct has every key in every row
        return {key: one for key, one in value.items() if one is not None}
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    names = words.get(column, ())
    if not 0 <= value < len(names):
        raise BadLineError(
            "unknown_label",
            f"{column}: the metadata have no word for {value}, only {', '.join(names) or 'none'}",
        )
    return names[value]


def _stem_of(held: object) -> str | None:
    path = held.get("path") if isinstance(held, dict) else None
    return posixpath.splitext(posixpath.basename(path))[0] if isinstance(path, str) else None


def _bytes(held: object, root: Location) -> bytes:
    if isinstance(held, bytes):
        return held
    if not isinstance(held, dict):
        raise BadLineError("missing_audio", f"audio is {shown(held)}")
    if held.get("bytes") is not None:
        return bytes(held["bytes"])
    if held.get("array") is not None:
        return _encoded(held["array"], held.get("sampling_rate"))
    path = held.get("path")
    if not path:
        raise BadLineError("missing_audio", "audio has neither bytes nor a path")
    try:
        return root.read(str(path))
    except ObjectMissingError as error:
        raise BadLineError("missing_audio", f"audio: {error}") from error
    except StoreError as error:
        raise BadLineError("bad_audio_path", f"audio: {error}") from error


def _encoded(samples: object, sampling_rate: object) -> bytes:
    """Decoded samples as a WAV file that holds exactly them."""
    if not isinstance(sampling_rate, int) or sampling_rate < 1:
        raise BadLineError("bad_sampling_rate", f"audio: sampling_rate is {shown(sampling_rate)}")
    buffer = io.BytesIO()
    try:
        array = np.asarray(samples, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BadLineError("corrupt", f"audio: array is not of numbers: {error}") from error
    frames = array.T if array.ndim == 2 else array
    soundfile.write(buffer, frames, sampling_rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()
