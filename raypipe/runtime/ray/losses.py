"""What Ray says when something of the cluster was lost, and streams that go on after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Final, TypeVar

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
"""Streams in a row that end without a result: then it is not the nodes' fault."""

_LONGEST_PAUSE_S = 30.0

_NODES_PATIENCE_S = 1800.0
_NODES_INTERVAL_S = 5.0

TASK_PAUSES_S: Final = (2.0, 4.0, 8.0, 16.0)
"""Before a task is given to the cluster once more, beyond Ray's own repetitions: these may be spent
before Ray knows that a node is gone."""


class ClusterChangedError(Exception):
    """The stream should start again, for the nodes that there are now; says why."""


def loss(error: BaseException) -> str | None:
    """What was lost, in one line; None where the work itself has raised."""
    for cause in causes(error):
        if isinstance(cause, ClusterChangedError):
            return str(cause)
        if isinstance(cause, RayActorError) and cause.actor_init_failed:
            return None
        if isinstance(cause, _LOST):
            return f"a node or a worker was lost ({type(cause).__name__})"
    return None


PartsT = TypeVar("PartsT")
ResultT = TypeVar("ResultT")


def going_on(
    parts: PartsT,
    stream: Callable[[PartsT], Iterator[ResultT]],
    left_of: Callable[[PartsT], PartsT],
    console: Console,
) -> Generator[ResultT, None, None]:
    """Results of a stream that is started again, of what is left, after something was lost.

    Args:
        parts: all that is to be done.
        stream: does it; may raise :class:`ClusterChangedError`, too.
        left_of: what is left of it after a loss, once there is room for it.
        console: where losses are told.

    Raises:
        ClusterError: if streams end one after another without a result.
    """
    tries, pause_s = 0, 1.0
    while True:
        try:
            for result in stream(parts):
                tries, pause_s = 0, 1.0
                yield result
            return
        except (RayError, ClusterChangedError) as error:
            lost = loss(error)
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
        parts = left_of(parts)


def wait_for_room(required: Callable[[], Mapping[str, float]], console: Console) -> None:
    """Wait until there are nodes for a stream: lost ones are replaced, as a rule.

    Args:
        required: GPUs and CPUs that it holds at least, on the nodes that there are now.
        console: where it is told.

    Raises:
        ConfigError: if none come.
    """
    deadline, told = time.monotonic() + _NODES_PATIENCE_S, False
    while True:
        try:
            check_resources(**required())
        except ConfigError as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                console.print(f"waiting for nodes: {error}", soft_wrap=True)
            told = True
            time.sleep(_NODES_INTERVAL_S)
        else:
            return
