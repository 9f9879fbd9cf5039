"""The stream's stages on Ray Data: thin coats over :mod:`raypipe.runtime.shard_work`.

A shard travels as one row with one binary cell. Ray Data cuts and merges blocks by size, never a
row, so a shard can be neither split nor joined with another on its way to its commit.
"""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from typing import Any

import pyarrow as pa
import ray.data

from raypipe.config import RunConfig
from raypipe.errors import StoppedError
from raypipe.runtime.models import main_search, make_engine, make_frontend
from raypipe.runtime.shard_work import (
    AnsweredShard,
    PreparedShard,
    RunContext,
    ShardSummary,
    ShardTask,
    StoppedShard,
    answer_shard,
    commit_shard,
    prepare_shard,
    recommit_shard,
)


def _pack(shard: str, work: object) -> pa.Table:
    payload = pa.array([pickle.dumps(work, protocol=5)], pa.large_binary())
    return pa.table({"shard": [shard], "payload": payload})


def _unpack(batch: pa.Table) -> Any:
    """The one shard in a batch; read in place, without copying its bytes."""
    return pickle.loads(batch["payload"][0].as_buffer())


class PrepareStage:
    """Reads shards and makes model inputs; holds the model's tokenizer and feature extractor."""

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        self._context = context
        self._frontend = make_frontend(config.model)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Prepare the one shard in the batch."""
        task: ShardTask = _unpack(batch)
        work = task if task.generated else prepare_shard(task, self._context, self._frontend)
        return _pack(task.entry.name, work)


class EngineStage:
    """Holds the model; shards that were answered in an earlier attempt pass through."""

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        self._search = main_search(config, context.labels)
        self._engine = make_engine(config, context.emotion_tokens, [self._search])
        self._answered = 0

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Answer the one shard in the batch, or say why the engine stopped before it."""
        work: PreparedShard | ShardTask = _unpack(batch)
        if isinstance(work, ShardTask):
            return batch
        done: AnsweredShard | StoppedShard
        try:
            done = answer_shard(work, self._engine, self._search)
            self._answered += 1
        except StoppedError as error:
            # An exception would tear down the stream, with answered shards not yet written.
            done = StoppedShard(work.task, str(error), self._answered)
        return _pack(work.task.entry.name, done)


def commit_batch(batch: pa.Table, context: RunContext) -> pa.Table:
    """Write one shard's objects and report its counts."""
    work = _unpack(batch)
    if isinstance(work, StoppedShard):
        summary = ShardSummary(work.task.entry.name, 0, 0, work.reason, work.answered)
    elif isinstance(work, ShardTask):
        summary = recommit_shard(work, context)
    else:
        summary = commit_shard(work, context)
    return pa.Table.from_pylist([dataclasses.asdict(summary)], schema=_SUMMARY)


# Named types: a column of nothing but nulls would not fit to one of texts.
_SUMMARY = pa.schema(
    [
        ("shard", pa.string()),
        ("utterances", pa.int64()),
        ("errors", pa.int64()),
        ("stopped", pa.string()),
        ("answered", pa.int64()),
    ]
)


def shard_stream(
    tasks: list[ShardTask], config: RunConfig, context: RunContext
) -> ray.data.Dataset:
    """The whole stream, lazily: one small summary row comes out for every shard.

    Shards that only need their CPU part still pass the model's actors, as an empty hand-over.
    """
    resources = config.resources
    # Ray 2.60 offers the retry limits in no other way than the one it deprecates.
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", DeprecationWarning)
    rows = [{"shard": task.entry.name, "payload": pickle.dumps(task)} for task in tasks]
    source = ray.data.from_items(rows, override_num_blocks=len(rows))
    # A shard that kills its process is tried three times in all, never for ever.
    retries = {"max_restarts": -1, "max_task_retries": 2}
    prepared = source.map_batches(
        PrepareStage,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=resources.frontend_workers),
        fn_constructor_args=(config, context),
        num_cpus=CPUS_PER_FRONTEND,
        **retries,
    )
    answered = prepared.map_batches(
        EngineStage,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=resources.actors),
        fn_constructor_args=(config, context),
        num_cpus=resources.cpus_per_actor,
        num_gpus=resources.gpus_per_actor,
        **retries,
    )
    return answered.map_batches(
        commit_batch,
        batch_size=1,
        batch_format="pyarrow",
        fn_kwargs={"context": context},
        num_cpus=CPUS_PER_COMMIT,
    )


# Shares of a CPU, so that one model actor, one reader and one writer fit on two CPUs: a stream
# whose last stage can never be scheduled would wait for ever.
CPUS_PER_FRONTEND = 0.5
CPUS_PER_COMMIT = 0.25
