"""What a judge config refuses, and what makes verdicts different ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.runtime.judge.config import JudgeConfig, load_judge_config

FIRST, SECOND = {"name": "a", "answers": "a.jsonl"}, {"name": "b", "answers": "b.jsonl"}


def config(**changes: Any) -> JudgeConfig:
    return JudgeConfig.model_validate({"first": FIRST, "second": SECOND, "output": "o", **changes})


def test_what_changes_a_verdict_changes_the_fingerprint_and_nothing_else_does() -> None:
    def prints(made: JudgeConfig) -> str:
        return made.identity("pairs", "template", "model")

    same: list[dict[str, Any]] = [
        {"output": "elsewhere", "name": "mine"},
        {"first": {"name": "a", "answers": "moved.jsonl"}},
        {"resources": {"actors": 3, "batch_size": 2}},
        {"max_error_fraction": 0.5},
        {"shards": "s"},  # what is read there is a part of the pairs' own fingerprint
    ]
    other: list[dict[str, Any]] = [
        {"first": {"name": "c", "answers": "a.jsonl"}},
        {"shards": "s", "audio": True},
        {"seed": 1},
        {"max_new_tokens": 10},
        {"penalties": "none"},
        {"model": {"path": "org/model", "revision": "a"}},
    ]
    assert {prints(config(**changes)) for changes in same} == {prints(config())}
    assert len({prints(config(**changes)) for changes in [{}, *other]}) == 1 + len(other)
    assert config().identity("another", "template", "model") != prints(config())
    assert config().identity("pairs", "another", "model") != prints(config())
    assert config().identity("pairs", "template", "another") != prints(config())


def test_the_paper_s_number_of_pairs_is_the_default() -> None:
    assert (config().per_emotion, config().audio, config().prompt) == (50, False, "judge")


def test_the_judge_is_asked_greedily_with_the_clip_or_without() -> None:
    run = config().as_run()
    assert run.prompt.is_text_only
    assert (run.decoding.beam_count, run.decoding.greedy) == (0, True)
    assert run.decoding.max_new_tokens == 64
    assert not config(audio=True, shards="s").as_run().prompt.is_text_only


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("second: {name: a, answers: y}", "first and second are both called a"),
        ("audio: true", "audio needs shards"),
        ("per_emotion: 0", "per_emotion"),
        ("judges: 3", "judges: unknown key"),
    ],
)
def test_a_wrong_config_is_told_with_its_file(changes: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "judge.yaml"
    second = "" if changes.startswith("second") else "second: {name: b, answers: y}\n"
    file.write_text(f"first: {{name: a, answers: x}}\n{second}output: o\n{changes}\n")
    with pytest.raises(ConfigError) as refused:
        load_judge_config(file)
    assert str(file) in str(refused.value)
    assert words in str(refused.value)
