from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_engine import offer_in

from raypipe.config import parse_config
from raypipe.records import EmotionTokens, Failure, Generation, Hypothesis, Request, Search
from raypipe.runtime.infer.asking import ask_texts, load_model


class Half:
    """Both halves of an engine that says every prompt back, and cannot read one with a hash."""

    def __init__(self) -> None:
        self.searches: list[Search] = []

    def prepare(self, requests: Sequence[Request]) -> list[Any]:
        assert all(request.samples is None for request in requests)
        return [
            Failure(item.utterance_id, "prompt", "no", "#") if "#" in item.prompt else item
            for item in requests
        ]

    def generate(self, ready: Sequence[Request], search: Search) -> list[Generation]:
        self.searches.append(search)
        return [
            Generation(
                item.utterance_id,
                (Hypothesis("greedy", 0, item.prompt, (), None, None, "stop", None),),
                None,
                None,
            )
            for item in ready
        ]


def test_replies_stand_in_the_order_of_the_prompts() -> None:
    half = Half()
    replies = ask_texts(["a", "b #", "c"], (half, half), 7)  # type: ignore[arg-type]
    texts = [r.error_type if isinstance(r, Failure) else r.hypotheses[0].text for r in replies]
    assert texts == ["a", "no", "c"]
    assert half.searches == [Search(0, True, 7)]
    ask_texts(["#"], (half, half), 7)  # type: ignore[arg-type]
    assert len(half.searches) == 1


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    config = {"input": {"shards": "s"}, "output": "o", "model": {"path": str(tmp_path)}}
    told = load_model(parse_config(config), EmotionTokens((), (), ()))
    assert isinstance(told, str)
    assert told.startswith(f"model {tmp_path.name} cannot be loaded: ")
    assert "\n" not in told


def test_a_request_that_ends_the_model_costs_only_itself(
    fake_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_in(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # the model's own process has the same path
    model = {"engine": "fake", "path": "none", "options": {"poison": {"request 2": "exit"}}}
    resources = {"gpus_per_actor": 0, "batch_size": 4}
    config = {"input": {"shards": "s"}, "output": "o", "model": model, "resources": resources}
    loaded = load_model(parse_config(config), EmotionTokens((), (), ()))
    assert not isinstance(loaded, str), loaded
    replies = ask_texts(["a", "b", "c"], loaded, 8)
    assert [getattr(reply, "error_type", None) for reply in replies] == [None, "process_died", None]
