"""The check that answers do not depend on the batch, on the bundled model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from raypipe import cli
from raypipe.errors import ConfigError
from raypipe.records import Generation
from raypipe.runtime.infer import selfcheck as module
from raypipe.runtime.infer.selfcheck import selfcheck

SETTINGS: dict[str, Any] = {
    "resources": {"batch_size": 4, "threads_per_actor": 1},
    "decoding": {"beam_count": 3, "max_new_tokens": 24},
}


@pytest.fixture
def document(runs: Any, corpus: Path, tmp_path: Path) -> dict[str, Any]:
    return runs.document(corpus, tmp_path / "out", **SETTINGS)


def invoke(document: dict[str, Any], tmp_path: Path, *arguments: str) -> Any:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    return CliRunner().invoke(cli.app, ["selfcheck", str(path), *arguments])


def test_the_bundled_model_passes_and_nothing_is_written(
    document: dict[str, Any], tmp_path: Path
) -> None:
    shown = invoke(document, tmp_path, "--sample", "7")
    assert shown.exit_code == 0, shown.output
    assert "7 utterances, float32" in shown.output
    assert "batch size 1 against 4" in shown.output
    assert not (tmp_path / "out").exists()


def test_the_sample_is_spread_over_the_shards(
    runs: Any, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    class Listener:
        def generate(self, inputs: Any, search: Any) -> list[Generation]:
            heard.extend(one.utterance_id for one in inputs)
            return [Generation(one.utterance_id, (), 1, 1) for one in inputs]

    monkeypatch.setattr(module, "make_engine", lambda *_: Listener())
    found = selfcheck(runs.config(corpus, tmp_path / "out", **SETTINGS)).agreement
    assert found.utterances == 8  # twice the batch size
    first_rows = [0, 1, 2, 16, 17, 18, 32, 33]
    from raypipe.tiny_alm.corpus import synthetic_utterances

    names = [one.utterance_id for one in synthetic_utterances(48, seed=3, split="test")]
    assert heard[8:] == [names[row] for row in first_rows]


@pytest.mark.parametrize(("dtype", "exit_code"), [("float32", 1), ("bfloat16", 0)])
def test_an_engine_whose_answers_depend_on_the_batch_is_caught(
    document: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dtype: str,
    exit_code: int,
) -> None:
    make = module.make_engine

    class Moody:
        def __init__(self, *arguments: Any) -> None:
            self._engine = make(*arguments)

        def generate(self, inputs: Any, search: Any) -> Any:
            replies = self._engine.generate(inputs, search)
            if len(inputs) > 1:
                first, *rest = replies[2].hypotheses
                other = (dataclasses.replace(first, text="other", token_ids=(1,)), *rest)
                replies[2] = dataclasses.replace(replies[2], hypotheses=other)
            return replies

    monkeypatch.setattr(module, "make_engine", Moody)
    document["model"] = {"dtype": dtype}
    shown = invoke(document, tmp_path, "--sample", "5")
    assert shown.exit_code == exit_code, shown.output
    assert "answers depend on the batch" in shown.output


def test_a_corpus_that_cannot_be_heard_is_named(
    document: dict[str, Any], runs: Any, corpus: Path, tmp_path: Path
) -> None:
    config = runs.config(corpus, tmp_path / "out", audio={"max_duration_s": 0.01})
    with pytest.raises(ConfigError, match="none of the first"):
        selfcheck(config, 3)


def test_an_endpoint_is_refused(runs: Any, corpus: Path, tmp_path: Path) -> None:
    model = {"engine": "openai", "path": "x", "api": {"preset": "vllm"}}
    config = runs.config(corpus, tmp_path / "out", model=model, strategies=["greedy"])
    with pytest.raises(ConfigError, match="no batch to check"):
        selfcheck(config)
