from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from raypipe.isolation import memory_watch as module
from raypipe.isolation.memory_watch import MemoryWatch, machine_bytes, resident_bytes

GIB = 1 << 30
linux = pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="memory is watched in /proc")


@linux
def test_memory_is_what_psutil_says() -> None:
    own = psutil.Process().memory_info().rss
    assert resident_bytes(os.getpid()) == pytest.approx(own, rel=0.1)
    total, left = machine_bytes(cgroup=Path("/nowhere"))
    assert total == psutil.virtual_memory().total
    assert 0 < left <= total


def test_a_system_that_does_not_tell_is_not_watched(tmp_path: Path) -> None:
    assert resident_bytes(1, tmp_path) == 0
    assert machine_bytes(tmp_path, tmp_path) == (0, 0)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 16 GiB, 10 of them left."""
    lines = f"MemTotal: {16 << 20} kB\nMemFree: 1 kB\nMemAvailable: {10 << 20} kB\nHugePages: 0\n"
    (tmp_path / "meminfo").write_text(lines)
    return tmp_path


def test_a_container_has_what_its_group_is_allowed(proc: Path, tmp_path: Path) -> None:
    group = tmp_path / "group"
    for limit, usage, statistics, free in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        (group / limit).parent.mkdir(parents=True, exist_ok=True)
        (group / limit).write_text(f"{4 * GIB}\n")
        (group / usage).write_text(f"{3 * GIB}\n")
        (group / statistics).write_text(f"anon 5\n{free} {GIB // 2}\n")
        assert machine_bytes(proc, group) == (4 * GIB, GIB + GIB // 2)
        (group / limit).write_text(f"{1 << 62}\n")
        assert machine_bytes(proc, group) == (16 * GIB, 10 * GIB)
        (group / limit).unlink()
    (group / "memory.max").write_text("max\n")
    assert machine_bytes(proc, group) == (16 * GIB, 10 * GIB)


def watched(
    monkeypatch: pytest.MonkeyPatch, before: float, now: float, left: float, limit: float | None
) -> str | None:
    """What is said of a process, in shares of a machine with 100 GB."""
    seen = [before, now]
    monkeypatch.setattr(module, "resident_bytes", lambda pid: seen[0] * 1e11)
    monkeypatch.setattr(module, "machine_bytes", lambda: (1e11, left * 1e11))
    watch = MemoryWatch(1, limit)
    watch.begin()
    seen.pop(0)
    return watch.excess()


@pytest.mark.parametrize(
    ("before", "now", "left", "limit", "said"),
    [
        (0.1, 0.9, 0.09, None, None),  # there is enough
        (0.1, 0.3, 0.07, None, "filled the memory of the machine"),
        (0.8, 0.85, 0.01, None, None),  # others filled it
        (0.1, 0.3, 0.5, 25.0, "took more than 25 GB of memory"),
        (0.1, 0.2, 0.5, 25.0, None),
        (0.0, 0.0, 0.0, None, None),  # the system does not tell
    ],
)
def test_who_fills_the_memory_has_to_go(
    monkeypatch: pytest.MonkeyPatch,
    before: float,
    now: float,
    left: float,
    limit: float | None,
    said: str | None,
) -> None:
    assert watched(monkeypatch, before, now, left, limit) == said


@pytest.mark.parametrize(
    ("now", "left", "limit", "pause_s"),
    [
        (0.1, 0.9, None, 0.25),
        (0.1, 0.9, 50.0, 0.25),
        (0.1, 0.9, 10.8, 0.1),  # 0.8 GB more would be too much
        (0.1, 0.096, None, 0.2),  # the machine has 1.6 GB to spare
        (0.1, 0.0, None, 0.01),  # others filled it
    ],
)
def test_the_next_look_comes_before_what_is_left_can_be_filled(
    monkeypatch: pytest.MonkeyPatch, now: float, left: float, limit: float | None, pause_s: float
) -> None:
    monkeypatch.setattr(module, "resident_bytes", lambda pid: now * 1e11)
    monkeypatch.setattr(module, "machine_bytes", lambda: (1e11, left * 1e11))
    watch = MemoryWatch(1, limit)
    watch.begin()
    assert watch.pause_s == 0.01
    assert watch.excess() is None
    assert watch.pause_s == pytest.approx(pause_s)
