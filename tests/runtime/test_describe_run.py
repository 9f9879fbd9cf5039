"""The text-LLM baseline as a run: zero-shot and few-shot beside a model that hears."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, chat_server, text_of

from raypipe.errors import ConfigError
from raypipe.records import Utterance
from raypipe.runtime.infer.plan import make_plan

PITCHES_HZ = [110.0, 150.0, 220.0, 300.0]
SHORT = "u4"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(scope="module")
def tones(
    runs: Any,
    encode: Callable[..., bytes],
    tone: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Clips of known pitch, and one that is too short to be measured."""
    clips = [encode(tone(0.6, frequency=pitch_hz)) for pitch_hz in PITCHES_HZ]
    rows = [
        Utterance(
            utterance_id=f"u{number}",
            dataset="tones",
            split="test",
            speaker="s",
            audio=clip,
            sampling_rate=16_000,
            duration_s=0.6,
            transcript=f"Sentence {number}.",
            soft_label=(0.5, 0.5, 0.0, 0.0, 0.0, 0.0),
            n_votes=2,
        )
        for number, clip in enumerate([*clips, encode(tone(0.05))])
    ]
    return runs.shards(rows, tmp_path_factory.mktemp("tones"), len(rows))


def settings(server: ChatServer, folder: Path, *prompts: dict[str, Any]) -> dict[str, Any]:
    lines = [
        {"transcript": "No!", "answer": {"anger": 1}},
        {"context": ["x"], "transcript": "Yes."},
    ]
    lines[1]["answer"] = {"happy": 1, "neutral": 1}
    (folder / "solved.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01}
    return {
        "model": {"engine": "openai", "path": "some-model", "api": api},
        "prompts": list(prompts),
        "strategies": ["greedy", "w_bon"],
        "decoding": {"beam_count": 2},
    }


def test_a_text_model_reads_what_others_hear(
    ray_cluster: None, runs: Any, tones: Path, server: ChatServer, tmp_path: Path
) -> None:
    few_shot = {"template": "describe", "examples": str(tmp_path / "solved.jsonl")}
    prompts = [{"template": "describe"}, few_shot, {"template": "distribution"}]
    record = runs.run(tones, tmp_path / "out", **settings(server, tmp_path, *prompts))
    assert record.status == "finished"
    rows = runs.rows(
        tmp_path / "out",
        "SELECT prompt, utterance_id FROM predictions WHERE strategy = 'w_bon' AND valid",
    )
    answered = {
        name: {row["utterance_id"] for row in rows if row["prompt"] == name}
        for name in ("describe", "describe+examples", "distribution")
    }
    measurable = {f"u{number}" for number in range(len(PITCHES_HZ))}
    assert answered == {
        "describe": measurable,
        "describe+examples": measurable,
        "distribution": {*measurable, SHORT},
    }
    errors = runs.rows(tmp_path / "out", "SELECT prompt, utterance_id, error_type FROM errors")
    assert {(row["prompt"], row["utterance_id"], row["error_type"]) for row in errors} == {
        ("describe", SHORT, "too_short"),
        ("describe+examples", SHORT, "too_short"),
    }

    read = [body for body in server.seen if isinstance(body["messages"][0]["content"], str)]
    heard = [body for body in server.seen if body not in read]
    assert (len(read), len(heard)) == (2 * 2 * len(PITCHES_HZ), 2 * (len(PITCHES_HZ) + 1))
    for body in read:
        assert text_of(body).count("Answer: {") in (0, 2)
        pitch = re.findall(r"Pitch: (\d+) Hz", text_of(body))
        assert len(pitch) == 1
        assert min(abs(float(pitch[0]) / known - 1) for known in PITCHES_HZ) < 0.015
    assert all("Pitch" not in text_of(body) for body in heard)


def test_other_examples_make_another_run(
    runs: Any, tones: Path, server: ChatServer, tmp_path: Path
) -> None:
    few_shot = {"template": "describe", "examples": str(tmp_path / "solved.jsonl")}
    asked = settings(server, tmp_path, few_shot)
    config = runs.config(tones, tmp_path / "out", **asked)
    first = make_plan(config).context.generation_fingerprint
    assert make_plan(config).context.generation_fingerprint == first
    with (tmp_path / "solved.jsonl").open("a") as file:
        file.write('\n{"transcript": "Well.", "answer": {"neutral": 1}}\n')
    assert make_plan(config).context.generation_fingerprint != first


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"template": "distribution", "examples": "solved.jsonl"}, "does not use them"),
        ({"template": "describe", "examples": "gone.jsonl"}, r"gone\.jsonl: cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_work_starts(
    runs: Any,
    tones: Path,
    server: ChatServer,
    tmp_path: Path,
    prompt: dict[str, Any],
    words: str,
) -> None:
    given = {**prompt, "examples": str(tmp_path / prompt["examples"])}
    config = runs.config(tones, tmp_path / "out", **settings(server, tmp_path, given))
    with pytest.raises(ConfigError, match=words):
        make_plan(config)
    assert not server.seen
