"""What happens to one shard, step by step, as plain functions that know nothing of Ray.

A shard moves through three hands: :func:`prepare_shard` on a CPU (read, decode, prompt,
features), :func:`answer_shard` on the model's device, :func:`commit_shard` on a CPU (parse,
aggregate, write). It stays whole all the way: what is committed is one object per table.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.audio import AudioLimits, decode
from raypipe.errors import DecodeError, ShardError
from raypipe.labels import LabelSet
from raypipe.prompts import fill_template
from raypipe.protocols import Engine, Frontend
from raypipe.records import (
    EmotionTokens,
    Failure,
    Generation,
    Request,
    Search,
    Utterance,
)
from raypipe.runtime.aggregation import Reading, read_answers
from raypipe.shards import ShardEntry, read_shard
from raypipe.store.location import Location
from raypipe.store.tables import (
    Answered,
    errors_table,
    from_parquet_bytes,
    generations_table,
    to_parquet_bytes,
)
from raypipe.strategies import AggregationSettings, Variant
from raypipe.votes import VotePolicy

_SHARD_FAILURE = b"raypipe.shard_failure"


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to be processed.

    Attributes:
        entry: the shard's name, row count and digest.
        take: number of leading rows that belong to the run.
        repeated: rows whose utterance id already stands elsewhere, with where that is.
        generated: its ``generations/`` object exists already; only the CPU part is left.
    """

    entry: ShardEntry
    take: int
    repeated: Mapping[int, str] = field(default_factory=dict)
    generated: bool = False


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every stage of one run needs to know; small, picklable, free of secrets.

    Attributes:
        run: short id of the run, the beginning of its prediction fingerprint.
        tables: where the tables go.
        partition: the Hive partition path of this run's model and prompt.
        policy: how the corpus's votes became soft labels; None where its index does not say.
        prompt_source: text of the prompt template.
        cut_to_s: a longer clip is cut after so many seconds; None to cut nothing.
    """

    run: str
    shards: Location
    tables: Location
    partition: str
    labels: LabelSet
    policy: VotePolicy | None
    fixed_sentences: bool
    model: str
    prompt: str
    prompt_source: str
    limits: AudioLimits
    cut_to_s: float | None
    silence: bool
    strategies: tuple[str, ...]
    aggregation: AggregationSettings
    emotion_tokens: EmotionTokens
    generation_fingerprint: str
    prediction_fingerprint: str

    @property
    def reading(self) -> Reading:
        """How the hypotheses become predictions."""
        return Reading(
            run=self.run,
            model=self.model,
            prompt=self.prompt,
            labels=self.labels,
            policy=self.policy,
            emotion_tokens=self.emotion_tokens,
            variants=tuple(Variant(name, name, self.aggregation) for name in self.strategies),
        )

    def object_name(self, table: str, shard: str) -> str:
        """Name of a shard's object in ``table``, relative to the tables' location."""
        return f"{table}/{self.partition}/{shard}"


@dataclass(frozen=True, slots=True)
class PreparedShard:
    """A shard on its way to the model: every row is an input or a failure.

    Attributes:
        utterances: the rows without their audio, None where even the row could not be read.
        inputs: what the engine's frontend made of every row.
        heard_s: seconds of each clip that the model gets to hear, None where it gets none.
    """

    task: ShardTask
    utterances: tuple[Utterance | None, ...]
    inputs: tuple[Any | Failure, ...]
    heard_s: tuple[float | None, ...]
    shard_failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class AnsweredShard:
    """A shard on its way to the tables."""

    task: ShardTask
    utterances: tuple[Utterance | None, ...]
    answers: tuple[Generation | Failure, ...]
    heard_s: tuple[float | None, ...]
    shard_failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class StoppedShard:
    """A shard that the engine stopped before; nothing of it is written.

    Attributes:
        reason: why, as the user is to read it.
        answered: shards that the same engine had answered before.
    """

    task: ShardTask
    reason: str
    answered: int


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What the driver hears about a finished shard, or one that was stopped before.

    Attributes:
        stopped: why it was not done; None for a finished shard.
        answered: shards that are, or will be, finished all the same.
    """

    shard: str
    utterances: int
    errors: int
    stopped: str | None = None
    answered: int = 0


def prepare_shard(task: ShardTask, context: RunContext, frontend: Frontend[Any]) -> PreparedShard:
    """Read a shard and make every usable row ready for the model."""
    try:
        rows = read_shard(context.shards, task.entry, context.labels)[: task.take]
    except ShardError as error:
        failure = Failure(None, "read", type(error).__name__, str(error))
        return PreparedShard(task, (), (), (), failure)
    asked = [_request(row, index, task, context, frontend) for index, row in enumerate(rows)]
    requests = [one for one in asked if isinstance(one, Request)]
    prepared = iter(frontend.prepare(requests))
    inputs = tuple(next(prepared) if isinstance(one, Request) else one for one in asked)
    heard_s = tuple(
        len(one.samples) / frontend.sampling_rate
        if isinstance(one, Request) and one.samples is not None
        else None
        for one in asked
    )
    return PreparedShard(task, tuple(_without_audio(row) for row in rows), inputs, heard_s)


