"""What happens to one shard of a features job, as plain functions that know nothing of Ray."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raypipe.errors import ShardError
from raypipe.records import Failure, FloatArray, LayerStatistics, Utterance
from raypipe.runtime.features.plan import FeaturesContext
from raypipe.runtime.infer.context import ShardTask
from raypipe.runtime.infer.preparing import decoded
from raypipe.shards import read_shard
from raypipe.ssl import Encoder
from raypipe.ssl.batches import batches_by_length
from raypipe.store.features import EncodedClip, features_table
from raypipe.store.objects import object_bytes
from raypipe.store.tables import errors_table


@dataclass(frozen=True, slots=True)
class DecodedShard:
    """A shard on its way to the encoder.

    Attributes:
        utterances: the rows without their audio; None where even the row could not be read.
        clips: the waveform of every row, cut; or why there is none.
        shard_failure: why the whole shard could not be read; None if it could.
    """

    task: ShardTask
    utterances: tuple[Utterance | None, ...] = ()
    clips: tuple[FloatArray | Failure, ...] = ()
    shard_failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class EncodedShard:
    """A shard on its way to the tables."""

    task: ShardTask
    clips: tuple[EncodedClip, ...]
    shard_failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class EncodedSummary:
    """What the driver hears about a finished shard."""

    shard: str
    utterances: int
    errors: int


def decode_shard(task: ShardTask, context: FeaturesContext) -> DecodedShard:
    """A shard's clips, decoded and cut."""
    try:
        rows = read_shard(context.shards, task.entry, context.labels)[: task.take]
    except ShardError as error:
        return DecodedShard(
            task, shard_failure=Failure(None, "read", type(error).__name__, str(error))
        )
    clips = tuple(_clip(row, task.repeated.get(number), context) for number, row in enumerate(rows))
    utterances = tuple(
        None if isinstance(row, Failure) else dataclasses.replace(row, audio=b"") for row in rows
    )
    return DecodedShard(task, utterances, clips)


def _clip(
    row: Utterance | Failure, elsewhere: str | None, context: FeaturesContext
) -> FloatArray | Failure:
    if isinstance(row, Failure):
        return row
    rate = context.sampling_rate
    samples = decoded(row, elsewhere, rate, context.limits)
    if isinstance(samples, Failure):
        return samples
    return samples if context.cut_s is None else samples[: round(context.cut_s * rate)]


def encode_shard(shard: DecodedShard, context: FeaturesContext, encoder: Encoder) -> EncodedShard:
    """A shard with features, or a reason, for every row."""
    usable: dict[int, FloatArray] = {}
    answers: list[LayerStatistics | Failure | None] = []
    for row, (utterance, clip) in enumerate(zip(shard.utterances, shard.clips, strict=True)):
        if isinstance(clip, Failure):
            answers.append(clip)
            continue
        refusal = _refusal(utterance, clip, encoder)
        answers.append(refusal)
        if refusal is None:
            usable[row] = clip
    rows = list(usable)
    batches = batches_by_length(
        [len(usable[row]) for row in rows],
        pads=encoder.pads,
        most_clips=context.batch_clips,
        most_samples=round(context.batch_s * context.sampling_rate),
    )
    for batch in batches:
        chosen = [rows[place] for place in batch]
        for row, statistics in zip(
            chosen, encoder.encode([usable[row] for row in chosen]), strict=True
        ):
            answers[row] = _checked(shard.utterances[row], statistics)
    clips = []
    for row, answer in enumerate(answers):
        assert answer is not None
        heard = len(usable[row]) / context.sampling_rate if row in usable else None
        clips.append(EncodedClip(shard.utterances[row], answer, heard))
    return EncodedShard(shard.task, tuple(clips), shard.shard_failure)


def _refusal(utterance: Utterance | None, clip: FloatArray, encoder: Encoder) -> Failure | None:
    assert utterance is not None  # it has a clip
    longest = encoder.longest_samples
    if len(clip) < encoder.shortest_samples:
        message = f"{len(clip)} samples; the encoder needs {encoder.shortest_samples}"
        return Failure(utterance.utterance_id, "engine", "too_short", message)
    if longest is not None and len(clip) > longest:
        message = f"{len(clip)} samples; the encoder takes {longest}: set cut_s"
        return Failure(utterance.utterance_id, "engine", "too_long", message)
    return None


def _checked(utterance: Utterance | None, statistics: LayerStatistics) -> LayerStatistics | Failure:
    """Numbers that half precision overflowed are an error, no features."""
    assert utterance is not None  # it has a clip
    if np.isfinite(statistics.mean).all():
        return statistics
    message = "a layer is not finite; use dtype bfloat16 or float32"
    return Failure(utterance.utterance_id, "engine", "non_finite", message)


def commit_encoded(shard: EncodedShard, context: FeaturesContext) -> EncodedSummary:
    """Write a shard's errors, then its features: where these exist, the shard is done."""
    name, label = shard.task.entry.name, context.encoder.label
    failures: Sequence[tuple[int | None, Failure]] = [
        (row, clip.answer)
        for row, clip in enumerate(shard.clips)
        if isinstance(clip.answer, Failure)
    ]
    if shard.shard_failure is not None:
        failures = [(None, shard.shard_failure)]
    errors = errors_table(
        failures,
        run=context.run,
        shard=name,
        shard_rows=shard.task.take,
        model=label,
        prompt=context.heard,
    )
    features = features_table(
        shard.clips, run=context.run, model=label, prompt=context.heard, labels=context.labels
    )
    _write(context, "errors", name, errors)
    _write(context, "features", name, features)
    return EncodedSummary(name, shard.task.take, sum(errors.column("utterances").to_pylist()))


def _write(context: FeaturesContext, table: str, shard: str, rows: pa.Table) -> None:
    data = object_bytes(
        rows,
        model=context.encoder.label,
        prompt=context.heard,
        fingerprint=context.fingerprint,
    )
    context.tables.write_new(context.object_name(table, shard), data, context.fingerprint)
