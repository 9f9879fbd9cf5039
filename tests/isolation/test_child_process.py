"""Real processes, which are ended in every way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from child_worker import Unloadable, Worker, ends_while_loaded

from raypipe.errors import (
    CallError,
    ConfigError,
    DecodeError,
    ProcessEndedError,
    RaypipeError,
    StoppedError,
)
from raypipe.isolation import memory_watch
from raypipe.isolation.child_process import ChildProcess


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    made = ChildProcess(Worker)
    yield made
    made.end()


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_methods_are_called_in_the_other_process(child: ChildProcess) -> None:
    array = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(child.call("echo", array), array)
    assert child.pid != os.getpid()
    assert is_running(child.pid)


def test_a_process_that_takes_no_question_is_killed_at_the_limit(child: ChildProcess) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(ProcessEndedError, match=r"took no question within 0\.5 s") as caught:
        child.call("echo", np.zeros(1 << 22), limit_s=0.5)
    assert caught.value.code == "timeout"
    wait_for_end(child.pid)


def test_a_kept_array_is_the_same_object_there(child: ChildProcess) -> None:
    array = np.arange(5.0)
    assert [child.call("is_kept", array, keep=keep) for keep in (True, True, False)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "error",
    [StoppedError("the budget is spent"), ConfigError("x"), DecodeError("silent", "no sound")],
)
def test_errors_of_raypipe_come_back_as_they_are(child: ChildProcess, error: RaypipeError) -> None:
    with pytest.raises(type(error)) as caught:
        child.call("fail", error)
    assert str(caught.value) == str(error)
    assert getattr(caught.value, "code", None) == getattr(error, "code", None)
    assert child.call("echo", 1) == 1


@pytest.mark.parametrize("error", [ValueError("two\nlines"), EOFError("x"), OSError(5, "disk")])
def test_other_errors_come_back_by_their_names(child: ChildProcess, error: Exception) -> None:
    with pytest.raises(CallError, match=f"^unexpected {type(error).__name__}: ") as caught:
        child.call("fail", error)
    assert not isinstance(caught.value, ProcessEndedError)
    assert caught.value.code == type(error).__name__
    assert "\n" not in str(caught.value)
    assert child.call("echo", 1) == 1


def test_so_does_a_result_that_cannot_be_sent(child: ChildProcess) -> None:
    with pytest.raises(CallError, match="pickle"):
        child.call("unsendable")
    assert child.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("deed", "how"),
    [
        ("exit", "ended with exit code 3"),
        ("sys_exit", "ended with exit code 4"),
        ("segfault", "was ended by SIGSEGV"),
    ],
)
def test_how_a_process_died_is_said(child: ChildProcess, deed: str, how: str) -> None:
    for _ in range(2):
        with pytest.raises(ProcessEndedError, match=f"^{how}$") as caught:
            child.call("do", deed)
        assert caught.value.code == "process_died"
    assert not is_running(child.pid)


def test_a_process_that_writes_garbage_in_the_place_of_a_reply_is_killed(
    child: ChildProcess,
) -> None:
    with pytest.raises(ProcessEndedError, match="no reply") as caught:
        child.call("garble")
    assert caught.value.code == "process_died"
    assert not is_running(child.pid)


def test_a_process_that_hangs_is_killed(child: ChildProcess) -> None:
    with pytest.raises(ProcessEndedError, match=r"^gave no answer within 0\.2 s") as caught:
        child.call("do", "hang", limit_s=0.2)
    assert caught.value.code == "timeout"
    assert not is_running(child.pid)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is watched in /proc")
def test_a_process_that_fills_the_memory_is_killed() -> None:
    child = ChildProcess(Worker, memory_gb=0.4)
    assert child.call("echo", 1) == 1
    with pytest.raises(ProcessEndedError, match=r"^took more than 0\.4 GB") as caught:
        child.call("do", "memory")
    assert caught.value.code == "memory_limit"
    assert not is_running(child.pid)


def test_so_is_one_that_fills_a_machine_that_is_nearly_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = ChildProcess(Worker)
    monkeypatch.setattr(memory_watch, "machine_bytes", lambda: (4e9, 0.1e9))
    assert child.call("echo", 1) == 1
    with pytest.raises(
        ProcessEndedError, match=r"^filled the memory of the machine and was"
    ) as caught:
        child.call("do", "memory")
    assert caught.value.code == "memory_limit"


def test_what_it_has_started_ends_with_it(child: ChildProcess) -> None:
    grandchild = child.call("start_another")
    assert is_running(grandchild)
    child.end()
    wait_for_end(grandchild)


def test_an_object_that_cannot_be_made_says_why() -> None:
    with pytest.raises(ConfigError, match="no such model"):
        ChildProcess(Unloadable)
    with pytest.raises(ProcessEndedError, match="exit code 7"):
        ChildProcess(ends_while_loaded)


PARENT = """
import os, sys, time
sys.path[:0] = {path!r}
from child_worker import Worker
from raypipe.isolation.child_process import ChildProcess
child = ChildProcess(Worker)
print(child.pid, child.call("start_another"), flush=True)
{then}
"""


@pytest.mark.parametrize("then", ["time.sleep(600)", "child.call('do', 'hang')", "pass"])
def test_it_never_outlives_the_process_that_started_it(then: str) -> None:
    code = PARENT.format(path=sys.path, then=then)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    if then != "pass":
        assert all(map(is_running, pids))
        parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for pid in pids:
        wait_for_end(pid)
