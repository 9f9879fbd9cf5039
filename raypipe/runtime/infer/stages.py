"""The stream's stages on Ray Data: thin coats over :mod:`raypipe.runtime.infer.shard_work`.

A shard travels as one row with one binary cell. Ray Data cuts and merges blocks by size, never a
row, so a shard can be neither split nor joined with another on its way to its commit.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa
import ray.data

from raypipe.config import ModelConfig, ResourcesConfig, RunConfig
from raypipe.engines.contract import CheckedFrontend
from raypipe.errors import LostEngineError, RaypipeError, StoppedError
from raypipe.records import Search
from raypipe.runtime.finish.timings import Timing
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.models import make_frontend, models_awaited
from raypipe.runtime.infer.pools import PoolSize, pool_size
from raypipe.runtime.infer.preparing import PreparedShard
from raypipe.runtime.infer.shard_work import (
    AnsweredShard,
    ShardSummary,
    StoppedShard,
    answer_shard,
    commit_shard,
    recommit_shard,
    verify_shard,
)
from raypipe.runtime.infer.supervised import SupervisedEngine, run_engine
from raypipe.runtime.infer.supervised_preparing import SupervisedPreparing
from raypipe.runtime.ray.metrics import count_answers
from raypipe.runtime.ray.session import possible_resources

_logger = logging.getLogger(__name__)

_Loaded = TypeVar("_Loaded")


def _pack(shard: str, work: object) -> pa.Table:
    payload = pa.array([pickle.dumps(work, protocol=5)], pa.large_binary())
    return pa.table({"shard": [shard], "payload": payload})


def _unpack(batch: pa.Table) -> Any:
    """The one shard in a batch; read in place, without copying its bytes."""
    return pickle.loads(batch["payload"][0].as_buffer())


class PrepareStage:
    """Reads shards and makes model inputs; its process has tokenizers and feature extractors."""

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        self._preparing = SupervisedPreparing(config, context)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Prepare the one shard in the batch, or say why that cannot be."""
        task: ShardTask = _unpack(batch)
        if task.generated:
            return _pack(task.entry.name, task)
        try:
            return _pack(task.entry.name, self._preparing.prepare(task))
        except Exception as error:  # Ray would tell it with the stacks of all processes in between
            return _pack(task.entry.name, _stopped(task, error))


def _stopped(task: ShardTask, error: Exception, answered: int = 0) -> StoppedShard:
    _logger.exception("shard %s", task.entry.name)
    return StoppedShard.by(error, task, answered)


class _AskingStage:
    """Asks a model about shards, and stops before one instead of failing.

    So it does with a model that cannot be loaded: an exception would come with the stacks of every
    actor and process in between, and tear down the stream with answered shards not yet written.
    """

    _answered = 0
    _label = ""
    _fault: str | None = None

    def _load(self, model: ModelConfig, load: Callable[[], _Loaded]) -> _Loaded | None:
        """A model; None if it cannot be loaded: why is told in the place of every shard."""
        self._label = model.label
        try:
            return load()
        except Exception as error:
            _logger.exception("model %s cannot be loaded", model.label)
            kind = "" if isinstance(error, RaypipeError) else f"{type(error).__name__}: "
            told = " ".join(str(error).split())
            self._fault = f"model {model.label} cannot be loaded: {kind}{told}"
            return None

    def _finish(self, task: ShardTask, answer: Callable[[], AnsweredShard]) -> pa.Table:
        """The answered shard, or why the engine stopped before it."""
        done: AnsweredShard | StoppedShard
        if self._fault is not None:
            done = StoppedShard(task, self._fault, self._answered, "EngineError")
            return _pack(task.entry.name, done)
        try:
            done = answer()
            self._answered += 1
        except StoppedError as error:
            done = StoppedShard(task, str(error), self._answered)
        except LostEngineError as error:
            self._fault = f"model {self._label} is lost at shard {task.entry.name}: {error}"
            done = StoppedShard(task, self._fault, self._answered, "EngineError")
        except Exception as error:
            done = _stopped(task, error, self._answered)
        return _pack(task.entry.name, done)


class EngineStage(_AskingStage):
    """Holds the model; shards that were answered in an earlier attempt pass through."""

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        self._context = context
        searches = [
            asking.request for asking in context.passes if isinstance(asking.request, Search)
        ]
        verification = context.verification
        verifies_itself = verification is not None and verification.own_model
        if verification is not None and verifies_itself:
            searches.append(verification.search)
        unique = list(dict.fromkeys(searches))

        def load() -> tuple[CheckedFrontend | None, SupervisedEngine]:
            with models_awaited(config):
                frontend = make_frontend(config.model) if verifies_itself else None
            return frontend, run_engine(config, context.emotion_tokens, unique)

        self._model = self._load(config.model, load)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Answer the one shard in the batch, or say why the engine stopped before it."""
        work: PreparedShard | StoppedShard | ShardTask = _unpack(batch)
        if not isinstance(work, PreparedShard):
            return batch
        return self._finish(work.task, lambda: self._answer(work))

    def _answer(self, work: PreparedShard) -> AnsweredShard:
        assert self._model is not None
        frontend, engine = self._model
        verifier = None if frontend is None else (frontend, engine)
        return answer_shard(work, self._context, engine, verifier)


class VerifyStage(_AskingStage):
    """Holds another model, which scores what the first one answered."""

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        assert context.verification is not None
        verifier, search = config.as_verifier(), context.verification.search

        def load() -> tuple[CheckedFrontend, SupervisedEngine]:
            with models_awaited(verifier):
                frontend = make_frontend(verifier.model)
            # Nothing is read off its logits; an engine without tokens to record is a special case.
            return frontend, run_engine(verifier, frontend.emotion_tokens(context.labels), [search])

        self._context = context
        self._verifier = self._load(verifier.model, load)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Verify the one shard in the batch, or say why the engine stopped before it."""
        work: AnsweredShard | StoppedShard | ShardTask = _unpack(batch)
        if not isinstance(work, AnsweredShard):
            return batch
        return self._finish(work.task, lambda: self._verify(work))

    def _verify(self, work: AnsweredShard) -> AnsweredShard:
        assert self._verifier is not None
        return verify_shard(work, self._context, self._verifier)


