"""Actors that hold a model and work through a job's parts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import ray
from ray.exceptions import RayError

from raypipe.config import RunConfig
from raypipe.errors import ClusterError, EngineError, StoppedError
from raypipe.runtime.infer.pools import pool_size
from raypipe.runtime.ray.losses import loss
from raypipe.runtime.ray.session import check_resources, own_error

_MOST_LOSSES = 6
"""In a row without a part that is done: then it is not the nodes' fault."""

_PAUSE_S = 2.0
"""Before an actor is replaced."""


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

    An actor that raises cannot be made anew in a better way: a fault of the model or the end of a
    budget has to be told in a summary. After a fault nothing more is waited for; at the end of a
    budget the parts that are under way are. What was given to an actor that is lost with its node
    is given to another one.

    Args:
        actor: class that holds the model; made of ``context``.
        context: of the job.
        run: under which its model is asked, with its resources.
        parts: that are left to do.
        call: the method of an actor that does a part.

    Raises:
        StoppedError: at the end of a budget.
        EngineError: if a model cannot be loaded, or most of a part's requests fail.
        ClusterError: if actors are lost one after another without a part that is done.
    """
    resources = run.resources
    count = pool_size(resources, run.model).now
    each = {"gpus": resources.gpus, "cpus": resources.cpus_per_actor}
    check_resources(**{name: count * value for name, value in each.items()})
    remote = ray.remote(num_cpus=each["cpus"], num_gpus=each["gpus"])(actor)
    pool: _Pool[PartT, SummaryT] = _Pool(lambda: remote.remote(context), parts, call)
    stopped: str | None = None
    for summary in pool.summaries(min(count, len(parts))):
        if summary.stopped is None:
            yield summary
        elif not summary.resumable:
            raise EngineError(summary.stopped)
        else:
            stopped = stopped or summary.stopped
            pool.left.clear()
    if stopped is not None:
        raise StoppedError(stopped)


class _Pool(Generic[PartT, SummaryT]):
    """Actors that work through parts; one that is lost is replaced once there is room.

    Attributes:
        left: parts that nobody works at.
    """

    def __init__(
        self,
        make: Callable[[], ray.actor.ActorHandle],
        parts: Sequence[PartT],
        call: Callable[[ray.actor.ActorHandle, PartT], ray.ObjectRef],
    ) -> None:
        self._make, self._call = make, call
        self.left = deque(parts)
        self._starting: dict[ray.ObjectRef, ray.actor.ActorHandle] = {}
        self._working: dict[ray.ObjectRef, tuple[ray.actor.ActorHandle, PartT]] = {}

    def summaries(self, actors: int) -> Iterator[SummaryT]:
        """Summaries of all parts, by so many actors."""
        losses = 0
        for _ in range(actors):
            self._start()
        while self.left or self._working:
            [reference], _ = ray.wait([*self._starting, *self._working], num_returns=1)
            try:
                summary = ray.get(reference)
            except RayError as error:
                lost = loss(error)
                if lost is None:
                    raise own_error(error) from error
                losses += 1
                if losses > _MOST_LOSSES:
                    raise ClusterError(f"{losses} times in a row {lost}") from error
                self._replace(reference)
                continue
            if reference in self._starting:
                self._give(self._starting.pop(reference))
            else:
                losses = 0
                actor, _part = self._working.pop(reference)
                yield summary
                self._give(actor)  # unless nothing more is to be done

    def _start(self) -> None:
        actor = self._make()
        self._starting[actor.__ray_ready__.remote()] = actor

    def _give(self, actor: ray.actor.ActorHandle) -> None:
        """Another part to an actor, which ends if there is none."""
        if self.left:
            part = self.left.popleft()
            self._working[self._call(actor, part)] = actor, part

    def _replace(self, reference: ray.ObjectRef) -> None:
        """Another actor for one that is lost, and its part to the first that is free."""
        if self._starting.pop(reference, None) is None:
            _actor, part = self._working.pop(reference)
            self.left.appendleft(part)
        time.sleep(_PAUSE_S)
        self._start()
