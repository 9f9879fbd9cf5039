"""Rationales by an endpoint that breaks rules, and a killed job."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from rationale_server import rationale_server
from rich.console import Console
from spoken_items import toneless_utterances

from raypipe.errors import StoppedError
from raypipe.explain.rationale.draft import Draft
from raypipe.explain.rationale.findings import COUNTS
from raypipe.explain.rationale.rules import RULES, first_breach
from raypipe.records import Utterance
from raypipe.runtime.rationale.config import RationaleConfig
from raypipe.runtime.rationale.job import rationale
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.spoken import LABEL_SET

UTTERANCES, ROWS_PER_SHARD = 120, 30


def write(rows: list[Utterance], folder: Path) -> Path:
    write_shards(
        rows,
        Location.parse(str(folder)),
        LABEL_SET,
        rows_per_shard=ROWS_PER_SHARD,
        source="test",
    )
    return folder


def document(shards: Path, output: Path, base_url: str, **changes: Any) -> dict[str, Any]:
    api = {"preset": "vllm", "base_url": base_url, "first_wait_s": 0.01, **changes.pop("api", {})}
    return {
        "input": {"shards": str(shards)},
        "output": str(output),
        "model": {"engine": "openai", "path": "teacher", "api": api},
        "splits": ["train"],
        **changes,
    }


def explain(**settings: Any) -> Any:
    config = RationaleConfig.model_validate(settings)
    return rationale(config, console=Console(file=io.StringIO()))


def test_every_utterance_ends_with_a_good_rationale_or_reasons_why_not(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    rows = list(toneless_utterances(UTTERANCES))
    rows[3] = dataclasses.replace(rows[3], transcript=None)
    rows += list(toneless_utterances(10, "test"))
    shards = write(rows, tmp_path / "shards")
    rules = [rule.name for rule in RULES if rule.name != "empty"]
    with rationale_server(share=0.5, rules=rules, seed=3) as server:
        settings = document(shards, tmp_path / "first", server.base_url, tries=2)
        record = explain(**settings)
        asked = sum(server.asked.values())
        assert explain(**settings).fingerprint == record.fingerprint
        assert sum(server.asked.values()) == asked, "a finished job asks nothing"
    table = runs.rows(tmp_path / "first", "SELECT * FROM rationales ORDER BY utterance_id")
    ties = sum(row.plurality is None for row in rows[:UTTERANCES])
    without_transcript = rows[3].plurality is not None
    assert len(table) == UTTERANCES - ties - without_transcript == record.done_counts.predicted
    by_id = {row.utterance_id: row for row in rows}
    rejections: Counter[str] = Counter()
    for row in table:
        utterance = by_id[row["utterance_id"]]
        assert row["label"] == utterance.plurality
        assert (row["split"], row["purpose"], row["teacher"]) == ("train", "train", "teacher")
        rejections.update(row["rejections"])
        assert row["rationale"] is not None
        assert row["tries"] == 1 + len(row["rejections"])
        assert first_breach(Draft(row["rationale"], row["label"], row["transcript"])) is None
        for rule, text in zip(row["rejections"], row["drafts"], strict=True):
            broken = first_breach(Draft(text, row["label"], row["transcript"]))
            assert broken is not None
            assert broken[0].name == rule
    told = {rule: count for rule, count in server.broken.items() if rule != "none"}
    assert rejections == told, "every breach is caught, and nothing else"
    assert server.clips == sum(server.asked.values()), "the teacher hears every clip"
    again = [prompt for prompt in server.prompts if "was refused" in prompt]
    assert len(again) == sum(rejections.values())
    errors = runs.rows(tmp_path / "first", "SELECT error_type FROM errors")
    assert [row["error_type"] for row in errors] == ["no_transcript"] * without_transcript
    counts = json.loads((tmp_path / "first" / COUNTS).read_text())
    assert counts["left_out"] == {"no_consensus": ties, "split test": 10}
    assert counts["rejections"] == dict(rejections)
    assert "split test" in (tmp_path / "first" / "report.html").read_text()


def test_a_teacher_that_never_obeys_leaves_no_rationale_and_all_reasons(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    shards = write(list(toneless_utterances(12)), tmp_path / "shards")
    with rationale_server(share=1.0, rules=["names_label"], obeys_after=9) as server:
        explain(**document(shards, tmp_path / "out", server.base_url, tries=3))
    for row in runs.rows(tmp_path / "out", "SELECT * FROM rationales"):
        assert row["rationale"] is None
        assert row["rejections"] == ["names_label"] * 3


def test_test_ii_has_a_table_of_its_own(ray_cluster: None, runs: Any, tmp_path: Path) -> None:
    shards = write(list(toneless_utterances(12, "test")), tmp_path / "shards")
    with rationale_server() as server:
        settings = document(shards, tmp_path / "out", server.base_url, splits=["test"])
        explain(**settings, purpose="test_ii")
    rows = runs.rows(tmp_path / "out", "SELECT * FROM rationales_test_ii")
    assert {row["purpose"] for row in rows} == {"test_ii"}
    assert not (tmp_path / "out" / "rationales").exists()


def test_at_the_end_of_a_budget_the_job_stops_and_a_larger_one_goes_on(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    shards = write(list(toneless_utterances(60)), tmp_path / "shards")
    with rationale_server() as server:
        small, large = (
            document(shards, tmp_path / "out", server.base_url, api={"budget": {"requests": count}})
            for count in (40, 100)
        )
        with pytest.raises(StoppedError, match="budget"):
            explain(**small)
        assert sum(server.asked.values()) <= 40
        record = explain(**large)
        assert sum(server.asked.values()) == record.done_counts.predicted
        assert max(server.asked.values()) <= 2, "a sentence may be that of two clips"
    assert record.api_usage["requests"] == record.done_counts.predicted


@pytest.mark.slow  # two more Rays; test_interruption.py kills a run of the same spine
def test_a_killed_job_continues_to_the_same_bytes(ray_cluster: None, tmp_path: Path) -> None:
    shards = write(list(toneless_utterances(UTTERANCES)), tmp_path / "shards")
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    rules = [rule.name for rule in RULES]
    with rationale_server(share=0.4, rules=rules, seed=5, wait_s=0.01) as server:
        config = tmp_path / "rationale.yaml"
        config.write_text(yaml.safe_dump(document(shards, killed, server.base_url)))
        command = [sys.executable, "-m", "raypipe", "rationale", str(config)]
        shards_done = _kill_after_the_first_shard(command, killed)
        assert 0 < len(shards_done) < UTTERANCES // ROWS_PER_SHARD
        written = {shard: shard.stat().st_mtime_ns for shard in shards_done}
        server.asked.clear()  # what it answers depends on how often it was asked
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert {shard: shard.stat().st_mtime_ns for shard in shards_done} == written
        assert "keeps the rules" in again.stdout
        server.asked.clear()
        explain(**document(shards, calm, server.base_url))
    for table in ("rationales", "errors"):
        objects = sorted(path.relative_to(calm) for path in (calm / table).rglob("*.parquet"))
        assert len(objects) == UTTERANCES // ROWS_PER_SHARD
        for name in objects:
            assert (killed / name).read_bytes() == (calm / name).read_bytes()
    assert (killed / COUNTS).read_bytes() == (calm / COUNTS).read_bytes()


def _kill_after_the_first_shard(command: list[str], output: Path) -> list[Path]:
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(output.glob("rationales/**/*.parquet")):
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return list(output.glob("rationales/**/*.parquet"))
