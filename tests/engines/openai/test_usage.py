"""Costs worked out by hand."""

from __future__ import annotations

import pytest

from raypipe.config.api import PricesConfig
from raypipe.engines.openai.replies import Tokens, read_reply
from raypipe.engines.openai.usage import cost_of


@pytest.mark.parametrize(
    ("tokens", "audio_price", "cost"),
    [
        (Tokens(1000, 400, 100), 40.0, (600 * 2.0 + 400 * 40.0 + 100 * 10.0) / 1e6),
        (Tokens(1000, 400, 100), None, (1000 * 2.0 + 100 * 10.0) / 1e6),
        (Tokens(1000, None, 100), 40.0, (1000 * 40.0 + 100 * 10.0) / 1e6),
    ],
)
def test_audio_is_priced_apart_and_never_too_low(
    tokens: Tokens, audio_price: float | None, cost: float
) -> None:
    prices = PricesConfig(input=2.0, output=10.0, audio=audio_price)
    assert cost_of(tokens, prices) == pytest.approx(cost)


def test_thoughts_that_stand_in_the_total_only_are_output() -> None:
    usage = '"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}'
    reply = read_reply(f'{{"choices": [{{"message": {{"content": "x"}}}}], {usage}}}'.encode())
    assert reply.tokens == Tokens(10, None, 30)
