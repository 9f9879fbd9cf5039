"""What a command does when its Ray is gone; seen in processes of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raypipe.errors import ConfigError, TerminatedError, exit_code
from raypipe.runtime.ray import again

ROOT = Path(__file__).parents[3]
MODULE = "raypipe.runtime.ray.again"

HEAD = f"""
import os, sys, time
from contextlib import nullcontext
from {MODULE} import as_command, head_watched, own_ray_watched
import {MODULE} as again
again._INTERVAL_S = 0.05
"""

OWN = f"""{HEAD}
print("began", os.getpid(), os.environ.get("RAYPIPE_STARTED_AGAIN"), flush=True)
died = time.monotonic() + 0.2
times = int(os.environ.get("RAYPIPE_STARTED_AGAIN", 0))
whole = lambda: times >= {{enough}} or time.monotonic() < died
with as_command(starts_again=True), own_ray_watched(whole):
    time.sleep(0.5 if times >= {{enough}} else 30)
print("done", flush=True)
"""

FOREIGN = f"""{HEAD}
os.environ[again.RAYS_LIMIT] = "1"
command = as_command(starts_again=False) if {{is_command}} else nullcontext()
with command, head_watched("127.0.0.1:{{port}}"):
    time.sleep({{seconds}})
print("done", flush=True)
"""


def ran(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        timeout=120,
    )


def test_a_command_whose_own_ray_died_becomes_itself_once_more(tmp_path: Path) -> None:
    done = ran(tmp_path, OWN.format(enough=2))
    assert done.returncode == 0, done.stderr
    *began, last = done.stdout.splitlines()
    processes = {line.split()[1] for line in began}
    assert [line.split()[2] for line in began] == ["None", "1", "2"]
    assert len(processes) == 1, "the process keeps its id"
    assert last == "done"
    assert done.stderr.count("the local Ray has died; it is started again") == 2


def test_it_is_not_started_again_for_ever(tmp_path: Path) -> None:
    done = ran(tmp_path, OWN.format(enough=99))
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 6
    assert done.stderr.endswith("the local Ray has died 6 times; the same command continues\n")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_a_command_ends_with_one_line_when_its_cluster_has_no_head(tmp_path: Path) -> None:
    text = FOREIGN.format(is_command=True, port=free_port(), seconds=60)
    done = ran(tmp_path, text)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("the head of the Ray cluster at 127.0.0.1:")
    assert " has not answered for 0.75 s; " in line
    assert line.endswith("the same command continues once it is back")


def test_a_head_that_answers_lets_it_work(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(128)
        port = server.getsockname()[1]
        done = ran(tmp_path, FOREIGN.format(is_command=True, port=port, seconds=1.0))
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_command_waits_for_a_head_less_long_than_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(again.RAYS_LIMIT, raising=False)
    assert again.head_silent_s() == 45
    monkeypatch.setenv(again.RAYS_LIMIT, "600")
    assert again.head_silent_s() == 450


@pytest.mark.parametrize(
    "text", ["", "abc", "-5", "0", "1.5", "6e2", "9" * 5000, "4294967296", "²"]
)
def test_a_limit_that_ray_does_not_take_is_told_before_ray_crashes_on_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(again.RAYS_LIMIT, text)
    message = f"^{again.RAYS_LIMIT}: .* is no whole number of seconds"
    with pytest.raises(ConfigError, match=message), again.as_command(starts_again=True):
        pass
    with pytest.raises(ConfigError, match=message), again.head_watched("127.0.0.1:1"):
        pass


STOPS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])


@pytest.fixture
def hangs_up() -> Iterator[None]:
    """A process that its terminal's end would end; one that was started by nohup would not."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@STOPS
@pytest.mark.usefixtures("hangs_up")
def test_a_command_gives_signals_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(TerminatedError), again.as_command(starts_again=False):
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def interrupted_in_ray(number: signal.Signals) -> None:
    """A signal where Ray is waiting: it puts another exception in the place of the handler's."""
    try:
        signal.raise_signal(number)
    except TerminatedError:
        raise KeyboardInterrupt from None


@STOPS
@pytest.mark.usefixtures("hangs_up")
def test_signals_are_told_from_ctrl_c_whatever_ray_makes_of_them(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), again.as_command(starts_again=False):
        interrupted_in_ray(number)
    assert exit_code() == 128 + number
    with again.as_command(starts_again=False):
        assert exit_code() == 130


def test_nohup_holds() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with again.as_command(starts_again=False):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_notebook_s_process_is_left_alone(tmp_path: Path) -> None:
    done = ran(tmp_path, FOREIGN.format(is_command=False, port=free_port(), seconds=1.0))
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
