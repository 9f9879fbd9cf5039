"""Whether a process takes more main memory than it may, or than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

LEAST_LEFT = 0.08
"""Share of the machine's memory: where less is left, somebody has to go. Ray, too, ends processes
to get memory back, with 0.05 left, and takes actors."""
MOST_GROWTH = 0.1
"""Share of the machine's memory that a process may grow by in one call while so little is left."""

_BYTES_PER_S = 8e9
"""Faster than a process can fill memory: 4e9 were measured."""
_SHORTEST_S, _LONGEST_S = 0.01, 0.25
"""Between two looks: where nearly nothing is left, and where it would take long to fill it."""

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)
"""Of versions 2 and 1: limit, usage, and where the part of it stands that is free to be taken."""


class MemoryWatch:
    """Looks at the memory of a process while it works on a call.

    Args:
        pid: number of the process.
        limit_gb: GB (10^9 bytes) that it may take; None for what the machine has.

    Attributes:
        pause_s: until the next look, in which no process could fill what was left at the last one.
    """

    def __init__(self, pid: int, limit_gb: float | None) -> None:
        self._pid, self._limit_gb = pid, limit_gb
        self._before = 0
        self.pause_s = _SHORTEST_S

    def begin(self) -> None:
        """A call begins."""
        self._before = resident_bytes(self._pid)
        self.pause_s = _SHORTEST_S

    def excess(self) -> str | None:
        """What the process did that it may not, in words; None if it may go on."""
        resident = resident_bytes(self._pid)
        total, left = machine_bytes()
        of_machine = left - LEAST_LEFT * total if total else math.inf
        of_limit = math.inf if self._limit_gb is None else self._limit_gb * 1e9 - resident
        if of_limit < 0:
            return f"took more than {self._limit_gb:g} GB of memory"
        if of_machine < 0 and resident - self._before > MOST_GROWTH * total:
            return "filled the memory of the machine"
        self.pause_s = min(max(min(of_machine, of_limit) / _BYTES_PER_S, _SHORTEST_S), _LONGEST_S)
        return None


def resident_bytes(pid: int, proc: Path = _PROC) -> int:
    """Memory of a process; 0 where the system does not tell."""
    try:
        pages = int((proc / str(pid) / "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def machine_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> tuple[int, int]:
    """Memory of the machine, or of the container that this process is in, and what is left of it.

    0 and 0 where the system does not tell.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except FileNotFoundError:
        return 0, 0
    fields = {
        name: int(value.split()[0]) * 1024 for name, value in (line.split(":") for line in lines)
    }
    total, left = fields["MemTotal"], fields["MemAvailable"]
    for limit_name, usage_name, statistics_name, free_name in _CGROUP_FILES:
        try:
            limit = (cgroup / limit_name).read_text().strip()
            usage = int((cgroup / usage_name).read_text())
            statistics = (cgroup / statistics_name).read_text().split()
        except FileNotFoundError:
            continue
        if limit != "max" and int(limit) < total:
            free = dict(zip(statistics[::2], statistics[1::2], strict=True)).get(free_name, "0")
            total, left = int(limit), min(left, int(limit) - usage + int(free))
    return total, left
