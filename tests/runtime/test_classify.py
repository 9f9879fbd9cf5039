"""Answers that a real endpoint reads where the rules cannot."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answered_runs import answered_run, unheard
from chat_server import Body, chat_server
from rich.console import Console

from raypipe.runtime.classify.config import ClassifyConfig
from raypipe.runtime.classify.job import classify
from raypipe.store.location import Location
from raypipe.store.query import query


@pytest.fixture
def reader() -> Iterator[tuple[dict[str, Any], list[str]]]:
    """A real endpoint that extracts what she is feeling and groups it as fear."""
    prompts: list[str] = []

    def script(body: Body) -> tuple[int, dict[str, str], Any]:
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[-1]["text"]
        prompts.append(prompt)
        if "Categories" in prompt:
            phrases = re.findall(r"^- (.*)$", prompt, re.M)
            text = json.dumps(dict.fromkeys(phrases, "fear"))
        else:
            feeling = re.search(r"feeling ([\w ]+)\.", prompt)
            text = feeling[1] if feeling else "none"
        message = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        return (
            200,
            {},
            {
                **{"id": "x", "object": "chat.completion", "created": 0, "model": "m"},
                **{"choices": [{"index": 0, **message}], "usage": usage},
            },
        )

    with chat_server(script=script) as server:
        api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01}
        yield {"engine": "openai", "path": "m", "api": api}, prompts


def test_a_reader_is_asked_about_the_rest_and_nothing_twice(
    ray_cluster: None,
    reader: tuple[dict[str, Any], list[str]],
    tmp_path: Path,
) -> None:
    model, prompts = reader
    texts = ["She is feeling wired up." if k % 3 else "She is gloomy." for k in range(120)]
    run = answered_run(tmp_path / "run", texts, unheard(120))
    settings = ClassifyConfig.model_validate(
        {
            "systems": [{"name": "gloomy", "open": {"run": str(run)}}],
            "output": str(tmp_path / "out"),
            "replicates": 200,
            "reader": model,
        }
    )
    console = Console(file=io.StringIO())
    classify(settings, console=console)
    labels = query(
        Location.parse(str(tmp_path / "out")),
        "SELECT phrase, label, extracted_by, grouped_by, count(*) AS n FROM answers "
        "WHERE system = 'gloomy' GROUP BY ALL ORDER BY n DESC",
    ).to_pylist()
    assert [tuple(row.values()) for row in labels] == [
        ("wired up", "fear", "model m", "model m", 80),
        ("gloomy", "sadness", "word_map", "word_map", 40),
    ]
    assert len(prompts) == 2  # one text, one word
    classify(settings, console=console)
    assert len(prompts) == 2
