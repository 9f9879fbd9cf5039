"""Whether the nodes that a stream was made for are still those that there are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Protocol, TypeVar

import ray.data
from ray.data._internal.execution.execution_callback import ExecutionCallback

from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.infer.pools import PoolSize
from raypipe.runtime.ray.losses import ClusterChangedError
from raypipe.runtime.ray.streams import rows_of

_INTERVAL_S = 2.0
_STALL_S = 20.0
"""Without a shard after a loss, where what is left of the cluster has no room for every stage."""

_ROOMY_STALL_S = 60.0
"""The same where there is room; Ray does not always get over a loss, but should be given time."""

_LOADING_S = 600.0
"""The same before the first shard: models are being loaded."""

_SETTLED_S = 5.0
"""For which no node came or went, before a larger cluster is planned for."""

_SHARDS_PER_NEW_ACTOR = 4
"""That must be pending: a stream that starts again asks anew what was being answered."""


class ClusterWatch:
    """The cluster that a stream was made for, compared with the one that there is.

    Args:
        pools: sizes of the stream's pools of models, on the cluster as it is now.
        needs: GPUs and CPUs that the stream holds at once, at least.
    """

    def __init__(
        self,
        pools: Callable[[], Sequence[PoolSize]],
        needs: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._pools = pools
        self._needs = needs
        # Up to so many Ray Data starts by itself.
        self._most = sum(size.most for size in self._pools())
        self._nodes = _living()
        self._lost = False
        self._changed = self._next = clock()
        self._gaps_s: list[float] = []
        self._last_quiet_s = 0.0

    def look(self, quiet_s: float, left: int) -> None:
        """Compare, at most every two seconds.

        Args:
            quiet_s: since the last shard was done.
            left: shards that are not done.

        Raises:
            ClusterChangedError: if nodes were lost and nothing is done any more, or if nodes came
                and there is enough left to do.
        """
        if quiet_s < self._last_quiet_s:
            self._gaps_s.append(self._last_quiet_s)
        self._last_quiet_s = quiet_s
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _INTERVAL_S
        nodes = _living()
        if nodes != self._nodes:
            self._lost = self._lost or bool(self._nodes - nodes)
            self._nodes, self._changed = nodes, now
        stalled_s = min(quiet_s, now - self._changed)
        if self._lost and stalled_s > self._longest_stall_s():
            count = f"{len(nodes)} node{'s' * (len(nodes) != 1)}"
            raise ClusterChangedError(f"nodes were lost and nothing is done any more; {count} left")
        if now - self._changed > _SETTLED_S and not self._too_small():
            more = sum(size.now for size in self._pools()) - self._most
            if more > 0 and left >= _SHARDS_PER_NEW_ACTOR * more:
                raise ClusterChangedError(f"there is room for {more} more model actors")

    def _longest_stall_s(self) -> float:
        """Without a shard, that is still to be expected after a loss."""
        # The first gap is the loading of models.
        usual = 3 * max(self._gaps_s[1:], default=0.0)
        if self._too_small():
            return max(_STALL_S, usual)
        return max(_ROOMY_STALL_S, usual) if self._gaps_s else _LOADING_S

    def _too_small(self) -> bool:
        have = ray.cluster_resources()
        return any(
            need > have.get(name, 0.0)
            for name, need in (("CPU", self._needs["cpus"]), ("GPU", self._needs["gpus"]))
        )


def _living() -> frozenset[str]:
    """Ids of the nodes that are up."""
    return frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])


class _Looking(ExecutionCallback):  # type: ignore[misc]
    """Looks at every step of a stream's loop; what it raises ends the stream."""

    look: ClassVar[Callable[[], None] | None] = None

    def on_execution_step(self, executor: object) -> None:
        """Called some ten times a second."""
        if _Looking.look is not None:
            _Looking.look()


@contextmanager
def watched(stream: ray.data.Dataset, look: Callable[[], None]) -> Iterator[None]:
    """Context in which a stream is iterated, with ``look`` called all the while; it may raise."""
    # Ray Data copies its settings to workers: a class that can be imported there holds no closure.
    stream.context.custom_execution_callback_classes = [_Looking]
    # Ray Data tells what ends a stream with its stack; the driver tells it in one line.
    logging.getLogger("ray.data.exceptions").setLevel(logging.CRITICAL)
    _Looking.look = look
    try:
        yield
    finally:
        _Looking.look = None


class StreamSummary(Protocol):
    """What comes out of a stream for a shard.

    Attributes:
        utterances: of the shard.
        errors: of them, those that failed.
    """

    @property
    def utterances(self) -> int: ...  # noqa: D102

    @property
    def errors(self) -> int: ...  # noqa: D102


SummaryT = TypeVar("SummaryT", bound=StreamSummary)


def watched_summaries(
    stream: ray.data.Dataset,
    read: Callable[[dict[str, Any]], SummaryT],
    shards: int,
    watch: ClusterWatch,
    progress: RunProgress,
) -> Iterator[SummaryT]:
    """Summaries of a stream's shards, as they are done.

    Args:
        stream: of a row for every shard.
        read: a summary from its row.
        shards: that are to come.
        watch: that may end the stream.
        progress: which every shard advances.

    Raises:
        ClusterChangedError: as :meth:`ClusterWatch.look`.
        RayError: as the stream does.
    """
    left = shards
    looking = watched(stream, lambda: watch.look(progress.quiet_s, left))
    with looking, closing(rows_of(stream)) as rows:
        for row in rows:
            summary = read(row)
            left -= 1
            progress.advance(summary.utterances, summary.errors)
            yield summary
