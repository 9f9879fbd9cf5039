"""The commands of the page about clusters, on a cluster: submit, status, logs, stop, and again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_blocks import blocks
from ray_head import RAY, Head, free_ports, ray_head

from raypipe.store.location import Location
from raypipe.store.run_record import read_record
from raypipe.tiny_alm.corpus import synthetic_utterances

ROOT = Path(__file__).parents[2]
PAGE = "cluster/README.md"


def shown_commands() -> list[list[str]]:
    [block] = [
        block for block in blocks(PAGE) if block.not_run and Path(__file__).name in block.not_run
    ]
    return block.commands()


def ray(head: Head, folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """What a command of the page says, when the cluster is the one here."""
    assert words[:2] == ["ray", "job"]
    address = ["--address", head.dashboard]
    return subprocess.run(
        [*RAY, *words[1:3], *address, *words[3:]],
        cwd=folder,
        env=head.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.mark.slow
def test_a_stopped_job_is_continued_by_the_same_one_from_a_folder_with_other_files(
    tmp_path: Path, runs: Any
) -> None:
    folder, output = tmp_path / "folder", tmp_path / "out"
    shutil.copytree(ROOT / "jobs", folder / "jobs")
    shards = runs.shards(synthetic_utterances(480, seed=1), tmp_path / "corpus", 20)
    config = runs.document(shards, output)
    (folder / "run.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    submit, status, logs, stop, again = shown_commands()

    def done() -> dict[str, int]:
        files = (output / "generations").rglob("*.parquet")
        return {file.name: file.stat().st_mtime_ns for file in files}

    with ray_head() as head:
        submitted = ray(head, folder, submit)
        assert submitted.returncode == 0, submitted.stderr
        wait_until(lambda: len(done()) >= 2, "nothing was committed")
        assert "RUNNING" in ray(head, folder, status).stdout
        assert ray(head, folder, stop).returncode == 0
        before = done()
        assert len(before) < 24, "it was stopped too late to show anything"
        assert "was stopped" in ray(head, folder, status).stdout
        said = ray(head, folder, logs)
        assert said.returncode == 0
        assert "utterances" in said.stdout

        (folder / "notes.txt").write_text("another archive of the folder", encoding="utf-8")
        continued = ray(head, folder, again)
        assert continued.returncode == 0, continued.stdout + continued.stderr
        assert '"predicted": 480' in continued.stdout
    after = done()
    assert {name: after[name] for name in before} == before, "what was done was done again"
    assert len(after) == 24
    assert read_record(Location.parse(str(output))).status == "finished"


@pytest.mark.slow
def test_a_worker_joins_by_the_command_of_the_page(tmp_path: Path) -> None:
    [block] = [block for block in blocks(PAGE) if "ray start --head" in block.text]
    _, (*_, start, address) = block.commands()[1:]
    assert (start, address) == ("start", "--address=HEAD_IP:6379")
    with ray_head() as head:
        # Beside its head it needs ports of its own.
        more = ["--block", "--num-cpus=1", "--object-store-memory=100000000"]
        http, grpc = free_ports(2)
        more += [f"--dashboard-agent-listen-port={http}", f"--dashboard-agent-grpc-port={grpc}"]
        worker = subprocess.Popen(
            [*RAY, start, address.replace("HEAD_IP:6379", head.address), *more],
            env=head.environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        count = "import ray; ray.init('auto'); print('alive', sum(n['Alive'] for n in ray.nodes()))"
        words = ["ray", "job", "submit", "--", "python", "-c", count]
        try:
            wait_until(lambda: "alive 2" in ray(head, tmp_path, words).stdout, "it did not join")
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(timeout=60)


def test_the_demo_s_entrypoint_runs_as_the_operator_submits_it(tmp_path: Path) -> None:
    """As KubeRay does: the entrypoint in a shell's command line, the job's log followed after."""
    text = (ROOT / "cluster/examples/rendered/demo.yaml").read_text(encoding="utf-8")
    [job] = yaml.safe_load_all(text)
    entrypoint = job["spec"]["entrypoint"]
    assert entrypoint == "raypipe demo /tmp/demo"
    here = f"raypipe demo {tmp_path}/demo --utterances 20"
    ray_job = " ".join([*RAY, "job"])
    with ray_head() as head:
        at = f"--address {head.dashboard}"
        script = (
            f"if ! {ray_job} status {at} mine >/dev/null 2>&1 ; "
            f"then {ray_job} submit {at} --no-wait --submission-id mine -- {here} ; fi ; "
            f"{ray_job} logs {at} --follow mine"
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=head.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 utterances in = 20 predicted" in done.stdout
    assert (tmp_path / "demo" / "report.html").is_file()
