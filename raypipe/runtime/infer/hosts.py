"""Where an engine lives: in a process of its own, or in this one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from raypipe.engines.contract import Tagged
from raypipe.errors import CallError, RaypipeError, unexpected
from raypipe.protocols import Capabilities, EngineRequest, RunEngine
from raypipe.records import Failure, Generation, Search

_logger = logging.getLogger(__name__)


class EngineHost(Protocol):
    """Holds a :class:`HostedEngine`; :class:`raypipe.runtime.infer.child_process.ChildProcess`."""

    renewable: bool
    """Whether another one can take its place."""

    def call(
        self, method: str, *arguments: object, limit_s: float | None = None, keep: bool = False
    ) -> Any:
        """The result of a method."""
        ...

    def end(self) -> object:
        """Let go of the engine, whatever it is at."""
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
