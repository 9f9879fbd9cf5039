"""A text model is told how a clip was measured to sound, and answers with a distribution."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import LABELS, ChatServer, api_config, text_of

from raypipe.audio import decode
from raypipe.descriptors import describe
from raypipe.engines.openai.frontend import OpenAIFrontend
from raypipe.parsing import parse_answer
from raypipe.prompts import fill_template, template_source
from raypipe.prompts.examples import read_examples
from raypipe.records import Failure, Generation, Request
from raypipe.tiny_alm.corpus import synthetic_utterances

RATE = 16_000


def measure(audio: bytes) -> Any:
    return describe(decode(audio, sampling_rate=RATE), RATE)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Two solved examples, one of a clip and one of numbers."""
    (clip,) = synthetic_utterances(1, seed=9, split="train")
    (tmp_path / "a.wav").write_bytes(clip.audio)
    numbers = {"duration_s": 2.0, "speech_s": 1.5, "pause_count": 1, "pause_s": 0.4}
    lines = [
        {"audio": "a.wav", "answer": {"sad": 3, "neutral": 1}},
        {"transcript": "Oh no.", "descriptors": numbers, "answer": {"fear": 1.0}},
    ]
    path = tmp_path / "examples.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def requests(examples: Path | None, count: int = 3) -> list[Request]:
    shown = () if examples is None else read_examples(examples, LABELS, measure)
    return [
        Request(
            one.utterance_id,
            fill_template(
                template_source("describe"),
                LABELS,
                transcript=f"Sentence {number}.",
                descriptors=measure(one.audio),
                examples=shown,
            ),
            None,
        )
        for number, one in enumerate(synthetic_utterances(count, seed=4, split="test"))
    ]


@pytest.mark.parametrize("few_shot", [False, True])
def test_descriptions_go_out_and_distributions_come_back(
    server: ChatServer, make_engine: Callable[..., Any], examples: Path, few_shot: bool
) -> None:
    api = api_config(server.base_url, concurrency=1)
    asked = requests(examples if few_shot else None)
    inputs = OpenAIFrontend(api).prepare(asked)
    answers = make_engine(api, beam_count=2).generate(inputs)
    for answer in answers:
        assert isinstance(answer, Generation), answer
        for one in answer.hypotheses:
            parsed = parse_answer(one.text, LABELS)
            assert parsed.rule == "json"
            assert parsed.probs.sum() == pytest.approx(1)
    assert len({answer.hypotheses[0].text for answer in answers}) == len(asked)
    sent = {text_of(body) for body in server.seen}
    assert sent == {one.prompt for one in asked}
    assert all(body["messages"][0]["content"] == text_of(body) for body in server.seen)
    for text in sent:
        assert text.count("Answer: {") == (2 if few_shot else 0)
        assert text.endswith("Answer:")
        assert "- Pitch: " in text


def test_a_clip_and_a_text_can_stand_in_one_batch(
    server: ChatServer, make_engine: Callable[..., Any]
) -> None:
    api = api_config(server.base_url)
    (text,) = requests(None, count=1)
    clip = Request("clip", text.prompt, np.zeros(800, np.float32))
    frontend = OpenAIFrontend(api)
    inputs = frontend.prepare([text, clip])
    again = frontend.with_prompt(inputs[0], text.prompt + " ")
    assert not isinstance(again, Failure)
    assert again.audio is None
    first, second, third = make_engine(api, beam_count=0).generate([*inputs, again])
    assert len({one.hypotheses[0].text for one in (first, second, third)}) == 3


def test_the_cache_knows_a_question_without_a_clip(
    server: ChatServer, make_engine: Callable[..., Any]
) -> None:
    api = api_config(server.base_url)
    inputs = OpenAIFrontend(api).prepare(requests(None))
    first = make_engine(api).generate(inputs)
    sent = len(server.seen)
    again = make_engine(api).generate(inputs)
    assert len(server.seen) == sent
    texts = [[[one.text for one in answer.hypotheses] for answer in run] for run in (first, again)]
    assert texts[0] == texts[1]
