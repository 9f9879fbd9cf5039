"""What tests let live in another process."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from fake_engine import DEEDS

from raypipe.errors import ConfigError


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

    def start_another(self) -> int:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


class Unloadable:
    def __init__(self) -> None:
        raise ConfigError("no such model")


def ends_while_loaded() -> None:
    os._exit(7)
