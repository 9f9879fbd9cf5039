"""Commands in processes of their own that live through a fault, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
TIME_LIMIT_S = 400

_METADATA = "Metadata-Version: 2.1\nName: raypipe-chaos\nVersion: 1.0\n"
_ENTRY_POINTS = """
[raypipe.engines]
slow = chaos_engine:PLUGIN
[raypipe.strategies]
slow = chaos_strategy:STRATEGY
"""


def environment_with_slow_engine(folder: Path) -> dict[str, str]:
    """Variables of a process in which ``model: {engine: slow, path: none}`` is an engine."""
    package = folder / "raypipe_chaos-1.0.dist-info"
    package.mkdir(exist_ok=True)
    (package / "METADATA").write_text(_METADATA)
    (package / "entry_points.txt").write_text(_ENTRY_POINTS)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(folder)])
    return {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "PYTHONPATH": path,
    }


@dataclass
class Faulted:
    """A command that is under way.

    Attributes:
        log: file of what it says.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has said up to now, in one line; the end of it, if it is long."""
        return " ".join(self.log.read_text(errors="replace").split())[-20_000:]

    def reaches(self, happens: Callable[[], Any]) -> bool:
        """Wait until something has happened; whether the command did not end before."""
        deadline = time.monotonic() + TIME_LIMIT_S
        while not happens():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, f"it did not happen: {self.said}"
            time.sleep(0.05)
        return True

    def ended(self) -> int:
        """Its exit code."""
        try:
            return self.process.wait(TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it goes on and on: {self.said}") from None


@contextmanager
def command(folder: Path, environment: dict[str, str], *arguments: object) -> Iterator[Faulted]:
    """``raypipe`` with some arguments, in a session of its own that is killed in the end."""
    log = folder / "said.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "raypipe", *map(str, arguments)],
            start_new_session=True,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Faulted(process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_config(folder: Path, shards: object, output: object, **changes: Any) -> Path:
    """File of the config of a run with the slow engine."""
    document: dict[str, Any] = {
        "input": {"shards": str(shards)},
        "output": str(output),
        "model": {
            "engine": "slow",
            "path": "none",
            "name": "slow",
            "options": {"pause_s": changes.pop("pause_s", 0.2)},
        },
        "decoding": {"beam_count": 3},
        "metrics": {"replicates": 100},
        "resources": {"gpus_per_actor": 0, "batch_size": 16, **changes.pop("resources", {})},
        **changes,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