def _request(
    row: Utterance | Failure,
    index: int,
    task: ShardTask,
    context: RunContext,
    frontend: Frontend[Any],
) -> Request | Failure:
    if isinstance(row, Failure):
        return row
    if index in task.repeated:
        where = task.repeated[index]
        message = f"utterance_id {row.utterance_id!r} already stands in {where}"
        return Failure(row.utterance_id, "read", "duplicate_id", message)
    try:
        samples = decode(row.audio, sampling_rate=frontend.sampling_rate, limits=context.limits)
    except DecodeError as error:
        return Failure(row.utterance_id, "decode", error.code, str(error))
    if context.cut_to_s is not None:
        samples = samples[: round(context.cut_to_s * frontend.sampling_rate)]
    if context.silence:
        samples = np.zeros_like(samples)
    prompt = fill_template(
        context.prompt_source,
        context.labels,
        transcript=row.transcript,
        context=row.context,
        fixed_sentences=context.fixed_sentences,
    )
    return Request(row.utterance_id, prompt, samples)


def _without_audio(row: Utterance | Failure) -> Utterance | None:
    return None if isinstance(row, Failure) else dataclasses.replace(row, audio=b"")


def answer_shard(shard: PreparedShard, engine: Engine[Any], search: Search) -> AnsweredShard:
    """Let the model answer every prepared row; failures pass through in place."""
    ready = [one for one in shard.inputs if not isinstance(one, Failure)]
    answers = iter(engine.generate(ready, search) if ready else ())
    return AnsweredShard(
        shard.task,
        shard.utterances,
        tuple(one if isinstance(one, Failure) else next(answers) for one in shard.inputs),
        shard.heard_s,
        shard.shard_failure,
    )


def commit_shard(shard: AnsweredShard, context: RunContext) -> ShardSummary:
    """Write a shard's objects: what the model said, the errors, then the predictions.

    The predictions object comes last: where it exists, the shard is done.
    """
    name = shard.task.entry.name
    answered = [
        Answered(utterance, answer, heard_s)
        for utterance, answer, heard_s in zip(
            shard.utterances, shard.answers, shard.heard_s, strict=True
        )
    ]
    generations = generations_table(
        answered,
        run=context.run,
        model=context.model,
        prompt=context.prompt,
        labels=context.labels,
        emotion_tokens=context.emotion_tokens,
    )
    generations = _with_shard_failure(generations, shard.shard_failure)
    _write(context, "generations", name, generations, context.generation_fingerprint)
    return _aggregate(shard.task, generations, context)


def recommit_shard(task: ShardTask, context: RunContext) -> ShardSummary:
    """Finish a shard whose ``generations/`` object exists: no model is needed."""
    name = context.object_name("generations", task.entry.name)
    return _aggregate(task, from_parquet_bytes(context.tables.read(name)), context)


def _with_shard_failure(generations: pa.Table, failure: Failure | None) -> pa.Table:
    """Keep why a whole shard failed beside its (no) rows, so that errors/ can be made again."""
    if failure is None:
        return generations
    value = json.dumps([failure.stage, failure.error_type, failure.message])
    return generations.replace_schema_metadata(
        {**(generations.schema.metadata or {}), _SHARD_FAILURE: value.encode()}
    )


def _shard_failure(generations: pa.Table) -> Failure | None:
    value = (generations.schema.metadata or {}).get(_SHARD_FAILURE)
    return None if value is None else Failure(None, *json.loads(value))


def _aggregate(task: ShardTask, generations: pa.Table, context: RunContext) -> ShardSummary:
    name = task.entry.name
    predictions, failures = read_answers(generations, context.reading)
    shard_failure = _shard_failure(generations)
    if shard_failure is not None:
        failures.append((None, shard_failure))
    errors = errors_table(failures, run=context.run, shard=name, shard_rows=task.take)
    _write(context, "errors", name, errors, context.prediction_fingerprint)
    _write(context, "predictions", name, predictions, context.prediction_fingerprint)
    return ShardSummary(name, task.take, sum(errors.column("utterances").to_pylist()))


def _write(context: RunContext, table: str, shard: str, rows: pa.Table, fingerprint: str) -> None:
    data = to_parquet_bytes(rows, {"raypipe.fingerprint": fingerprint})
    context.tables.write_new(context.object_name(table, shard), data, fingerprint)