def _has_another_verifier(context: RunContext) -> bool:
    return context.verification is not None and not context.verification.own_model


def commit_batch(batch: pa.Table, context: RunContext) -> pa.Table:
    """Write one shard's objects and report its counts, or why that cannot be."""
    work: AnsweredShard | StoppedShard | ShardTask = _unpack(batch)
    try:
        if isinstance(work, StoppedShard):
            summary = _given_up(work)
        elif isinstance(work, ShardTask):
            summary = recommit_shard(work, context)
        else:
            summary = commit_shard(work, context)
            count_answers(context.model, work.rows.timings, work.rows.answers)
    except Exception as error:
        summary = _given_up(_stopped(work if isinstance(work, ShardTask) else work.task, error))
    return pa.Table.from_pylist([dataclasses.asdict(summary)], schema=_SUMMARY)


def _given_up(shard: StoppedShard) -> ShardSummary:
    return ShardSummary(
        shard.task.entry.name, 0, 0, shard.reason, shard.answered, error=shard.error
    )


# Named types: a column of nothing but nulls would not fit to one of texts.
_SUMMARY = pa.schema(
    [
        ("shard", pa.string()),
        ("utterances", pa.int64()),
        ("errors", pa.int64()),
        ("stopped", pa.string()),
        ("answered", pa.int64()),
        ("broken", pa.int64()),
        ("error", pa.string()),
        (
            "timings",
            pa.list_(
                pa.struct(
                    [("question", pa.string()), ("asked", pa.int64()), ("seconds", pa.float64())]
                )
            ),
        ),
    ]
)


def summary_of(row: dict[str, Any]) -> ShardSummary:
    """A summary from the row that came out of the stream."""
    return ShardSummary(**{**row, "timings": tuple(Timing(**each) for each in row["timings"])})


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
    front = ResourcesConfig(
        actors=resources.frontend_workers, gpus_per_actor=0, cpus_per_actor=CPUS_PER_FRONTEND
    )
    readers = PoolSize.fixed(resources.frontend_workers)
    prepared = _pool(source, PrepareStage, (config, context), front, readers)
    answered = prepared
    for stage, own, size in _model_stages(config, context):
        answered = _pool(answered, stage, (config, context), own, size)
    return answered.map_batches(
        commit_batch,
        batch_size=1,
        batch_format="pyarrow",
        fn_kwargs={"context": context},
        num_cpus=CPUS_PER_COMMIT,
    )


def _pool(
    shards: ray.data.Dataset,
    stage: type,
    arguments: tuple[RunConfig, RunContext],
    resources: ResourcesConfig,
    size: PoolSize,
) -> ray.data.Dataset:
    """Shards through a pool of actors, one at a time each.

    What was given to a lost actor is given to another one, however often: nodes come and go.
    """
    return shards.map_batches(
        stage,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            min_size=size.fewest, max_size=size.most, initial_size=size.now
        ),
        fn_constructor_args=arguments,
        num_cpus=resources.cpus_per_actor,
        num_gpus=resources.gpus,
        max_restarts=-1,
        max_task_retries=-1,
    )


def required(config: RunConfig, context: RunContext) -> dict[str, float]:
    """GPUs and CPUs that the stream's stages hold at once, at least."""
    pools = [(own, size.now) for _, own, size in _model_stages(config, context)]
    model_cpus = sum(actors * own.cpus_per_actor for own, actors in pools)
    return {
        "gpus": sum(actors * own.gpus for own, actors in pools),
        "cpus": model_cpus + front_and_end_cpus(config),
    }


def _model_stages(
    config: RunConfig, context: RunContext
) -> list[tuple[type, ResourcesConfig, PoolSize]]:
    """Stages with a model, in order, with what each actor holds and how many there are."""
    stages: list[tuple[type, ModelConfig, ResourcesConfig]] = [
        (EngineStage, config.model, config.resources)
    ]
    if _has_another_verifier(context):
        verifier = config.as_verifier()
        stages.append((VerifyStage, verifier.model, verifier.resources))
    have = possible_resources()
    cpus = have.get("CPU", 0.0) - front_and_end_cpus(config)
    sized = []
    for stage, model, own in stages:
        room = cpus / own.cpus_per_actor if own.cpus_per_actor else math.inf
        if own.gpus:
            room = min(room, have.get("GPU", 0.0) / own.gpus)
        size = pool_size(own, model, len(stages))
        sized.append((stage, own, size.within(room / len(stages))))
    return sized


def model_pools(config: RunConfig, context: RunContext) -> list[PoolSize]:
    """Number of actors of every stage with a model, on the connected cluster as it is now."""
    return [size for _, _, size in _model_stages(config, context)]


def front_and_end_cpus(config: RunConfig) -> float:
    """CPUs of the stages without a model."""
    return config.resources.frontend_workers * CPUS_PER_FRONTEND + CPUS_PER_COMMIT


# Shares of a CPU, so that one model actor, one reader and one writer fit on two CPUs: a stream
# whose last stage can never be scheduled would wait for ever.
CPUS_PER_FRONTEND = 0.5
CPUS_PER_COMMIT = 0.25
