"""An ingest whose processes are all killed goes on to the bytes of a calm one."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from corpus_folder import clip
from rich.console import Console

from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.ingest.job import ingest
from raypipe.store.location import Location

SHARDS, ROWS = 40, 40


def corpus(folder: Path) -> Path:
    """Many ids that share one clip, and some lines that fail."""
    (folder / "a.wav").write_bytes(clip(3.0))
    lines = [
        {
            "id": f"c{number:05d}",
            "audio": "a.wav" if number % 97 else "none.wav",
            "votes": ["neutral"],
        }
        for number in range(SHARDS * ROWS)
    ]
    path = folder / "clips.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def command(manifest: Path, output: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "raypipe", "ingest", "manifest", str(manifest), str(output)),
        *("--label-set", "iemocap-4", "--rows-per-shard", str(ROWS)),
    ]


def kill_after_first_shard(manifest: Path, output: Path) -> set[str]:
    """Start an ingest in its own process group, SIGKILL all of it; the finished shards."""
    process = subprocess.Popen(
        command(manifest, output),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not list(output.glob("shard-*.parquet")):
        assert process.poll() is None, "the ingest ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return {path.name for path in output.glob("shard-*.parquet")}


def workers(process: int) -> list[int]:
    """The Ray workers below a process that write shards at this moment."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        command = Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return []
    found = [process] if command.startswith("ray::_write_part") else []
    return found + [one for child in map(int, children) for one in workers(child)]


def test_a_killed_worker_costs_nothing(tmp_path: Path, ray_cluster: None) -> None:
    manifest, output = corpus(tmp_path), tmp_path / "out"
    killed: list[int] = []

    def kill_one() -> None:
        while not killed and not (output / "shards.json").exists():
            for worker in workers(os.getpid())[:1]:
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)

    killer = threading.Thread(target=kill_one)
    killer.start()
    index = ingest(
        IngestConfig(
            corpus="manifest",
            source=str(manifest),
            output=str(output),
            label_set="iemocap-4",
            rows_per_shard=ROWS,
        ),
        console=Console(file=io.StringIO()),
    )
    killer.join()
    assert len(killed) == 1
    assert index.rows + index.failures == SHARDS * ROWS
    assert not [path for path in output.iterdir() if path.suffix == ".tmp"]


def test_a_killed_ingest_continues_to_the_same_bytes(tmp_path: Path, ray_cluster: None) -> None:
    manifest, killed = corpus(tmp_path), tmp_path / "killed"
    finished = kill_after_first_shard(manifest, killed)
    assert 0 < len(finished) < SHARDS
    assert not (killed / "shards.json").exists()
    kept = {name: (killed / name).stat().st_mtime_ns for name in finished}
    again = subprocess.run(command(manifest, killed), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    failed = len(range(0, SHARDS * ROWS, 97))
    good = SHARDS * ROWS - failed
    shown = " ".join(again.stdout.split())
    assert f"{good} utterances in " in shown
    assert f" shards, {failed} failures" in shown
    for name, written in kept.items():
        assert (killed / name).stat().st_mtime_ns == written
    calm = Location.parse(str(tmp_path / "calm"))
    config = IngestConfig(
        corpus="manifest",
        source=str(manifest),
        output=calm.uri,
        label_set="iemocap-4",
        rows_per_shard=ROWS,
    )
    ingest(config, console=Console(file=io.StringIO()))
    assert {path.name for path in killed.iterdir()} == {*calm.list("")}
    for name in calm.list(""):
        assert (killed / name).read_bytes() == calm.read(name)
