"""The stream's stages on Ray Data: thin coats over :mod:`raypipe.runtime.infer.shard_work`.

A span of shards travels as one row with one binary cell. Ray Data cuts and merges blocks by size,
never a row, so a span can be neither split nor joined with another on its way to its commit.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import ray
import ray.data

from raypipe.config import ModelConfig, ResourcesConfig, RunConfig
from raypipe.engines.contract import CheckedFrontend
from raypipe.errors import LostEngineError, RaypipeError, StoppedError
from raypipe.records import Search
from raypipe.runtime.finish.timings import Timing
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.models import make_frontend, models_awaited
from raypipe.runtime.infer.pools import PoolSize, frontend_pool, pool_size
from raypipe.runtime.infer.shard_work import (
    AnsweredShard,
    ShardSummary,
    StoppedShard,
    commit_shard,
    recommit_shard,
)
from raypipe.runtime.infer.spans import (
    AnsweredSpan,
    PreparedSpan,
    Span,
    answer_span,
    verify_span,
)
from raypipe.runtime.infer.supervised import SupervisedEngine, has_own_process, run_engine
from raypipe.runtime.infer.supervised_preparing import SupervisedPreparing
from raypipe.runtime.ray.attempts import Attempts
from raypipe.runtime.ray.cycles import cycles_left
from raypipe.runtime.ray.metrics import count_answers
from raypipe.runtime.ray.payload import packed, packed_row, unpacked
from raypipe.runtime.ray.session import possible_resources

_logger = logging.getLogger(__name__)

_Loaded = TypeVar("_Loaded")


class PrepareStage:
    """Reads shards and makes model inputs; its process has tokenizers and feature extractors."""

    def __init__(self, config: RunConfig, context: RunContext, attempts: Attempts) -> None:
        self._preparing = SupervisedPreparing(config, context)
        self._attempts = attempts

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Prepare the shards in the batch, or say why that cannot be."""
        span: Span = unpacked(batch)
        if span.is_generated:
            return batch
        shards = []
        for task in span.tasks:
            try:
                with self._attempts.begun(f"preparing shard {task.entry.name}"):
                    shards.append(self._preparing.prepare(task))
            except Exception as error:  # Ray would tell it with the stacks of all processes
                return packed(_stopped(task, error))
        return packed(PreparedSpan(span, tuple(shards)))


def _stopped(task: ShardTask, error: Exception, answered: int = 0) -> StoppedShard:
    _logger.exception("shard %s", task.entry.name)
    return StoppedShard.by(error, task, answered)


class _AskingStage:
    """Asks a model about shards, and stops before one instead of failing.

    So it does with a model that cannot be loaded: an exception would come with the stacks of every
    actor and process in between, and tear down the stream with answered shards not yet written.

    Of two calls at once (:data:`CALLS`) one is with the model; the other takes in what comes next,
    or hands on what is done.
    """

    _answered = 0
    _label = ""
    _fault: str | None = None

    def __init__(self, config: RunConfig, attempts: Attempts) -> None:
        self._attempts = attempts
        self._is_here = not has_own_process(config)
        self._with_model = threading.Lock()

    def _load(self, model: ModelConfig, load: Callable[[], _Loaded]) -> _Loaded | None:
        """A model; None if it cannot be loaded: why is told in the place of every shard."""
        self._label = model.label
        actor = ray.get_runtime_context().get_actor_id()
        try:
            with self._attempts.begun(f"loading model {model.label} for actor {actor}"):
                return load()
        except Exception as error:
            _logger.exception("model %s cannot be loaded", model.label)
            kind = "" if isinstance(error, RaypipeError) else f"{type(error).__name__}: "
            told = " ".join(str(error).split())
            self._fault = f"model {model.label} cannot be loaded: {kind}{told}"
            return None

    def _finish(
        self, span: Span, answer: Callable[[], AnsweredSpan]
    ) -> AnsweredSpan | StoppedShard:
        """The answered shards, or why the engine stopped before them."""
        task = span.tasks[0]
        if self._fault is not None:
            return StoppedShard(task, self._fault, self._answered, "EngineError")
        try:
            with self._attempts.begun(f"asking {self._label} about shard {span.name}"):
                done = answer()
        except StoppedError as error:
            return StoppedShard(task, str(error), self._answered)
        except LostEngineError as error:
            self._fault = f"model {self._label} is lost at shard {span.name}: {error}"
            return StoppedShard(task, self._fault, self._answered, "EngineError")
        except Exception as error:
            return _stopped(task, error, self._answered)
        self._answered += len(span.missing)
        return done


