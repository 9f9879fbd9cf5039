"""``features/``: what a frozen encoder made of clips, as a table and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.errors import ShardError
from raypipe.labels import LabelSet
from raypipe.records import Failure, LayerStatistics, Utterance
from raypipe.store.schemas import FEATURES, labels_metadata, with_metadata
from raypipe.store.strict import table_from_rows
from raypipe.store.tables import short_message, utterance_from_row, utterance_row

_ARRAYS = ("mean", "std")


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """One input row and what became of it.

    Attributes:
        utterance: None if even the row could not be read; its audio is not kept.
        answer: the features, or why there are none.
        heard_s: seconds of the clip that were encoded; None if none were.
    """

    utterance: Utterance | None
    answer: LayerStatistics | Failure
    heard_s: float | None = None


def features_table(
    clips: Sequence[EncodedClip], *, run: str, model: str, prompt: str, labels: LabelSet
) -> pa.Table:
    """The ``features/`` object of one shard: one row per input row, in the same order.

    Args:
        clips: what became of every row.
        run: short id of the run.
        model: name of the encoder in the tables.
        prompt: how much of a clip it heard, in a word.
        labels: what every soft label is aligned with.
    """
    plain = pa.schema([field for field in FEATURES if field.name not in _ARRAYS])
    keys = {"run": run, "model": model, "prompt": prompt, "labels": labels.names}
    empty = dict.fromkeys(plain.names)
    rows = [{**empty, **keys, **_row(clip, plain.names)} for clip in clips]
    table = table_from_rows(rows, plain)
    statistics = [None if isinstance(clip.answer, Failure) else clip.answer for clip in clips]
    arrays = {
        "mean": _layers([None if each is None else each.mean for each in statistics]),
        "std": _layers([None if each is None else each.std for each in statistics]),
    }
    columns = [arrays[name] if name in arrays else table.column(name) for name in FEATURES.names]
    schema = with_metadata(FEATURES, labels_metadata(labels))
    return pa.Table.from_arrays(columns, schema=schema)


def _row(clip: EncodedClip, columns: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {}
    if clip.utterance is not None:
        known = utterance_row(clip.utterance)
        row = {name: known[name] for name in columns if name in known}
    answer = clip.answer
    if isinstance(answer, Failure):
        return {
            "utterance_id": answer.utterance_id,
            **row,
            "error_stage": answer.stage,
            "error_type": answer.error_type,
            "error_message": short_message(answer.message),
        }
    return {**row, "heard_s": clip.heard_s, "frames": answer.frames}


def _layers(values: Sequence[NDArray[np.float32] | None]) -> pa.Array:
    """Arrays of shape ``(layers, width)`` as lists of lists, without a Python object per number."""
    there = [value for value in values if value is not None]
    flat = np.concatenate([np.zeros(0, np.float32), *(value.reshape(-1) for value in there)])
    widths = [width for value in there for width in [value.shape[1]] * value.shape[0]]
    inner = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(widths, dtype=np.int64)]), pa.int32()),
        pa.array(flat, pa.float32()),
    )
    counts = np.array([0 if value is None else value.shape[0] for value in values], np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    missing = np.array([*(value is None for value in values), False], bool)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32(), mask=missing), inner)


@dataclass(frozen=True, slots=True)
class StoredFeatures:
    """Rows of ``features/``.

    Attributes:
        utterances: of every row that has features, without audio, in order.
        mean: of the same rows, shape ``(rows, layers, width)``, float32.
        std: same shape; None where a row has none.
        failures: of the other rows, in order, each with its row number and its utterance; None
            where even the row could not be read.
    """

    utterances: tuple[Utterance, ...]
    mean: NDArray[np.float32]
    std: NDArray[np.float32] | None
    failures: tuple[tuple[int, Failure, Utterance | None], ...]


def read_features(table: pa.Table) -> StoredFeatures:
    """The rows of a ``features/`` table.

    Raises:
        ShardError: if its rows have features of different shapes.
    """
    good = table.filter(table.column("error_stage").is_null())
    failures = []
    for number, row in enumerate(table.drop_columns([*_ARRAYS]).to_pylist()):
        if row["error_stage"] is not None:
            reason = (row["error_stage"], row["error_type"], row["error_message"])
            known = row["sampling_rate"] is not None
            failures.append(
                (
                    number,
                    Failure(row["utterance_id"], *reason),
                    utterance_from_row(row) if known else None,
                )
            )
    mean = _stacked(good.column("mean"))
    if mean is None:
        raise ShardError("a row has neither features nor an error")
    return StoredFeatures(
        utterances=tuple(
            utterance_from_row(row) for row in good.drop_columns([*_ARRAYS]).to_pylist()
        ),
        mean=mean,
        std=_stacked(good.column("std")) if len(good) else None,
        failures=tuple(failures),
    )


def _stacked(column: pa.ChunkedArray) -> NDArray[np.float32] | None:
    """Shape ``(rows, layers, width)``; None if a row has none."""
    if column.null_count:
        return None
    rows = column.combine_chunks()
    layers = rows.flatten()
    flat = layers.flatten().to_numpy(zero_copy_only=False)
    if not len(rows):
        return np.zeros((0, 0, 0), np.float32)
    counts, widths = set(np.diff(rows.offsets.to_numpy())), set(np.diff(layers.offsets.to_numpy()))
    if len(counts) != 1 or len(widths) != 1:
        raise ShardError("rows have features of different shapes")
    return np.asarray(flat.reshape(len(rows), counts.pop(), widths.pop()), np.float32)
