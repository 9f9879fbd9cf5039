"""What counts as a loss, and streams that go on after one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from ray.exceptions import (
    ActorDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)
from rich.console import Console

from raypipe.errors import ClusterError, ConfigError, ShardError
from raypipe.runtime.ray import losses
from raypipe.runtime.ray.losses import ClusterChangedError, going_on, loss, wait_for_room


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, which go by while somebody sleeps."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(losses, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def raised(error: Exception) -> Exception:
    made: Exception = RayTaskError("task", "a long stack", error).as_instanceof_cause()
    return made


@pytest.mark.parametrize(
    "error",
    [WorkerCrashedError(), NodeDiedError("n"), OutOfMemoryError("m"), raised(NodeDiedError("n"))],
)
def test_lost_processes_and_nodes_are_losses(error: Exception) -> None:
    told = loss(error)
    assert told is not None
    assert told.startswith("a node or a worker was lost (")


def test_what_the_work_raises_is_none() -> None:
    assert loss(raised(ShardError("x"))) is None
    assert loss(raised(ValueError("x"))) is None
    assert loss(ActorDiedError(RayTaskError("__init__", "stack", ValueError("x")))) is None


def test_a_stream_goes_on_with_what_is_left(console: Console) -> None:
    faults: list[Exception] = [NodeDiedError("n"), ClusterChangedError("there is more room")]
    begun: list[list[int]] = []
    done: list[int] = []

    def stream(parts: list[int]) -> Iterator[int]:
        begun.append(parts)
        for part in parts:
            if len(done) == 2 * len(begun) and faults:
                raise faults.pop(0)
            done.append(part)
            yield part

    def left_of(parts: list[int]) -> list[int]:
        return [part for part in parts if part not in done]

    assert list(going_on([1, 2, 3, 4, 5], stream, left_of, console)) == [1, 2, 3, 4, 5]
    assert begun == [[1, 2, 3, 4, 5], [3, 4, 5], [5]]


def test_it_ends_after_losses_without_a_result(console: Console) -> None:
    begun = 0

    def stream(parts: None) -> Iterator[int]:
        nonlocal begun
        begun += 1
        raise NodeDiedError("n")
        yield 0

    with pytest.raises(ClusterError, match=r"^6 times in a row the cluster lost"):
        list(going_on(None, stream, lambda parts: parts, console))
    assert begun == 6


@pytest.mark.parametrize(("room_after_s", "comes"), [(1500.0, True), (2000.0, False)])
def test_room_is_waited_for_half_an_hour(
    console: Console,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    room_after_s: float,
    comes: bool,
) -> None:
    began = clock[0]

    def check(*, cpus: float) -> None:
        if clock[0] - began < room_after_s:
            raise ConfigError(f"the run asks for {cpus:g} CPUs, the cluster has 0")

    monkeypatch.setattr(losses, "check_resources", check)
    if comes:
        wait_for_room(lambda: {"cpus": 2.0}, console)
    else:
        with pytest.raises(ConfigError, match="asks for 2 CPUs"):
            wait_for_room(lambda: {"cpus": 2.0}, console)
    assert console.file.getvalue().count("waiting for nodes") == 1  # type: ignore[attr-defined]
