"""What happens to one shard, step by step, as plain functions that know nothing of Ray.

A shard moves through three hands: :func:`raypipe.runtime.infer.preparing.prepare_shard` on a CPU
(read, decode, prompts, features), :func:`answer_shard` on the model's device (:func:`verify_shard`
on another model's, if that verifies), :func:`commit_shard` on a CPU (parse, aggregate, write). It
stays whole all the way: what is committed is one object per table and prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import pyarrow as pa

from raypipe.engines.contract import Tagged
from raypipe.errors import (
    AccountingError,
    ClusterError,
    ConfigError,
    EngineError,
    RaypipeError,
    ShardError,
    StoppedError,
    StoreError,
    unexpected,
)
from raypipe.protocols import Frontend, RunEngine
from raypipe.records import Failure
from raypipe.runtime.finish.aggregation import read_answers
from raypipe.runtime.finish.timings import Timing
from raypipe.runtime.infer.answering import ShardAnswers
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.preparing import PreparedRows, PreparedShard, filled
from raypipe.runtime.infer.verifying import Row, verify
from raypipe.store.generations import (
    Answered,
    generations_table,
    shard_failure,
    with_shard_failure,
)
from raypipe.store.objects import object_bytes, read_object
from raypipe.store.tables import errors_table

Verifier = tuple[Frontend[Tagged], RunEngine[Tagged]]
"""Both halves of the engine of a verifier."""


@dataclass(frozen=True, slots=True)
class AnsweredRows:
    """Utterances that were answered, on their way to the tables, or to another verifier.

    Attributes:
        prepared: the rows; with their clips, most of the bytes, as long as a verifier is still to
            hear them.
        answers: what became of every row, by prompt.
        timings: how long the questions took.
    """

    prepared: PreparedRows
    answers: tuple[Row, ...]
    timings: tuple[Timing, ...] = ()


@dataclass(frozen=True, slots=True)
class AnsweredShard:
    """A shard on its way to the tables, or to another model that verifies.

    Attributes:
        rows: none for a shard that could not be read.
        shard_failure: why the whole shard could not be read; None if it could.
    """

    task: ShardTask
    rows: AnsweredRows
    shard_failure: Failure | None = None


STOPPING: Mapping[str, type[RaypipeError]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            *(AccountingError, ClusterError, ConfigError, EngineError),
            *(ShardError, StoppedError, StoreError),
        )
    }
)
"""Errors that end a run, and their subclasses, by the name under which stages tell of them."""


@dataclass(frozen=True, slots=True)
class StoppedShard:
    """A shard that a stage stopped before; nothing of it is written.

    Attributes:
        reason: why, as the user is to read it.
        answered: shards that the same engine had answered before.
        error: name of the error that the run ends with, of :data:`STOPPING`.
    """

    task: ShardTask
    reason: str
    answered: int
    error: str = "StoppedError"

    @classmethod
    def by(cls, error: Exception, task: ShardTask, answered: int = 0) -> StoppedShard:
        """A shard whose stage has raised; the reason names it in one line."""
        known = (name for name, kind in STOPPING.items() if isinstance(error, kind))
        told = str(error) if isinstance(error, RaypipeError) else unexpected(error)[1]
        reason = f"shard {task.entry.name}: {' '.join(told.split())}"
        return cls(task, reason, answered, next(known, "ClusterError"))


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What the driver hears about a finished shard, or one that was stopped before.

    Attributes:
        errors: of its utterances, those that failed under every prompt.
        stopped: why it was not done; None for a finished shard.
        answered: shards that are, or will be, finished all the same.
        broken: utterances that raypipe, engine or model failed under one prompt, the most.
        error: name of the error that the run then ends with, of :data:`STOPPING`.
        timings: how long its questions took; none where an earlier attempt had asked them.
    """

    shard: str
    utterances: int
    errors: int
    stopped: str | None = None
    answered: int = 0
    broken: int = 0
    error: str = "StoppedError"
    timings: tuple[Timing, ...] = ()

    @property
    def raised(self) -> RaypipeError:
        """The error that the run ends with where it was not done."""
        return STOPPING[self.error](self.stopped or "")


def answer_shard(
    shard: PreparedShard,
    context: RunContext,
    engine: RunEngine[Tagged],
    verifier: Verifier | None = None,
) -> AnsweredShard:
    """A shard with all its answers; arguments as for :func:`answer_rows`."""
    rows = answer_rows(shard.rows, context, engine, verifier)
    return AnsweredShard(shard.task, rows, shard.shard_failure)


def answer_rows(
    rows: PreparedRows,
    context: RunContext,
    engine: RunEngine[Tagged],
    verifier: Verifier | None = None,
) -> AnsweredRows:
    """Every question about every row, answered; failures pass through in place.

    Args:
        rows: what is asked about.
        context: of the run.
        engine: that answers.
        verifier: the same model as its own verifier; None if nothing is verified, or by another.
    """
    answers = ShardAnswers(rows.windows, len(context.prompts))
    with engine.audio_cache():
        for asking in context.passes:
            answers.ask(asking, engine, context.is_ambiguous)
        heard = _without_clips(rows) if context.verification is None else rows
        answered = AnsweredRows(heard, tuple(answers.by_row()), tuple(answers.timings))
        return answered if verifier is None else verify_rows(answered, context, verifier)


