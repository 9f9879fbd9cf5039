"""Engines that ask a server of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import LABELS, ChatServer, chat_server
from searching import Searching, split_search

from raypipe.config.api import ApiConfig
from raypipe.engines.openai.engine import OpenAIEngine
from raypipe.engines.openai.frontend import OpenAIFrontend
from raypipe.prompts import render_prompt
from raypipe.records import ChatInput, EmotionTokens, Request
from raypipe.store.location import Location

NO_TOKENS = EmotionTokens((), (), ())


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture
def clips() -> Callable[..., list[ChatInput]]:
    """Prepared inputs, each of a clip of its own."""

    def make(count: int, api: ApiConfig, **changes: Any) -> list[ChatInput]:
        noise = np.random.default_rng(1).uniform(-0.5, 0.5, (count, 800)).astype(np.float32)
        prompt = render_prompt("distribution", LABELS, fixed_sentences=True)
        requests = [
            Request(f"u{number}", changes.get("prompt", prompt), samples)
            for number, samples in enumerate(noise)
        ]
        return OpenAIFrontend(api).prepare(requests)

    return make


@pytest.fixture
def make_engine(tmp_path: Path) -> Callable[..., Searching]:
    def make(api: ApiConfig, **changes: Any) -> Searching:
        settings = {
            "emotion_tokens": NO_TOKENS,
            "beam_count": 3,
            "greedy": True,
            "max_new_tokens": 96,
            "cache": Location.parse(str(tmp_path / "cache")),
            "ledger": Location.parse(str(tmp_path / "ledger")),
        }
        search, own = split_search(settings | changes)
        return Searching(OpenAIEngine("some-model", api=api, **own), search)

    return make
