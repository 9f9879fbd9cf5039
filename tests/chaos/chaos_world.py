"""A command under way and all that can be struck below it: processes, nodes, storage, disk."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faulted import Faulted
from ray.cluster_utils import Cluster
from s3_server import S3Server

MARK = "RAYPIPE_CHAOS_CELL"
"""Environment variable by which every process of a cell is known, whoever started it."""

NODE = {"num_cpus": 2, "object_store_memory": 150_000_000}


class Processes:
    """Processes that have a variable in their environment.

    Args:
        mark: value of :data:`MARK`.
    """

    def __init__(self, mark: str) -> None:
        self._wanted = f"{MARK}={mark}".encode()
        self._known: dict[int, bool] = {}
        self._next = 0.0

    def alive(self) -> list[int]:
        """Numbers of those that run now."""
        there = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._known = {pid: is_ours for pid, is_ours in self._known.items() if pid in there}
        for pid in there - self._known.keys():
            self._known[pid] = self._wanted in _read(pid, "environ").split(b"\0")
        return [pid for pid, is_ours in self._known.items() if is_ours and not _is_dead(pid)]

    def caught(self, is_wanted: Callable[[int], bool], run: Faulted) -> int:
        """The first one that does what is wanted, which may take it milliseconds.

        Args:
            is_wanted: of the number of a process.
            run: what it is a part of.
        """
        while run.process.poll() is None:
            alive, looked_up = self.alive(), time.monotonic()
            while time.monotonic() - looked_up < 0.3:
                for pid in alive:
                    if is_wanted(pid):
                        return pid
        raise AssertionError(f"it has done no such thing: {run.said}")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _is_dead(pid: int) -> bool:
    # One that is ending has neither a command line nor an environment any more.
    return not _read(pid, "cmdline") or _read(pid, "stat").rpartition(b") ")[2][:1] in (b"Z", b"")


def title(pid: int) -> str:
    """Command line of a process; Ray's workers tell there what they do."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")


def parent(pid: int) -> int:
    """Number of a process's parent; 0 for one that has ended."""
    fields = _read(pid, "stat").rpartition(b") ")[2].split()
    return int(fields[1]) if fields else 0


@dataclass
class World:
    """What a cell's faults strike.

    Attributes:
        random: decides about moments.
        processes: of the cell.
        start: starts the cell's command once more, beside those that run.
        storage: that the command uses; None for a disk.
        cluster: whose nodes do the work; None where the command starts its own Ray.
        disk: a small file system that holds the output; None where nothing fills it.
    """

    random: random.Random
    processes: Processes
    start: Callable[[], Faulted]
    storage: S3Server | None = None
    cluster: Cluster | None = None
    disk: Path | None = None
    others: list[Faulted] = field(default_factory=list)
    """Commands that were started beside it."""
    silent: list[int] = field(default_factory=list)
    """Processes that are suspended."""

    def kill(self, run: Faulted, is_wanted: Callable[[int], bool]) -> None:
        """SIGKILL a process of the cell while a command runs."""
        os.kill(self.processes.caught(is_wanted, run), signal.SIGKILL)

    def node(self) -> Any:
        """A node of the cluster that is not its head."""
        assert self.cluster is not None
        return min(self.cluster.worker_nodes, key=lambda node: node.unique_id)

    def node_processes(self) -> Iterator[int]:
        """Processes of that node, its raylet first."""
        [raylet] = [info.process.pid for info in self.node().all_processes["raylet"]]
        yield raylet
        yield from self._below(raylet)

    def _below(self, pid: int) -> Iterator[int]:
        for child in self.processes.alive():
            if parent(child) == pid:
                yield child
                yield from self._below(child)

    def let_go(self) -> None:
        """End what was suspended: it hears of nothing else."""
        for pid in self.silent:
            if not _is_dead(pid):
                os.kill(pid, signal.SIGKILL)
        self.silent.clear()
