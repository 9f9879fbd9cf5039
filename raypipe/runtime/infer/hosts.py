"""Where engines and frontends live: in a process of their own, or in this one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from raypipe.engines.contract import Tagged
from raypipe.errors import (
    CallError,
    LostEngineError,
    ProcessEndedError,
    RaypipeError,
    unexpected,
)
from raypipe.protocols import Capabilities, EngineRequest, RunEngine
from raypipe.records import Failure, Generation, Search, Stage

LOADS = 3
"""Times that an object is made whose process ends meanwhile."""

_logger = logging.getLogger(__name__)


class Host(Protocol):
    """Holds an object; :class:`raypipe.isolation.child_process.ChildProcess` is one."""

    renewable: bool
    """Whether another one can take its place."""

    def call(
        self, method: str, *arguments: object, limit_s: float | None = None, keep: bool = False
    ) -> Any:
        """The result of a method."""
        ...

    def end(self) -> object:
        """Let go of the object, whatever it is at."""
        ...


class OwnProcess:
    """A host without a process of its own: an engine that ends its process ends this one.

    Args:
        make: makes the object whose methods are called.
    """

    renewable = False

    def __init__(self, make: Callable[[], object]) -> None:
        self._worker = make()

    def call(
        self, method: str, *arguments: object, limit_s: float | None = None, keep: bool = False
    ) -> Any:
        """The result of a method, however long it takes.

        Raises:
            CallError: for an exception that is none of raypipe's own.
            RaypipeError: as the method raised it.
        """
        try:
            return getattr(self._worker, method)(*arguments)
        except RaypipeError:
            raise
        except Exception as error:  # of an engine: anything
            _logger.warning("a call failed", exc_info=error)
            raise CallError(*unexpected(error)) from error

    def end(self) -> None:
        """Nothing: it ends with this process."""


class RenewedHost:
    """A host that makes its object again, in another process, after one that ended.

    Args:
        start: makes the first host, and every other.
    """

    def __init__(self, start: Callable[[], Host]) -> None:
        self._start = start
        self._host: Host | None = None
        self._was_loaded = False

    @property
    def is_loaded(self) -> bool:
        """Whether there is an object to be called."""
        return self._host is not None

    @property
    def renewable(self) -> bool:
        """Whether there is an object, and another one can take its place."""
        return self._host is not None and self._host.renewable

    def load(self) -> None:
        """Make the object, unless there is one.

        Raises:
            LostEngineError: if the process ends meanwhile, several times, or takes too long; if
                the object was there before, for an exception, too: memory of the last one may not
                be free at once.
            CallError: for an exception that is none of raypipe's own.
            RaypipeError: as making it raised it.
        """
        for attempt in range(1, LOADS + 1):
            if self._host is not None:
                return
            try:
                self._host, self._was_loaded = self._start(), True
            except CallError as error:
                ended = isinstance(error, ProcessEndedError)
                if not ended and not self._was_loaded:
                    raise
                why = f"{f'its process {error}' if ended else error} while it was loaded"
                if error.code == "timeout":  # what hung for hours would do so again
                    raise LostEngineError(why) from error
                if attempt == LOADS:
                    raise LostEngineError(f"{why}, the last of {LOADS} times") from error
                time.sleep(attempt)

    def call(
        self, method: str, *arguments: object, limit_s: float | None = None, keep: bool = False
    ) -> Any:
        """The result of a method; raises as :meth:`load` and as a host does."""
        self.load()
        assert self._host is not None
        try:
            return self._host.call(method, *arguments, limit_s=limit_s, keep=keep)
        except ProcessEndedError as error:
            _logger.warning("the process %s", error)
            self.drop()
            raise

    def drop(self) -> None:
        """Let go of the object, if there can be another one."""
        if self._host is not None and self._host.renewable:
            self._host.end()
            self._host = None


class HostedEngine:
    """An engine in its host.

    Args:
        make: loads it.
    """

    def __init__(self, make: Callable[[], RunEngine[Tagged]]) -> None:
        self._engine = make()
        self._audio_cache: ExitStack | None = None

    def capabilities(self) -> Capabilities:
        """What it gives."""
        return self._engine.capabilities

    def ask(
        self, inputs: Sequence[Tagged], request: Search | EngineRequest, has_cache: bool
    ) -> list[Generation | Failure]:
        """One reply for every input, in their order.

        Args:
            inputs: that are asked about.
            request: what is asked.
            has_cache: whether what is worked out of a clip is kept until :meth:`forget`.
        """
        if has_cache and self._audio_cache is None:
            self._audio_cache = ExitStack()
            self._audio_cache.enter_context(self._engine.audio_cache())
        if isinstance(request, Search):
            return self._engine.generate(inputs, request)
        return self._engine.answer(inputs, request)

    def forget(self) -> None:
        """Let go of what was worked out of clips."""
        if self._audio_cache is not None:
            self._audio_cache.close()
            self._audio_cache = None


def failure_of(utterance_id: str | None, stage: Stage, error: CallError, whose: str) -> Failure:
    """What stands in the place of an utterance that makes calls fail.

    Args:
        utterance_id: of the utterance.
        stage: where it failed.
        error: of the call about it alone.
        whose: process the call was put to, in words.
    """
    ended = isinstance(error, ProcessEndedError)
    message = f"{whose} process {error}" if ended else str(error)
    return Failure(utterance_id, stage, error.code, message)
