"""Relabelling by an endpoint that spoils 30 % of items and 10 % of requests, and a killed job."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from relabel_server import ITEM_FAULTS, relabel_server
from rich.console import Console
from typed_items import silent_utterances

from raypipe.relabel.label_table import LABEL_CSV, LABEL_TABLE
from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.runtime.relabel.job import relabel
from raypipe.tiny_alm.lexicon_reader import relabelled
from raypipe.tiny_alm.synth import EMOTIONS

ITEMS, ATTEMPTS = 1000, 3


def test_every_item_ends_adjusted_or_left_and_is_paid_for_once(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    rows = list(silent_utterances(ITEMS))
    shards = runs.shards(rows, tmp_path / "shards", 300)
    with relabel_server(seed=10, item_faults=0.3, request_faults=0.1) as server:
        api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01, "attempts": 2}
        model = {"engine": "openai", "path": "m", "api": {**api, "cache": str(tmp_path / "c")}}

        def table(output: Path) -> dict[str, dict[str, Any]]:
            document = {"input": {"shards": str(shards)}, "output": str(output), "model": model}
            relabel(RelabelConfig.model_validate(document), console=Console(file=io.StringIO()))
            labels = runs.rows(output, "SELECT * FROM labels")
            assert len({row["utterance_id"] for row in labels}) == len(labels)
            return {row["utterance_id"]: row for row in labels}

        labels = table(tmp_path / "first")
        requests, errors = len(server.requests), server.done["http_500"]
        assert table(tmp_path / "first") == labels
        assert len(server.requests) == requests, "a finished job asks nothing"
        again = table(tmp_path / "second")
        failed_again = server.done["http_500"] - errors
        assert len(server.requests) == requests + failed_again, "nothing is paid for twice"
    assert {name: row["adjusted"] for name, row in again.items()} == {
        name: row["adjusted"] for name, row in labels.items()
    }
    assert all(server.done[kind] for kind in (*ITEM_FAULTS, "http_500", "cut", "empty"))

    statuses: Counter[str] = Counter()
    for utterance in rows:
        words = [vote.typed for vote in utterance.votes if vote.typed]
        row = labels.get(utterance.utterance_id)
        if utterance.soft_label is None:
            assert row is None
            continue
        assert row is not None
        statuses[row["status"]] += 1
        expected = np.array(utterance.soft_label)
        if row["status"] == "adjusted":
            expected = relabelled(utterance.soft_label, words, EMOTIONS)
            assert 1 <= row["attempts"] <= ATTEMPTS
        elif row["status"] == "left":
            assert row["attempts"] == len(row["faults"]) == ATTEMPTS
        else:
            assert words == []
        # The job takes a change below .005 for rounding.
        assert np.abs(np.array(row["adjusted"]) - expected).sum() / 2 <= 0.005
    assert statuses["adjusted"] + statuses["left"] == ITEMS
    # An item is right with .7 * .92 or more at every attempt: some 4.5 % are left.
    assert 0.005 * ITEMS < statuses["left"] < 0.1 * ITEMS


@pytest.mark.slow  # two more Rays; test_interruption.py kills a run of the same spine
def test_a_killed_job_continues_to_the_same_table(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    shards = runs.shards(silent_utterances(600), tmp_path / "shards", 300)
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    with relabel_server(seed=4, item_faults=0.3) as server:
        api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01}
        document = {
            "input": {"shards": str(shards)},
            "model": {"engine": "openai", "path": "m", "api": api},
            "items_per_request": 2,  # some 300 requests in ten parts
        }
        config = tmp_path / "relabel.yaml"
        config.write_text(yaml.safe_dump({**document, "output": str(killed)}))
        command = [sys.executable, "-m", "raypipe", "relabel", str(config)]
        parts = kill_after_the_first_part(command, killed)
        assert 0 < len(parts) < 10
        written = {part: part.stat().st_mtime_ns for part in parts}
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert {part: part.stat().st_mtime_ns for part in parts} == written
        asked_in_two = len(server.requests)
        quiet = Console(file=io.StringIO())
        relabel(RelabelConfig.model_validate({**document, "output": str(calm)}), console=quiet)
        asked_in_one = len(server.requests) - asked_in_two
    for file in (LABEL_TABLE, LABEL_CSV):
        assert (killed / file).read_bytes() == (calm / file).read_bytes()
    # What was under way when it was killed is asked again; all that was answered is not.
    assert asked_in_one <= asked_in_two <= asked_in_one + 64


def kill_after_the_first_part(command: list[str], output: Path) -> list[Path]:
    """Start a job in its own process group, SIGKILL all of it; its finished parts."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(output.glob("labels/**/*.parquet")):
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return list(output.glob("labels/**/*.parquet"))
