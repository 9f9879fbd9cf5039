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


def test_shards_of_one_call_come_out_the_same_whatever_is_missing(
    many_shards: Path, tmp_path: Path, runs: Any, ray_cluster: None
) -> None:
    changes: dict[str, Any] = {"resources": {"threads_per_actor": 1, "shards_per_call": 3}}
    calm, broken = tmp_path / "calm", tmp_path / "broken"
    runs.run(many_shards, calm, **changes)
    changes["resources"] |= {"actors": 2, "cpus_per_actor": 0.5}
    runs.run(many_shards, broken, **changes)
    whole = runs.tables(broken)
    assert whole == runs.tables(calm)
    # In the middle of a call, its first and its last one; with what the model said, and without.
    gone = [name for name in whole if "shard-000004" in name or "predictions" in name]
    gone = [name for name in gone if any(f"-00000{number}." in name for number in (0, 4, 5))]
    for name in [*gone, *(name for name in whole if name.startswith("metrics"))]:
        (broken / name).unlink()
    (broken / "run.json").unlink()
    kept = {name: (broken / name).stat().st_mtime_ns for name in runs.tables(broken)}
    runs.run(many_shards, broken, **changes)
    assert runs.tables(broken) == whole
    assert {name: (broken / name).stat().st_mtime_ns for name in kept} == kept
