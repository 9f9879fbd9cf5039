"""Waiting for storage that does not answer, for minutes, instead of failing.

How long is decided where a job is planned, by :func:`storage_patience`. A location keeps it, into
the processes it is sent to; outside of it nothing is waited for. So nobody waits for an address
that has never answered: it is wrong, as a rule, and a plan asks it first.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, Protocol, TypeVar

PATIENCE_S = 900.0
"""Seconds that a job waits for its storage, if its config says nothing else."""

_LONGEST_PAUSE_S = 15.0
_SECONDS_PER_LINE = 10.0

Reply = TypeVar("Reply")
Parameters = ParamSpec("Parameters")

WaitListener = Callable[[float | None], None]
"""Called with the seconds that storage has been waited for, with None once it has answered."""


class StorageSettings(Protocol):
    """Section ``storage`` of a config."""

    @property
    def patience_s(self) -> float: ...  # noqa: D102


class StoredJob(Protocol):
    """A job's config."""

    @property
    def storage(self) -> StorageSettings: ...  # noqa: D102


class _Ambient(threading.local):
    seconds = 0.0


_ambient = _Ambient()
_answered: set[str | None] = set()
_listeners: list[WaitListener] = []


@contextlib.contextmanager
def storage_patience(seconds: float) -> Iterator[None]:
    """Context in which locations are made that wait so long for an answer."""
    before, _ambient.seconds = _ambient.seconds, seconds
    try:
        yield
    finally:
        _ambient.seconds = before


Config = TypeVar("Config", bound=StoredJob)


def with_patience(
    plan: Callable[Concatenate[Config, Parameters], Reply],
) -> Callable[Concatenate[Config, Parameters], Reply]:
    """A function of a job's config, whose locations wait as long as the config says."""

    @functools.wraps(plan)
    def planned(
        config: Config, /, *arguments: Parameters.args, **named: Parameters.kwargs
    ) -> Reply:
        with storage_patience(config.storage.patience_s):
            return plan(config, *arguments, **named)

    return planned


def current_patience() -> float:
    """Seconds that a location made now waits for an answer."""
    return _ambient.seconds


@contextlib.contextmanager
def waits_told(listener: WaitListener) -> Iterator[None]:
    """Context in which waits of this process are told to a listener instead of on stderr."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def has_answered(endpoint: str | None) -> None:
    """Note that there is a storage at an endpoint, here or in the process that sent us there."""
    _answered.add(endpoint)


def until_answered(
    ask: Callable[[], Reply],
    is_silence: Callable[[Exception], bool],
    *,
    endpoint: str | None,
    seconds: float,
) -> Reply:
    """The reply of a request that is repeated while the storage does not answer.

    Args:
        ask: makes the request; anything but silence is raised at once.
        is_silence: whether an exception is the want of an answer.
        endpoint: of the storage.
        seconds: that may go by since the first failure.
    """
    since: float | None = None
    told, pause = 0.0, 0.5
    while True:
        try:
            reply = ask()
        except Exception as error:
            if not is_silence(error):
                raise
            since = since or time.monotonic()
            waited = time.monotonic() - since
            if endpoint not in _answered or waited >= seconds:
                raise
            if _listeners:
                _tell(waited)
            elif waited - told >= _SECONDS_PER_LINE:
                told = waited
                sys.stderr.write(f"waiting for storage ({waited:.0f} s): {error}\n")
                sys.stderr.flush()
            time.sleep(min(pause * random.uniform(0.5, 1.0), seconds - waited))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        else:
            has_answered(endpoint)
            if since is not None:
                _tell(None)
            return reply


def _tell(waited: float | None) -> None:
    for listener in tuple(_listeners):
        listener(waited)
