"""What is fetched once for all processes of a machine: where it lies, and whose turn it is."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_VARIABLE = "RAYPIPE_CACHE"
"""Environment variable that names another folder than ``~/.cache/raypipe``."""


def cache_folder() -> Path:
    """Folder of this machine's user for what is fetched; a lock makes it, for its user alone."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "raypipe"


def _private(folder: Path) -> Path:
    """The cache folder, made so that nobody else can look into it.

    One that is there already and was named stays as open as its owner made it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.environ.get(CACHE_VARIABLE) and folder.stat().st_uid == os.getuid():
        folder.chmod(0o700)
    return folder


def short_name(text: str) -> str:
    """A file name for any text, different for different texts."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def node_lock(what: str) -> Iterator[None]:
    """Context in which no other process of this machine's user is that asked for the same.

    The system lets go of it when a process dies. Others wait.

    Args:
        what: that is fetched.
    """
    folder = _private(cache_folder()) / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / short_name(what)).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
