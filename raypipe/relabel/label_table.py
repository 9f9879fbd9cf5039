"""Label tables: a relabelled corpus as a file, and the file as labels."""

from __future__ import annotations

import csv
import hashlib
import io
import posixpath

import pyarrow as pa

from raypipe.corpora.emo_superb import LabelRow, label_rows
from raypipe.corpora.msp_votes import SECONDARY
from raypipe.errors import ConfigError, ObjectMissingError, ShardError
from raypipe.labels import ALIASES, LabelSet
from raypipe.records import LabelTable
from raypipe.shards import soft_label_fault
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes
from raypipe.store.run_record import RECORD, read_record
from raypipe.store.schemas import labels_of

LABEL_TABLE = "label_table.parquet"
"""The label table of a relabel job, beside its ``run.json``."""

LABEL_CSV = "label_table.csv"
"""The same in the layout in which EMO-SUPERB publishes the answers of its language model."""

_DISTRIBUTIONS = ("adjusted", "soft_label")


def read_label_table(
    place: str, labels: LabelSet, *, endpoint: str | None = None, name: str | None = None
) -> LabelTable:
    """The distributions of a label table.

    Args:
        place: folder or ``s3://`` URI of a finished relabel job, or of a file: ``.parquet`` with
            the columns ``utterance_id`` and ``adjusted`` or ``soft_label``, or ``.csv`` in
            EMO-SUPERB's layout, whose rows are normalised.
        labels: of the corpus.
        endpoint: of an S3-compatible server; None for the environment's.
        name: of the table; None for that of the job, or of the file without its ending.

    Raises:
        ConfigError: if there is no label table of these labels, naming file, row and value.
        StoreError: if the storage refuses.
    """
    if place.endswith(".csv"):
        distributions, fingerprint = _from_csv(place, labels, endpoint)
    else:
        job = not place.endswith(".parquet")
        if job:
            name = name or _finished_name(place, endpoint)
        uri = f"{place.rstrip('/')}/{LABEL_TABLE}" if job else place
        distributions, fingerprint = _from_parquet(uri, labels, endpoint)
    if not distributions:
        raise ConfigError(f"label table {place} holds no distribution")
    stem = posixpath.splitext(posixpath.basename(place.rstrip("/")))[0]
    return LabelTable(name or stem, distributions, labels, fingerprint)


def _finished_name(place: str, endpoint: str | None) -> str:
    folder = Location.parse(place, endpoint)
    if not folder.exists(RECORD):
        raise ConfigError(f"label table {place} is neither a .parquet or .csv file nor a job's")
    record = read_record(folder)
    if record.status != "finished" or not folder.exists(LABEL_TABLE):
        raise ConfigError(f"label table {place}: {record.name} is {record.status} without a table")
    return record.name


def _from_parquet(
    place: str, labels: LabelSet, endpoint: str | None
) -> tuple[dict[str, tuple[float, ...]], str]:
    folder, file = Location.parse_object(place, endpoint)
    try:
        data = folder.read(file)
        rows = from_parquet_bytes(data)
        named = labels_of(rows.schema)
    except (ObjectMissingError, ShardError) as error:
        raise ConfigError(f"label table {place}: {error}") from error
    column = next((name for name in _DISTRIBUTIONS if name in rows.column_names), None)
    if column is None or "utterance_id" not in rows.column_names:
        raise ConfigError(f"label table {place} has no columns utterance_id and adjusted")
    if named is not None and named != labels:
        raise ConfigError(
            f"label table {place} is of {', '.join(named.names)}; the corpus has "
            f"{', '.join(labels.names)}"
        )
    distributions: dict[str, tuple[float, ...]] = {}
    for number, row in enumerate(rows.select(["utterance_id", column]).to_pylist()):
        utterance_id, shares = row["utterance_id"], row[column]
        if shares is None:
            continue
        fault = soft_label_fault(shares, len(labels))
        if fault is not None:
            raise ConfigError(f"label table {place} row {number}: {fault}")
        if not utterance_id or utterance_id in distributions:
            raise ConfigError(
                f"label table {place} row {number}: utterance_id {utterance_id!r} is empty or "
                "stands there twice"
            )
        distributions[utterance_id] = tuple(shares)
    return distributions, hashlib.sha256(data).hexdigest()


def _from_csv(
    place: str, labels: LabelSet, endpoint: str | None
) -> tuple[dict[str, tuple[float, ...]], str]:
    folder, file = Location.parse_object(place, endpoint)
    distributions: dict[str, tuple[float, ...]] = {}
    for row in label_rows(place, labels, endpoint=endpoint):
        if not isinstance(row, LabelRow):
            raise ConfigError(f"label table {place}: {row.message}")
        if row.shares is not None:
            distributions[row.name] = row.shares
    return distributions, hashlib.sha256(folder.read(file)).hexdigest()


def label_csv(rows: pa.Table, labels: LabelSet) -> str:
    """A relabelled corpus in EMO-SUPERB's layout: clip, a share for each emotion, reason.

    Emotions are called what they are called there: ``angry``, ``happy``.

    Args:
        rows: of the table ``labels``.
        labels: the label set.
    """
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["", *(emo_superb_word(label) for label in labels.names), "words", "reason"])
    for row in rows.select(["utterance_id", "adjusted", "words", "reason"]).to_pylist():
        shares = [f"{share:.9g}" for share in row["adjusted"]]
        words = ",".join(row["words"] or ())
        writer.writerow([f"{row['utterance_id']}.wav", *shares, words, row["reason"] or ""])
    return sink.getvalue()


_AS_NOUNS = frozenset({"contempt", "disgust", "fear", "surprise", "neutral"})


def emo_superb_word(label: str) -> str:
    """What EMO-SUPERB calls a label's column; the label itself where its tables have none.

    Example:
        >>> emo_superb_word("anger"), emo_superb_word("fear"), emo_superb_word("boredom")
        ('angry', 'fear', 'boredom')
    """
    words = ALIASES.get(label, (label,))
    if label in _AS_NOUNS or len(words) < 2:
        return label
    return words[1] if SECONDARY.get(words[1]) == label else label