def verify_shard(shard: AnsweredShard, context: RunContext, verifier: Verifier) -> AnsweredShard:
    """A shard whose beams have a verifier's scores."""
    return replace(shard, rows=verify_rows(shard.rows, context, verifier))


def verify_rows(rows: AnsweredRows, context: RunContext, verifier: Verifier) -> AnsweredRows:
    """Rows whose beams have a verifier's scores."""
    verification, utterances = context.verification, rows.prepared.utterances
    assert verification is not None
    source = verification.source

    def prompt_of(row: int, candidate: str) -> str:
        utterance = utterances[row]
        assert utterance is not None  # it has beams
        return filled(source, utterance, context, candidate=candidate)

    answers, timing = verify(
        rows.answers,
        rows.prepared.windows,
        verification,
        verifier,
        context.labels,
        prompt_of=prompt_of,
        is_ambiguous=context.is_ambiguous,
    )
    timings = (*rows.timings, timing)
    return AnsweredRows(_without_clips(rows.prepared), tuple(answers), timings)


def _without_clips(rows: PreparedRows) -> PreparedRows:
    return replace(rows, windows=())


def commit_shard(shard: AnsweredShard, context: RunContext) -> ShardSummary:
    """Write a shard's objects: what the model said, the errors, if any, then the predictions.

    The predictions objects come last: where all of them exist, the shard is done.
    """
    name = shard.task.entry.name
    generations = {
        prompt: with_shard_failure(_generations(shard, number, context), shard.shard_failure)
        for number, prompt in enumerate(context.asked_prompts)
    }
    for prompt, table in generations.items():
        _write(context, "generations", prompt, name, table, context.generation_fingerprint)
    summary = _aggregate(shard.task, generations, context)
    return replace(summary, timings=shard.rows.timings)


def recommit_shard(task: ShardTask, context: RunContext) -> ShardSummary:
    """Finish a shard whose ``generations/`` objects exist: no model is needed."""
    names = {
        prompt: context.object_name("generations", prompt, task.entry.name)
        for prompt in context.asked_prompts
    }
    read = {prompt: read_object(context.tables, at) for prompt, at in names.items()}
    return _aggregate(task, read, context)


def _generations(shard: AnsweredShard, number: int, context: RunContext) -> pa.Table:
    """What the model said under one prompt; an answer that no table takes costs no other."""
    prepared = shard.rows.prepared
    rows = [
        Answered(utterance, row[number], heard_s)
        for utterance, row, heard_s in zip(
            prepared.utterances, shard.rows.answers, prepared.heard_s, strict=True
        )
    ]
    table = partial(
        generations_table,
        run=context.run,
        model=context.model,
        prompt=context.asked_prompts[number],
        labels=context.labels,
        emotion_tokens=context.emotion_tokens,
        options=context.prompts[number].options,
    )
    try:
        return table(rows)
    except RaypipeError:
        raise
    except Exception:  # about a text or a number that nobody foresaw: find out in which row
        return table([_storable(row, table) for row in rows])


def _storable(row: Answered, table: Callable[[Sequence[Answered]], pa.Table]) -> Answered:
    """A row, or in its place why no table takes it."""
    try:
        table([row])
    except RaypipeError:
        raise
    except Exception as error:
        name = None if row.utterance is None else row.utterance.utterance_id
        return Answered(row.utterance, Failure(name, "aggregate", *unexpected(error)))
    return row


def _aggregate(
    task: ShardTask, generations: Mapping[str, pa.Table], context: RunContext
) -> ShardSummary:
    name = task.entry.name
    predicted = read_answers(generations, context.prediction_settings)
    unread = shard_failure(next(iter(generations.values())))
    failed, broken = [], []
    for prompt, (_, failures) in predicted.items():
        if unread is not None:
            failures.append((None, unread))
        errors = errors_table(
            failures,
            run=context.run,
            shard=name,
            shard_rows=task.take,
            model=context.model,
            prompt=prompt,
        )
        counts = errors.column("utterances").to_pylist()
        failed.append(sum(counts))
        broken.append(
            sum(
                count
                for count, (_, failure) in zip(counts, failures, strict=True)
                if not failure.is_refusal
            )
        )
        if errors.num_rows:
            _write(context, "errors", prompt, name, errors, context.prediction_fingerprint)
    for prompt, (predictions, _) in predicted.items():
        _write(context, "predictions", prompt, name, predictions, context.prediction_fingerprint)
    return ShardSummary(name, task.take, min(failed), broken=max(broken))


def _write(
    context: RunContext, table: str, prompt: str, shard: str, rows: pa.Table, fingerprint: str
) -> None:
    data = object_bytes(rows, model=context.model, prompt=prompt, fingerprint=fingerprint)
    context.tables.write_new(context.object_name(table, prompt, shard), data, fingerprint)