class EngineStage(_AskingStage):
    """Holds the model; shards that were answered in an earlier attempt pass through."""

    def __init__(self, config: RunConfig, context: RunContext, attempts: Attempts) -> None:
        super().__init__(config, attempts)
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
        """Answer the shards in the batch, or say why the engine stopped before them."""
        work: PreparedSpan | StoppedShard | Span = unpacked(batch, writable=self._is_here)
        if not isinstance(work, PreparedSpan):
            return batch
        with self._with_model:
            done = self._finish(work.span, lambda: self._answer(work))
        return packed(done)

    def _answer(self, work: PreparedSpan) -> AnsweredSpan:
        assert self._model is not None
        frontend, engine = self._model
        verifier = None if frontend is None else (frontend, engine)
        return answer_span(work, self._context, engine, verifier)


class VerifyStage(_AskingStage):
    """Holds another model, which scores what the first one answered."""

    def __init__(self, config: RunConfig, context: RunContext, attempts: Attempts) -> None:
        verifier = config.as_verifier()
        super().__init__(verifier, attempts)
        assert context.verification is not None
        search = context.verification.search

        def load() -> tuple[CheckedFrontend, SupervisedEngine]:
            with models_awaited(verifier):
                frontend = make_frontend(verifier.model)
            # Nothing is read off its logits; an engine without tokens to record is a special case.
            return frontend, run_engine(verifier, frontend.emotion_tokens(context.labels), [search])

        self._context = context
        self._verifier = self._load(verifier.model, load)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Verify the shards in the batch, or say why the engine stopped before them."""
        work: AnsweredSpan | StoppedShard | Span = unpacked(batch, writable=self._is_here)
        if not isinstance(work, AnsweredSpan):
            return batch
        with self._with_model:
            done = self._finish(work.span, lambda: self._verify(work))
        return packed(done)

    def _verify(self, work: AnsweredSpan) -> AnsweredSpan:
        assert self._verifier is not None
        return verify_span(work, self._context, self._verifier)


def _has_another_verifier(context: RunContext) -> bool:
    return context.verification is not None and not context.verification.own_model


def commit_batch(batch: pa.Table, context: RunContext) -> pa.Table:
    """Write the objects of a span's shards and report their counts, or why that cannot be."""
    with cycles_left():
        work: AnsweredSpan | StoppedShard | Span = unpacked(batch)
        summaries = list(_summaries(work, context))
    return pa.Table.from_pylist(
        [dataclasses.asdict(summary) for summary in summaries], schema=_SUMMARY
    )


def _summaries(
    work: AnsweredSpan | StoppedShard | Span, context: RunContext
) -> Iterator[ShardSummary]:
    if isinstance(work, StoppedShard):
        yield _given_up(work)
    elif isinstance(work, Span):
        for task in work.tasks:
            yield _committed(task, partial(recommit_shard, task, context))
    else:
        for shard in work.missing:
            yield _committed(shard.task, partial(_written, shard, context))


def _written(shard: AnsweredShard, context: RunContext) -> ShardSummary:
    summary = commit_shard(shard, context)
    count_answers(context.model, shard.rows.timings, shard.rows.answers)
    return summary


