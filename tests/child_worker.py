"""What tests let live in another process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from fake_engine import DEEDS

from raypipe.errors import ConfigError, CorpusError


class Worker:
    """Does what it is told."""

    def echo(self, item: object) -> object:
        return item

    def is_kept(self, array: np.ndarray) -> bool:
        known, self.array = getattr(self, "array", None), array
        return known is array

    def do(self, deed: str) -> None:
        DEEDS[deed]()

    def fail(self, error: Exception) -> None:
        raise error

    def unsendable(self) -> object:
        return lambda: None

    def garble(self) -> None:
        """Write to whatever is open, as a careless library may."""
        for descriptor in range(3, 4096):  # the one that matters has the number it had before
            with contextlib.suppress(OSError):
                os.write(descriptor, b"\x80\x04garbage\x00" * 50)

    def start_another(self) -> int:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


class Unloadable:
    def __init__(self) -> None:
        raise ConfigError("no such model")


def ends_while_loaded() -> None:
    os._exit(7)


def counted(count: int) -> Iterator[int]:
    yield from range(count)


def weigh(item: object) -> int:
    """So many bytes that few items fill a package."""
    return 3_000_000


def pids(count: int) -> Iterator[int]:
    for _ in range(count):
        yield os.getpid()


def poisoned(count: int, deed: str) -> Iterator[int]:
    """So many numbers, then something bad."""
    yield from range(count)
    ENDS[deed]()


def _fill() -> None:
    held = []
    while True:
        held.append(np.ones(10_000_000))
        time.sleep(0.01)


def _refuse() -> None:
    raise CorpusError("the file is damaged")


def _raise() -> None:
    raise LookupError("that nobody foresaw")


ENDS: Mapping[str, Callable[[], object]] = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(3),
    "hang": lambda: time.sleep(600),
    "fill": _fill,
    "refuse": _refuse,
    "raise": _raise,
}
