"""Actors that hold a model and work through a job's parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import ray
from ray.exceptions import RayError
from ray.util import ActorPool

from raypipe.config import RunConfig
from raypipe.errors import EngineError, StoppedError
from raypipe.runtime.infer.pools import pool_size
from raypipe.runtime.ray.session import check_resources, own_error


class ActorSummary(Protocol):
    """What the driver hears about a part.

    Attributes:
        stopped: why the part was not written; None if it was.
        resumable: whether the same command continues after it, as it does at the end of a budget.
    """

    @property
    def stopped(self) -> str | None: ...  # noqa: D102

    @property
    def resumable(self) -> bool: ...  # noqa: D102


PartT = TypeVar("PartT")
SummaryT = TypeVar("SummaryT", bound=ActorSummary)


def done_by_actors(
    actor: type,
    context: object,
    run: RunConfig,
    parts: Sequence[PartT],
    call: Callable[[ray.actor.ActorHandle, PartT], ray.ObjectRef],
) -> Iterator[SummaryT]:
    """Summaries of the parts that were written, as they are done.

    An actor that raises is started again for ever: a fault of the model or the end of a budget has
    to be told in a summary. After a fault nothing more is waited for; at the end of a budget the
    parts that are under way are.

    Args:
        actor: class that holds the model; made of ``context``.
        context: of the job.
        run: under which its model is asked, with its resources.
        parts: that are left to do.
        call: the method of an actor that does a part.

    Raises:
        StoppedError: at the end of a budget.
        EngineError: if a model cannot be loaded, or most of a part's requests fail.
    """
    resources = run.resources
    count = pool_size(resources, run.model).now
    each = {"gpus": resources.gpus, "cpus": resources.cpus_per_actor}
    check_resources(**{name: count * value for name, value in each.items()})
    remote = ray.remote(
        num_cpus=each["cpus"], num_gpus=each["gpus"], max_restarts=-1, max_task_retries=2
    )(actor)
    pool = ActorPool([remote.remote(context) for _ in range(min(count, len(parts)))])
    stopped: str | None = None
    try:
        for summary in pool.map_unordered(call, parts):
            if summary.stopped is None:
                yield summary
            elif not summary.resumable:
                raise EngineError(summary.stopped)
            else:
                stopped = stopped or summary.stopped
    except RayError as error:
        raise own_error(error) from error
    if stopped is not None:
        raise StoppedError(stopped)
