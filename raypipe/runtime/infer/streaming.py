"""A model's shards through the stream, which is started again where the cluster has changed.

A shard that is committed is never done again, and one that is not can be: so the driver may stop
the stream at any time and start another one, of what is pending, for the nodes that are there now.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from functools import partial

from raypipe.reporting.console import Console
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.infer.cluster_watch import ClusterWatch, watched_summaries
from raypipe.runtime.infer.plan import ModelRun, replanned
from raypipe.runtime.infer.shard_work import ShardSummary
from raypipe.runtime.infer.spans import spans_of
from raypipe.runtime.infer.stages import model_pools, required, shard_stream, summary_of
from raypipe.runtime.ray.attempts import Attempts
from raypipe.runtime.ray.losses import going_on, wait_for_room
from raypipe.runtime.ray.session import check_resources


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

    def left_of(before: ModelRun) -> ModelRun:
        wait_for_room(partial(required, before.config, before.context), console)
        left = replanned(before)
        progress.start_again(left.utterances_done)
        return left

    return going_on(model_run, lambda left: _once(left, progress), left_of, console)


def _once(model_run: ModelRun, progress: RunProgress) -> Iterator[ShardSummary]:
    """Summaries of one stream."""
    shards = len(model_run.pending)
    if not shards:
        return
    config, context = model_run.config, model_run.context
    needs = required(config, context)
    check_resources(**needs)
    watch = ClusterWatch(partial(model_pools, config, context), needs)
    attempts = Attempts(uuid.uuid4().hex)
    stream = shard_stream(spans_of(model_run), config, context, attempts)
    with attempts.cleared():
        yield from watched_summaries(stream, summary_of, shards, watch, progress)
