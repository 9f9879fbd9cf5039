"""The main job against an endpoint: faults on the way, a budget, the key."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from chat_server import FAULTS, ChatServer, chat_faults, chat_server

from raypipe.errors import ConfigError, StoppedError
from raypipe.records import Utterance

CLIPS, BROKEN, ROWS_PER_SHARD = 252, 2, 50
STRATEGIES = ["greedy", "bon", "w_bon"]
KEY = "sk-raypipe-secret-0123456789abcdef"


def clip(number: int) -> bytes:
    """A short file that is like no other."""
    noise = np.random.default_rng(number).integers(-9000, 9000, 400, dtype=np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, 16_000, format="WAV")
    return buffer.getvalue()


def utterances(count: int) -> Iterator[Utterance]:
    for number in range(count):
        yield Utterance(
            utterance_id=f"u{number:04}",
            dataset="noise",
            split="test",
            speaker=f"s{number % 5}",
            audio=clip(number) if number < CLIPS - BROKEN else b"not audio",
            sampling_rate=16_000,
            duration_s=0.025,
            soft_label=(0.5, 0.5, 0.0, 0.0, 0.0, 0.0),
            n_votes=2,
        )


@pytest.fixture(scope="module")
def noise(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    return runs.shards(utterances(CLIPS), folder, ROWS_PER_SHARD)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def endpoint(base_url: str, **changes: Any) -> dict[str, Any]:
    """The sections of a config that ask a server here."""
    api = {"preset": "vllm", "base_url": base_url, "first_wait_s": 0.01, "concurrency": 32}
    model = {"engine": "openai", "path": "some-model", "api": {**api, **changes}}
    return {"model": model, "strategies": STRATEGIES}


def test_500_requests_with_faults_lose_nothing_and_a_second_run_is_free(
    ray_cluster: None, runs: Any, noise: Path, server: ChatServer, tmp_path: Path
) -> None:
    with chat_faults(server.base_url) as faults:
        # A chance of 5e-7 per request to run out of attempts.
        settings = endpoint(faults.base_url, timeout_s=0.8, attempts=12, cache=str(tmp_path / "c"))
        first = runs.run(noise, tmp_path / "first", **settings)
        sent = sum(faults.done.values())
        assert faults.done["none"] >= 2 * (CLIPS - BROKEN)
        assert sent - faults.done["none"] > 0.2 * sent
        assert set(faults.done) == {*FAULTS, "none"}
        answered = len(server.seen)
        second = runs.run(noise, tmp_path / "second", **settings)
        assert sum(faults.done.values()) == sent
        assert len(server.seen) == answered
    counts = first.done_counts
    assert (counts.input, counts.errors) == (CLIPS, BROKEN)
    rows = runs.rows(
        tmp_path / "first",
        "SELECT strategy, count(*) AS n, count(DISTINCT utterance_id) AS ids FROM predictions"
        " GROUP BY 1",
    )
    assert {(row["n"], row["ids"]) for row in rows} == {(CLIPS - BROKEN, CLIPS - BROKEN)}
    assert second.done_counts == counts
    usage = second.api_usage
    assert usage == {**usage, "requests": 0, "cached": 2 * 250}
    same = [runs.tables(tmp_path / name) for name in ("first", "second")]
    assert same[0] == same[1]


def test_a_spent_budget_keeps_what_is_done_and_a_larger_one_finishes(
    ray_cluster: None, runs: Any, noise: Path, server: ChatServer, tmp_path: Path
) -> None:
    limit, output = {"limit": 150}, tmp_path / "run"
    small = endpoint(server.base_url, budget={"requests": 130})
    with pytest.raises(StoppedError, match=r"130 requests is used up.*same command continues"):
        runs.run(noise, output, input=limit, **small)
    assert len(server.seen) == 130
    record = json.loads((output / "run.json").read_text())
    assert record["status"] == "stopped"
    assert "130 requests" in record["reason"]
    assert record["api_usage"]["requests"] == 130
    assert len([name for name in runs.tables(output) if name.startswith("predictions")]) == 1
    larger = endpoint(server.base_url, budget={"requests": 300})
    finished = runs.run(noise, output, input=limit, **larger)
    assert finished.done_counts.predicted == 150
    assert len(server.seen) == 300  # nothing was paid for twice
    calm = runs.run(noise, tmp_path / "calm", input=limit, **endpoint(server.base_url))
    assert calm.done_counts == finished.done_counts
    assert runs.tables(output) == runs.tables(tmp_path / "calm")


def test_a_key_that_is_missing_where_the_work_is_done_stops_cleanly(
    ray_cluster: None,
    runs: Any,
    noise: Path,
    server: ChatServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAYPIPE_TEST_KEY", KEY)  # after the workers' environment was made
    settings = endpoint(server.base_url, key_variable="RAYPIPE_TEST_KEY")
    with pytest.raises(StoppedError, match=r"RAYPIPE_TEST_KEY holds no key.*node"):
        runs.run(noise, tmp_path, input={"limit": 5}, **settings)


def test_what_the_endpoint_cannot_give_is_refused_before_work_starts(
    runs: Any, noise: Path, tmp_path: Path
) -> None:
    settings = endpoint("http://127.0.0.1:1/v1") | {"strategies": ["token"]}
    with pytest.raises(ConfigError, match="divides raw logits"):
        runs.run(noise, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
