"""A worker in a process of its own, which may die, hang or fill the memory without harm to others.

What a model's code or a codec does to its process, it does to that one. It is a fresh interpreter
(a forked one could not use a GPU), and never outlives the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import multiprocessing.connection
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raypipe.errors import (
    CallError,
    ProcessEndedError,
    ProcessKilledError,
    RaypipeError,
    unexpected,
)
from raypipe.isolation.channel import Channel
from raypipe.isolation.memory_watch import MemoryWatch

_logger = logging.getLogger(__name__)

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    f"from {__name__} import serve; serve(*json.loads(sys.argv[2]))"
)
_DIE_S = 10.0
"""Seconds that a process which has closed its connection may take to end."""


class ChildProcess:
    """An object that lives in another process, and whose methods are called there.

    Args:
        make: makes the object, there; can be pickled.
        memory_gb: GB (10^9 bytes) of memory beyond which the process is killed; None for what the
            machine has. See :mod:`raypipe.isolation.memory_watch`.
        load_limit_s: seconds that making the object may take; None for as long as it takes.

    Raises:
        ProcessEndedError: if the process ends while the object is made.
        CallError: for an exception there that is none of raypipe's own.
        RaypipeError: as ``make`` raised it.
    """

    renewable = True

    def __init__(
        self,
        make: Callable[[], object],
        *,
        memory_gb: float | None = None,
        load_limit_s: float | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        arguments = [theirs.fileno(), read_end]
        command = [sys.executable, "-X", "faulthandler", "-c", _START]
        command += [json.dumps(sys.path), json.dumps(arguments)]
        self._process = subprocess.Popen(
            command,
            pass_fds=arguments,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # the processes that it starts end with it
        )
        theirs.close()
        os.close(read_end)
        self._channel = Channel(ours)
        self._memory = MemoryWatch(self._process.pid, memory_gb)
        self.end = weakref.finalize(self, _end, self._process, self._channel, write_end)
        """End the process, whatever it is at; so does the end of this one."""
        try:
            self._result(make, load_limit_s, keep=False)
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def limit_memory(self, memory_gb: float | None) -> None:
        """Set the memory beyond which the process is killed, as when it was started."""
        self._memory = MemoryWatch(self._process.pid, memory_gb)

    def call(
        self, method: str, *arguments: object, limit_s: float | None = None, keep: bool = False
    ) -> Any:
        """The result of a method of the object.

        Args:
            method: its name.
            arguments: of the method.
            limit_s: seconds after which the process is killed; None to wait as long as it takes.
            keep: whether arrays of the arguments that were sent before, and kept, are the same
                objects there, too; see :class:`raypipe.isolation.channel.Channel`.

        Raises:
            ProcessEndedError: if there is no result, as the process died or was killed.
            CallError: for an exception there that is none of raypipe's own.
            RaypipeError: as the method raised it.
        """
        return self._result(_MethodCall(method, arguments), limit_s, keep=keep)

    def _result(self, item: object, limit_s: float | None, *, keep: bool) -> Any:
        deadline = math.inf if limit_s is None else time.monotonic() + limit_s
        try:
            self._channel.send(item, keep=keep, deadline=deadline)
        except TimeoutError:
            raise self._killed("timeout", f"took no question within {limit_s:g} s") from None
        except OSError:
            raise self._ended() from None
        reply = self._reply(deadline, limit_s)
        assert isinstance(reply, _Returned | _Raised)
        if isinstance(reply, _Returned):
            return reply.value
        raise reply.error

    def _reply(self, deadline: float, limit_s: float | None) -> object:
        self._memory.begin()
        while True:
            left_s = max(0.0, min(self._memory.pause_s, deadline - time.monotonic()))
            try:
                if multiprocessing.connection.wait([self._channel.fileno()], left_s):
                    return self._channel.receive(deadline)
            except (EOFError, ConnectionError):
                raise self._ended() from None
            except TimeoutError:
                pass  # it is over: see below
            except Exception as error:  # whoever wrote there, the next reply could not be told
                _logger.warning("no reply can be read", exc_info=error)
                raise self._killed("process_died", "sent what is no reply") from error
            if self._process.poll() is not None:
                raise self._ended()
            excess = self._memory.excess()
            if excess is not None:
                raise self._killed("memory_limit", excess)
            if time.monotonic() >= deadline:
                raise self._killed("timeout", f"gave no answer within {limit_s:g} s")

    def _killed(self, code: str, why: str) -> ProcessEndedError:
        self.end()
        return ProcessEndedError(code, f"{why} and was killed")

    def _ended(self) -> ProcessEndedError:
        """How the process ended by itself."""
        try:
            code = self._process.wait(_DIE_S)
        except subprocess.TimeoutExpired:
            self.end()
            return ProcessEndedError("process_died", "closed its connection")
        self.end()  # of what it has started
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        kind = ProcessKilledError if code == -signal.SIGKILL else ProcessEndedError
        return kind("process_died", how)


@dataclass(frozen=True, slots=True)
class _MethodCall:
    """A method and its arguments."""

    method: str
    arguments: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Returned:
    """Result of a call."""

    value: object


@dataclass(frozen=True, slots=True)
class _Raised:
    """Exception of a call, as its caller is to see it."""

    error: RaypipeError


def _end(process: subprocess.Popen[bytes], channel: Channel, lifeline: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # neither it is left nor what it has started
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    channel.close()
    os.close(lifeline)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name of its own
        return f"signal {number}"


def serve(connection: int, lifeline: int) -> None:
    """The other process: makes the object, then answers calls until the first process ends.

    Args:
        connection: descriptor of its end of a socket pair.
        lifeline: descriptor of a pipe that nobody writes to, which the first process holds open.
    """
    watchman = _die_with(lifeline)
    os.set_inheritable(connection, False)  # or its end would not be seen
    channel = Channel(socket.socket(fileno=connection))
    worker: object = None
    while True:
        reply: _Returned | _Raised
        try:
            request = channel.receive()
        except EOFError:
            watchman.wait()
            return
        except Exception as error:  # pickle's: what is sent cannot be imported here
            reply = _raised(error)
        else:
            try:
                if callable(request):
                    worker, reply = request(), _Returned(None)
                else:
                    assert isinstance(request, _MethodCall)
                    reply = _Returned(getattr(worker, request.method)(*request.arguments))
            except Exception as error:  # of an engine or a codec: anything
                reply = _raised(error)
        try:
            channel.send(reply)
        except OSError:
            return
        except Exception as error:  # pickle's, about a result that nobody foresaw
            channel.send(_raised(error))


def _raised(error: Exception) -> _Raised:
    _logger.warning("a call failed", exc_info=error)
    if isinstance(error, RaypipeError) and type(error).__module__ == RaypipeError.__module__:
        return _Raised(error)
    # Another class could not be imported, or made anew, where it is sent to.
    return _Raised(CallError(*unexpected(error)))


def _die_with(lifeline: int) -> subprocess.Popen[bytes]:
    """Let this process, and what it has started, end when another one does.

    A process waits for it that no native code can hold up, as it could a thread of this one.

    Args:
        lifeline: descriptor of a pipe that the other process holds open.
    """
    return subprocess.Popen(["/bin/sh", "-c", "read _; kill -KILL 0"], stdin=lifeline)
