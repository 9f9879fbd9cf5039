"""A features job from its config to its tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from raypipe.reporting.console import Console
from raypipe.runtime.features.config import FeatureResources, FeaturesConfig
from raypipe.runtime.features.plan import (
    EncoderRun,
    FeaturesContext,
    FeaturesPlan,
    plan_features,
)
from raypipe.runtime.features.stages import EncoderPool, encoded_stream
from raypipe.runtime.features.work import EncodedSummary
from raypipe.runtime.finish.counts import check_counts
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.storage_watch import storage_watched
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.cluster_watch import ClusterWatch, watched_summaries
from raypipe.runtime.infer.context import ShardTask
from raypipe.runtime.infer.pools import PoolSize
from raypipe.runtime.ray.losses import going_on, wait_for_room
from raypipe.runtime.ray.session import (
    check_resources,
    nodes_with_cpus,
    possible_resources,
    ray_session,
)
from raypipe.store.query import connect
from raypipe.store.run_record import RunCounts, RunRecord, write_record


def features(
    config: FeaturesConfig, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """Encode everything the config asks for that is not encoded yet.

    The same config again continues an interrupted job.

    Args:
        config: what to do.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The record, as written to ``run.json``.

    Raises:
        RaypipeError: if the config, the input, the storage or the accounting is wrong.
    """
    plan = plan_features(config)
    return carry_out_features(plan, address=address, console=console)


def carry_out_features(
    plan: FeaturesPlan, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """The rest of :func:`features` after everything was checked, from its plan."""
    console = console or Console()
    started, clock = datetime.now(UTC), time.monotonic()
    record = _record(plan, started)
    write_record(plan.tables, record)
    with failures_recorded(plan.tables, record):
        if any(run.pending for run in plan.runs):
            with ray_session(address):
                for run in plan.runs:
                    _stream(run, plan.config, console, several=len(plan.runs) > 1)
        counts = count_features(plan)
        check_counts(counts)
    record = finished_now(
        record,
        clock,
        counts=counts,
    )
    write_record(plan.tables, record)
    return record


def encoder_pool(resources: FeatureResources) -> EncoderPool:
    """The actors of a job on the connected cluster, every ``auto`` resolved.

    Where there is no room for all actors that were asked for, there are fewer.
    """
    have = possible_resources()
    there = have.get("GPU", 0.0)
    gpus = resources.gpus_per_actor
    if gpus == "auto":
        gpus = 1.0 if there >= 1 else 0.0
    if resources.actors == "auto":
        actors = max(1, int(there / gpus)) if gpus else max(1, nodes_with_cpus())
    else:
        actors = resources.actors
    pool = EncoderPool(actors, gpus, resources.cpus_per_actor, resources.readers)
    return pool.within(have)


def _stream(run: EncoderRun, config: FeaturesConfig, console: Console, *, several: bool) -> None:
    if not run.pending:
        return
    if several:
        console.print(f"encoder {run.context.encoder.label}")
    progress = RunProgress(
        run.utterances, run.utterances_done, console, waiting="loading the encoder"
    )
    done: set[str] = set()

    def left_of(tasks: list[ShardTask]) -> list[ShardTask]:
        wait_for_room(lambda: encoder_pool(config.resources).required, console)
        return [task for task in tasks if task.entry.name not in done]

    def stream(tasks: list[ShardTask]) -> Iterator[EncodedSummary]:
        return _once(tasks, run.context, config.resources, progress)

    with progress, storage_watched((run.context.shards, run.context.tables), progress):
        for summary in going_on(run.pending, stream, left_of, console):
            done.add(summary.shard)


def _once(
    tasks: list[ShardTask],
    context: FeaturesContext,
    resources: FeatureResources,
    progress: RunProgress,
) -> Iterator[EncodedSummary]:
    """Summaries of one stream."""
    if not tasks:
        return
    pool = encoder_pool(resources)
    check_resources(**pool.required)
    watch = ClusterWatch(lambda: [PoolSize.fixed(encoder_pool(resources).actors)], pool.required)
    stream = encoded_stream(tasks, context, pool)
    yield from watched_summaries(
        stream, lambda row: EncodedSummary(**row), len(tasks), watch, progress
    )


def count_features(plan: FeaturesPlan) -> RunCounts:
    """Counts of what the committed tables hold, of every encoder and of all together."""
    connection = connect(plan.tables)
    cells = []
    for run in plan.runs:
        cell = [run.context.run, run.context.encoder.label, run.context.heard]
        where = "WHERE run = ? AND model = ? AND prompt = ?"
        encoded = connection.execute(
            f"SELECT count(*) FROM features {where} AND error_stage IS NULL", cell
        ).fetchone()
        errors = connection.execute(
            f"SELECT coalesce(sum(utterances), 0) FROM errors {where}", cell
        ).fetchone()
        assert encoded is not None
        assert errors is not None
        cells.append(
            RunCounts(
                model=run.context.encoder.label,
                prompt=run.context.heard,
                input=run.utterances,
                predicted=encoded[0],
                errors=int(errors[0]),
                strategies={},
            )
        )
    return RunCounts(
        input=sum(cell.input for cell in cells),
        predicted=sum(cell.predicted for cell in cells),
        errors=sum(cell.errors for cell in cells),
        strategies={},
        utterances=plan.runs[0].utterances,
        cells=tuple(cells),
    )


def _record(plan: FeaturesPlan, started: datetime) -> RunRecord:
    return RunRecord(
        name=plan.config.name,
        run=plan.fingerprint[:12],
        status="running",
        fingerprint=plan.fingerprint,
        generation_fingerprint=plan.fingerprint,
        input_fingerprint=plan.index.fingerprint,
        identity={run.context.encoder.label: run.context.fingerprint for run in plan.runs},
        dataset=plan.index.dataset,
        labels=plan.index.labels,
        vote_policy=plan.index.policy,
        config=plan.config.model_dump(mode="json"),
        seed=0,
        versions=versions(),
        started=started.isoformat(timespec="seconds"),
    )
