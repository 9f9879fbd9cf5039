"""A run that is killed and started again gives the tables of an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from raypipe.tiny_alm.corpus import synthetic_utterances

SHARDS = 8
RUN = [sys.executable, "-m", "raypipe", "run"]


@pytest.fixture
def many_shards(runs: Any, tmp_path: Path) -> Path:
    rows = synthetic_utterances(SHARDS * 6, seed=7, split="test")
    return runs.shards(rows, tmp_path / "shards", 6)


def config_file(runs: Any, shards: Path, output: Path) -> Path:
    path = output.parent / f"{output.name}.yaml"
    document = runs.document(shards, output, resources={"threads_per_actor": 1})
    path.write_text(yaml.safe_dump(document))
    return path


def kill_after_first_shard(config: Path, output: Path) -> int:
    """Start a run in its own process group, SIGKILL all of it; number of finished shards."""
    process = subprocess.Popen(
        [*RUN, str(config)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(output.glob("predictions/**/*.parquet")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return len(list(output.glob("predictions/**/*.parquet")))


def test_a_killed_run_continues_to_the_same_bytes(
    many_shards: Path, tmp_path: Path, runs: Any, ray_cluster: None
) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    config = config_file(runs, many_shards, killed)
    finished = kill_after_first_shard(config, killed)
    assert 0 < finished < SHARDS
    kept = {path: path.stat().st_mtime_ns for path in killed.glob("predictions/**/*.parquet")}
    again = subprocess.run([*RUN, str(config)], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "48 utterances in = 48 predicted + 0 errors" in " ".join(again.stdout.split())
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written
    runs.run(many_shards, calm, resources={"threads_per_actor": 1})
    assert runs.tables(killed) == runs.tables(calm)
    assert not [path for path in killed.rglob("*") if path.suffix == ".tmp"]
