"""What an endpoint cannot give is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from chat_server import api_config

from raypipe.config.api import ApiConfig, OffersConfig
from raypipe.engines.openai.presets import PRESETS, check_run, endpoint_of
from raypipe.errors import ConfigError
from raypipe.protocols import Demand
from raypipe.records import EmotionTokens, EmotionWord, Grammar

NONE = EmotionTokens((), (), ())
SOFTMAX = {"emotion_logprobs": ("token_softmax",)}
MANY = EmotionTokens(
    (EmotionWord("anger", "anger", tuple(range(30))),), tuple(range(30)), ("x",) * 30
)


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"custom"}))
def test_every_preset_runs_greedy_and_w_bon(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = ApiConfig(preset=preset)
    variable = endpoint_of(api).key_variable
    if variable is not None:
        monkeypatch.setenv(variable, "k")
    text_only = not endpoint_of(api).takes_audio
    check_run(api, Demand({"hypotheses": ("w_bon",)}, text_only=text_only))


def test_a_text_model_is_asked_about_no_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    api = ApiConfig(preset="gpt-4o")
    check_run(api, Demand({"token_logprobs": ("bon",)}, text_only=True))
    with pytest.raises(ConfigError, match=r"gpt-4o takes no clips: .*describe"):
        check_run(api, Demand({}))


@pytest.mark.parametrize(
    ("changes", "requires", "tokens", "message"),
    [
        ({}, {"emotion_logits": ("token",)}, NONE, "divides raw logits"),
        (
            {"offers": OffersConfig(logprobs=False)},
            {"token_logprobs": ("bon",)},
            NONE,
            "bon needs log-probabilities",
        ),
        ({"offers": OffersConfig(logprobs=False)}, SOFTMAX, NONE, "does not give"),
        ({}, SOFTMAX, NONE, "needs model.api.tokenizer"),
        (
            {"offers": OffersConfig(token_ids=False), "tokenizer": "x"},
            SOFTMAX,
            MANY,
            "30 tokens at every step, .* lists 20",
        ),
        ({"offers": OffersConfig(logprobs=False), "tokenizer": "x"}, {}, MANY, "of no use"),
        ({"preset": "nowhere"}, {}, NONE, "unknown preset 'nowhere'; known: gpt-4o-audio"),
        ({"preset": "gpt-4o-audio", "audio_format": "flac"}, {}, NONE, "reads wav, not flac"),
        ({"key_variable": "RAYPIPE_NO_SUCH_KEY"}, {}, NONE, "RAYPIPE_NO_SUCH_KEY holds no key"),
    ],
)
def test_what_cannot_be_given_is_refused(
    changes: dict[str, Any],
    requires: dict[str, tuple[str, ...]],
    tokens: EmotionTokens,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(ConfigError, match=message):
        check_run(
            api_config("http://127.0.0.1:1/v1", **changes), Demand(requires, emotion_tokens=tokens)
        )


def test_a_custom_endpoint_needs_an_address_and_promises_little() -> None:
    with pytest.raises(ConfigError, match="base_url: missing"):
        endpoint_of(ApiConfig())
    endpoint = endpoint_of(ApiConfig(base_url="http://127.0.0.1:1/v1"))
    assert (endpoint.candidates, endpoint.logprobs, endpoint.json_schema) == (1, False, False)


@pytest.mark.parametrize(
    ("offered", "grammar", "message"),
    [
        (False, "distribution", "does not hold answers to a JSON schema"),
        (False, Grammar("json_schema", "{}"), "does not hold answers to a JSON schema"),
        (True, Grammar("regex", "[0-9]"), "no regular expression"),
    ],
)
def test_a_grammar_the_endpoint_cannot_follow_is_refused(
    offered: bool, grammar: Any, message: str
) -> None:
    api = api_config("http://127.0.0.1:1/v1", offers=OffersConfig(json_schema=offered))
    with pytest.raises(ConfigError, match=f"decoding.grammar: .*{message}"):
        check_run(api, Demand({}, grammar=grammar))


@pytest.mark.parametrize("grammar", ["distribution", Grammar("json_schema", "null")])
def test_a_schema_is_taken_where_it_is_offered(grammar: Any) -> None:
    check_run(api_config("http://127.0.0.1:1/v1"), Demand({}, grammar=grammar))
