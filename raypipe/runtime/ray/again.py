"""What a command does when the Ray under it is gone.

Ray ends a process whose head does not answer for a minute, or for as long as its own variable says,
from threads of its own, and does not start twice in one whose first one has died. So a command
whose own Ray is gone becomes itself once more: the process keeps its id, terminal and output, and
does what the same command again would do.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from raypipe.errors import ConfigError, TerminatedError, terminate

_STARTED_AGAIN = "RAYPIPE_STARTED_AGAIN"
"""Environment variable with the number of times that this process has started again."""

_TRIES = 5
_INTERVAL_S = 1.0

RAYS_LIMIT = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""Ray's own variable: seconds without an answer of the head after which it ends a process."""
_RAYS_USUAL_LIMIT_S = 60
_LONGEST_LIMIT_S = 2**32 - 1
_SHARE = 0.75
"""Of Ray's limit, after which a command ends by itself and says why."""

_last_words: list[Callable[[str], object]] = []

_is_command = False
_may_start_again = False


@contextmanager
def as_command(*, starts_again: bool) -> Iterator[None]:
    """Context of a command: SIGTERM ends it as Ctrl-C does, and so does the loss of its Ray.

    So does the loss of its terminal (SIGHUP), unless who started it had that ignored (``nohup``).

    Args:
        starts_again: where the Ray was its own, the process starts again instead.

    Raises:
        ConfigError: if the environment holds a limit on which Ray would crash when it is imported.
    """
    head_silent_s()
    global _is_command, _may_start_again
    TerminatedError.signal = None
    before = _is_command, _may_start_again
    handlers = {
        number: signal.signal(number, terminate)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN
    }
    _is_command, _may_start_again = True, starts_again
    try:
        yield
    finally:
        _is_command, _may_start_again = before
        for number, handler in handlers.items():
            signal.signal(number, handler)


def head_silent_s() -> float:
    """Seconds without an answer of a cluster's head after which a command ends: before Ray ends it.

    Raises:
        ConfigError: if Ray's variable holds no whole number of seconds that Ray takes.
    """
    text = os.environ.get(RAYS_LIMIT, str(_RAYS_USUAL_LIMIT_S))
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_LONGEST_LIMIT_S))
    if not is_number or not 1 <= int(text) <= _LONGEST_LIMIT_S:
        raise ConfigError(
            f"{RAYS_LIMIT}: {text[:40]!r} is no whole number of seconds from 1 to "
            f"{_LONGEST_LIMIT_S}"
        )
    return _SHARE * int(text)


@contextmanager
def told_at_the_end(listener: Callable[[str], object]) -> Iterator[None]:
    """Context in which a listener hears why the command ends as its Ray is gone.

    Nothing is raised then: the main thread may wait in Ray for what will never come.
    """
    _last_words.append(listener)
    try:
        yield
    finally:
        _last_words.remove(listener)


@contextmanager
def own_ray_watched(is_whole: Callable[[], bool]) -> Iterator[None]:
    """Context in which the command starts again once the Ray that it started has died.

    Args:
        is_whole: whether all of it is up.
    """
    with _watching(is_whole, 0.0, _start_again):
        yield


@contextmanager
def head_watched(address: str) -> Iterator[None]:
    """Context in which the command ends with a clear line once a cluster's head is gone.

    Args:
        address: ``host:port`` of the head.

    Raises:
        ConfigError: as :func:`head_silent_s`.
    """
    silent_s = head_silent_s()

    def end() -> None:
        _end(
            f"the head of the Ray cluster at {address} has not answered for {silent_s:g} s; "
            "what is written is safe, the same command continues once it is back"
        )

    with _watching(lambda: _answers(address), silent_s, end):
        yield


@contextmanager
def _watching(
    is_well: Callable[[], bool], silent_s: float, otherwise: Callable[[], None]
) -> Iterator[None]:
    """Context in which something is called once ``is_well`` has been false for some seconds."""
    ended = threading.Event()

    def watch() -> None:
        well = time.monotonic()
        while not ended.wait(_INTERVAL_S):
            if is_well():
                well = time.monotonic()
            elif time.monotonic() - well >= silent_s and not ended.is_set():
                otherwise()
                return

    watcher = threading.Thread(target=watch, name="raypipe-ray", daemon=True)
    if _is_command:
        watcher.start()
    try:
        yield
    finally:
        ended.set()
        if watcher.is_alive():
            watcher.join()


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), closing(socket.create_connection((host, int(port)), timeout=5)):
        return True
    return False


def _start_again() -> None:
    """Replace this process by one that was given the same command; Ray's other processes end."""
    tries = int(os.environ.get(_STARTED_AGAIN, "0")) + 1
    if not _may_start_again or tries > _TRIES:
        _end(f"the local Ray has died {tries} times; the same command continues")
    sys.stdout.flush()
    show_cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{show_cursor}the local Ray has died; it is started again to go on\n")
    sys.stderr.flush()
    _kill_children()
    os.environ[_STARTED_AGAIN] = str(tries)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _kill_children() -> None:
    """End what Ray left behind of this process: its workers hold memory and CPUs."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _end(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    try:
        for listener in reversed(_last_words):
            listener(line)
    finally:
        os._exit(1)  # the main thread may wait in Ray for what will never come
