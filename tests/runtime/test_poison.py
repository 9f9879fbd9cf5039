"""A run whose engine utterances end in every way: one error each, all others answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_engine import offer_in
from in_process import InProcess

from raypipe.tiny_alm.corpus import synthetic_utterances

TESTS = Path(__file__).parents[1]
ROWS, SHARDS = 16, 3

DEEDS = {
    "raise": "ValueError",
    "exit": "process_died",
    "segfault": "process_died",
    "hang": "timeout",
    "memory": "memory_limit",
    "wrong_type": "EngineError",
    "another": "EngineError",
    "surrogate": "EngineError",
}
"""Error type of what each deed of the fake engine has to become."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pip writes about a package that offers the fake engine."""
    folder = tmp_path_factory.mktemp("site")
    offer_in(folder)
    return folder


@pytest.fixture(scope="module")
def shards(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = synthetic_utterances(ROWS * SHARDS, seed=9, split="test")
    return runs.shards(rows, tmp_path_factory.mktemp("shards"), ROWS)


def names() -> list[str]:
    rows = synthetic_utterances(ROWS * SHARDS, seed=9, split="test")
    return [row.utterance_id for row in rows]


def raypipe_run(
    site: Path, document: Mapping[str, Any], folder: Path
) -> subprocess.CompletedProcess[str]:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(dict(document)))
    environment = {name: text for name, text in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (site, TESTS, TESTS.parent)))
    return subprocess.run(
        [sys.executable, "-m", "raypipe", "run", str(path)],
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def fake(**options: Any) -> dict[str, Any]:
    return {"engine": "fake", "path": "none", "name": "fake", "options": options}


def test_every_poison_utterance_is_one_error_and_all_others_are_answered(
    site: Path, shards: Path, runs: Any, fake_engine: None, tmp_path: Path
) -> None:
    # Neighbours, the first and the last of a shard, several in one shard, and a shard without.
    places = [0, 1, 7, ROWS - 1, ROWS, ROWS + 4, ROWS + 5, ROWS + 9]
    poison = {names()[at]: deed for at, deed in zip(places, DEEDS, strict=True)}
    clip = names()[2 * ROWS + 3]
    limits = {"call_timeout_s": 40, "engine_memory_gb": 0.5, "gpus_per_actor": 0}
    document = runs.document(
        shards,
        tmp_path / "out",
        model=fake(poison=poison, clips={clip: "segfault"}),
        resources=limits,
        max_error_fraction=0.5,
    )
    done = raypipe_run(site, document, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = runs.rows(tmp_path / "out", "FROM errors")
    assert len(rows) == len(poison) + 1
    assert {row["utterance_id"]: (row["stage"], row["error_type"]) for row in rows} == {
        **{name: ("engine", DEEDS[deed]) for name, deed in poison.items()},
        clip: ("decode", "process_died"),
    }
    calm = InProcess(tmp_path / "calm", shards)
    calm.finished(decoding=document["decoding"])
    answers = "SELECT utterance_id, strategy, probs FROM predictions ORDER BY ALL"
    expected = [row for row in calm.rows(answers) if row["utterance_id"] not in {*poison, clip}]
    assert runs.rows(tmp_path / "out", answers) == expected
    assert len({row["utterance_id"] for row in expected}) == ROWS * SHARDS - len(rows)


@pytest.mark.slow  # tests/runtime/infer/test_supervised.py shows it without Ray
def test_an_engine_that_dies_while_it_is_loaded_ends_the_run_with_its_reason(
    site: Path, shards: Path, runs: Any, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    model = fake(loading="segfault", log=str(log))
    document = runs.document(
        shards, tmp_path / "out", model=model, resources={"gpus_per_actor": 0, "actors": 1}
    )
    done = raypipe_run(site, document, tmp_path)
    assert done.returncode != 0
    reason = "its process was ended by SIGSEGV while it was loaded, the last of 3 times"
    assert f"model fake cannot be loaded: {reason}" in " ".join(done.stderr.split())
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["status"], record["reason"].endswith(reason)) == ("failed", True)
    assert log.read_text().splitlines() == ["load"] * 3


@pytest.mark.slow  # tests/runtime/infer/test_supervised.py shows it without Ray
def test_an_engine_that_every_utterance_ends_ends_the_run_with_its_reason(
    site: Path, shards: Path, runs: Any, tmp_path: Path
) -> None:
    model = fake(poison=dict.fromkeys(names(), "exit"))
    document = runs.document(
        shards, tmp_path / "out", model=model, resources={"gpus_per_actor": 0, "actors": 1}
    )
    done = raypipe_run(site, document, tmp_path)
    assert done.returncode != 0
    reason = "model fake is lost: its process ended 12 times in succession"
    assert reason in " ".join(done.stderr.split())
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["reason"].startswith(reason)


@pytest.mark.slow  # tests/runtime/ray/test_attempts.py shows it without Ray
def test_an_utterance_that_ends_the_actor_itself_ends_the_run_and_names_the_shard(
    site: Path, shards: Path, runs: Any, tmp_path: Path
) -> None:
    model = fake(poison={names()[ROWS]: "parent"})
    document = runs.document(
        shards, tmp_path / "out", model=model, resources={"gpus_per_actor": 0, "actors": 1}
    )
    done = raypipe_run(site, document, tmp_path)
    assert done.returncode != 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["status"] == "failed"
    told = "model fake is lost at shard shard-000001.parquet: the actor's process ended 10 times"
    assert record["reason"].startswith(told)
    assert "during asking fake about shard shard-000001.parquet" in done.stderr.replace("\n", " ")
