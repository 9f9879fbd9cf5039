"""A model's shards through the stream, which is started again where the cluster has changed.

A shard that is committed is never done again, and one that is not can be: so the driver may stop
the stream at any time and start another one, of what is pending, for the nodes that are there now.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RpcError,
    WorkerCrashedError,
)

from raypipe.errors import ClusterError, ConfigError
from raypipe.reporting.console import Console
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.infer.cluster_watch import ClusterChangedError, ClusterWatch, watched
from raypipe.runtime.infer.plan import ModelRun, replanned
from raypipe.runtime.infer.shard_work import ShardSummary
from raypipe.runtime.infer.stages import required, shard_stream
from raypipe.runtime.ray.session import causes, check_resources, own_error

_LOST = (
    RayActorError,
    WorkerCrashedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RpcError,
)
"""What Ray says when a process or a node was lost, rather than that a stage raised."""

_TRIES = 6
"""Streams in a row that end without a shard: then it is not the nodes' fault."""

_LONGEST_PAUSE_S = 30.0

_NODES_PATIENCE_S = 1800.0
_NODES_INTERVAL_S = 5.0


def summaries(
    model_run: ModelRun, progress: RunProgress, console: Console
) -> Generator[ShardSummary, None, None]:
    """Summaries of a model's pending shards, as they are done.

    Args:
        model_run: as planned.
        progress: of the run; it is told where it is after a loss.
        console: where losses are told.

    Raises:
        ClusterError: if streams end one after another without a shard.
    """
    tries, pause_s = 0, 1.0
    while model_run.pending:
        watch = ClusterWatch(model_run.config, model_run.context)
        try:
            for summary in _once(model_run, watch, progress):
                tries, pause_s = 0, 1.0
                yield summary
            return
        except (RayError, ClusterChangedError) as error:
            lost = _loss(error)
            if lost is None:
                raise own_error(error) from error
            tries += 1
            if tries >= _TRIES:
                raise ClusterError(
                    f"{_TRIES} times in a row the cluster lost what it was given before a shard "
                    f"was done, the last time: {lost}"
                ) from error
        console.print(f"{lost}; going on with what is not written yet", soft_wrap=True)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        _wait_for_room(model_run, console)
        model_run = replanned(model_run)
        progress.start_again(model_run.utterances_done)


def _wait_for_room(model_run: ModelRun, console: Console) -> None:
    """Wait until there are nodes for one actor of each stage: lost ones are replaced, as a rule.

    Raises:
        ConfigError: if none come.
    """
    deadline, told = time.monotonic() + _NODES_PATIENCE_S, False
    while True:
        try:
            check_resources(**required(model_run.config, model_run.context))
        except ConfigError as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                console.print(f"waiting for nodes: {error}", soft_wrap=True)
            told = True
            time.sleep(_NODES_INTERVAL_S)
        else:
            return


def _once(
    model_run: ModelRun, watch: ClusterWatch, progress: RunProgress
) -> Iterator[ShardSummary]:
    """Summaries of one stream."""
    check_resources(**required(model_run.config, model_run.context))
    stream = shard_stream(model_run.pending, model_run.config, model_run.context)
    left = len(model_run.pending)
    with watched(stream, lambda: watch.look(progress.quiet_s, left)):
        for batch in stream.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0):
            for row in batch.to_pylist():
                summary = ShardSummary(**row)
                left -= 1
                progress.advance(summary.utterances, summary.errors)
                yield summary


def _loss(error: BaseException) -> str | None:
    """What was lost, in one line; None where a stage has raised."""
    for cause in causes(error):
        if isinstance(cause, ClusterChangedError):
            return str(cause)
        if isinstance(cause, RayActorError) and cause.actor_init_failed:
            return None
        if isinstance(cause, _LOST):
            return f"a node or a worker was lost ({type(cause).__name__})"
    return None