def _committed(task: ShardTask, commit: Callable[[], ShardSummary]) -> ShardSummary:
    try:
        return commit()
    except Exception as error:
        return _given_up(_stopped(task, error))


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
    spans: Sequence[Span], config: RunConfig, context: RunContext, attempts: Attempts
) -> ray.data.Dataset:
    """The whole stream, lazily: one small summary row comes out for every shard.

    Shards that only need their CPU part still pass the model's actors, as an empty hand-over.
    """
    # Ray 2.60 offers the retry limits in no other way than the one it deprecates.
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", DeprecationWarning)
    rows = [packed_row(span) for span in spans]
    source = ray.data.from_items(rows, override_num_blocks=len(rows))
    front = ResourcesConfig(gpus_per_actor=0, cpus_per_actor=CPUS_PER_FRONTEND)
    arguments = config, context, attempts
    answered = _pool(source, PrepareStage, arguments, front, _frontends(config, context))
    for stage, model, size in _model_stages(config, context):
        calls = CALLS if has_own_process(model) else 1
        answered = _pool(answered, stage, arguments, model.resources, size, calls)
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
    arguments: tuple[RunConfig, RunContext, Attempts],
    resources: ResourcesConfig,
    size: PoolSize,
    calls: int = 1,
) -> ray.data.Dataset:
    """Shards through a pool of actors, so many calls of each at once.

    What was given to a lost actor is given to another one, however often: nodes come and go. What
    ends its actors is stopped by :class:`Attempts`.
    """
    return shards.map_batches(
        stage,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            min_size=size.fewest,
            max_size=size.most,
            initial_size=size.now,
            max_concurrent_calls_per_actor=calls,
            # Ray lets a pool grow that has twice as much to do as it can.
            max_tasks_in_flight_per_actor=2 if size.fewest == size.most else 2 * calls,
            enable_true_multi_threading=calls > 1,
        ),
        fn_constructor_args=arguments,
        num_cpus=resources.cpus_per_actor,
        num_gpus=resources.gpus,
        max_restarts=-1,
        max_task_retries=-1,
    )


def required(config: RunConfig, context: RunContext) -> dict[str, float]:
    """GPUs and CPUs that the stream's stages hold at once, at least."""
    pools = [(own.resources, size.now) for _, own, size in _model_stages(config, context)]
    model_cpus = sum(actors * own.cpus_per_actor for own, actors in pools)
    return {
        "gpus": sum(actors * own.gpus for own, actors in pools),
        "cpus": model_cpus + front_and_end_cpus(config, context),
    }


def _model_stages(config: RunConfig, context: RunContext) -> list[tuple[type, RunConfig, PoolSize]]:
    """Stages with a model, in order, with the config of each and its number of actors."""
    stages: list[tuple[type, RunConfig]] = [(EngineStage, config)]
    if _has_another_verifier(context):
        stages.append((VerifyStage, config.as_verifier()))
    have = possible_resources()
    cpus = have.get("CPU", 0.0) - front_and_end_cpus(config, context)
    sized = []
    for stage, model in stages:
        own = model.resources
        room = cpus / own.cpus_per_actor if own.cpus_per_actor else math.inf
        if own.gpus:
            room = min(room, have.get("GPU", 0.0) / own.gpus)
        size = pool_size(own, model.model, len(stages))
        sized.append((stage, model, size.within(room / len(stages))))
    return sized


def model_pools(config: RunConfig, context: RunContext) -> list[PoolSize]:
    """Number of actors of every stage with a model, on the connected cluster as it is now."""
    return [size for _, _, size in _model_stages(config, context)]


def _frontends(config: RunConfig, context: RunContext) -> PoolSize:
    """Actors that decode audio and make features, where there is room beside the model's."""
    own = config.resources
    stages = 1 + _has_another_verifier(context)
    models = pool_size(own, config.model, stages)
    cpus = possible_resources().get("CPU", 0.0) - CPUS_PER_COMMIT
    left = cpus - stages * models.now * own.cpus_per_actor
    wanted = frontend_pool(own, models, context.clip_s)
    return wanted if own.frontend_workers != "auto" else wanted.within(left / CPUS_PER_FRONTEND)


def front_and_end_cpus(config: RunConfig, context: RunContext) -> float:
    """CPUs of the stages without a model."""
    return _frontends(config, context).now * CPUS_PER_FRONTEND + CPUS_PER_COMMIT


# One that the model answers, and one that comes or goes meanwhile.
CALLS = 2

# Shares of a CPU, so that one model actor, one reader and one writer fit on two CPUs: a stream
# whose last stage can never be scheduled would wait for ever.
CPUS_PER_FRONTEND = 0.5
CPUS_PER_COMMIT = 0.25
