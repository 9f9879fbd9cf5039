"""Endpoints known by name, their abilities, and checks of what a run asks of them.

What a preset says was true of the endpoint when it was written; ``model.api.offers`` corrects it.
Sampled candidates stand in for beams. The audio models of OpenAI and Gemini's compatible endpoint
give no log-probabilities, so their candidates weigh the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

from raypipe.config.api import ApiConfig, AudioFormat, AudioPart
from raypipe.errors import ConfigError
from raypipe.installation import install_hint
from raypipe.protocols import Capabilities, Demand
from raypipe.records import EmotionTokens, Grammar

LimitField = Literal["max_tokens", "max_completion_tokens"]

_MOST_TOKEN_IDS = 128
"""vLLM's own limit for ``logprob_token_ids``."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address and abilities of an endpoint.

    Attributes:
        base_url: None where only the user can know.
        key_variable: environment variable that holds the key; None if it takes none.
        candidates: most answers to one request.
        logprobs: whether it tells the log-probabilities of the generated tokens.
        top_logprobs: most alternatives it lists at every step.
        token_ids: whether it tells the log-probabilities of chosen token ids.
        end_token: whether the token that ends an answer is among the log-probabilities.
        json_schema: whether it holds answers to a JSON schema.
        seed: whether sampling takes a seed.
        audio: form of the audio part of a message.
        audio_formats: encodings it reads, lossless ones only.
        limit_field: how the limit on new tokens is called.
        reasoning_tokens: room for thinking, which counts as output there.
        max_duration_s: longest clip in seconds that it takes whole.
        takes_audio: whether it takes clips at all.
    """

    base_url: str | None = None
    key_variable: str | None = None
    candidates: int = 1
    logprobs: bool = False
    top_logprobs: int = 0
    token_ids: bool = False
    end_token: bool = False
    json_schema: bool = False
    seed: bool = False
    audio: AudioPart = "input_audio"
    audio_formats: tuple[AudioFormat, ...] = ("wav",)
    limit_field: LimitField = "max_tokens"
    reasoning_tokens: int = 0
    max_duration_s: float = 30.0
    takes_audio: bool = True


_GEMINI = Endpoint(
    base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
    key_variable="GEMINI_API_KEY",
    candidates=8,
    json_schema=True,
    max_duration_s=600.0,
)

PRESETS: Mapping[str, Endpoint] = {
    # Audio models refuse logprobs and json_schema, unlike OpenAI's text models.
    "gpt-4o-audio": Endpoint(
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        candidates=8,
        seed=True,
        limit_field="max_completion_tokens",
        max_duration_s=600.0,
    ),
    # A text model, for prompts that describe the clip.
    "gpt-4o": Endpoint(
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        candidates=8,
        logprobs=True,
        top_logprobs=20,
        json_schema=True,
        seed=True,
        limit_field="max_completion_tokens",
        max_duration_s=1800.0,
        takes_audio=False,
    ),
    "gemini-2.0-flash": _GEMINI,
    # It always thinks, and its thoughts count towards max_tokens.
    "gemini-2.5-pro": replace(_GEMINI, reasoning_tokens=4096),
    # Qwen2-Audio takes 30 s; these servers cut longer clips without a word.
    "vllm": Endpoint(
        base_url="http://127.0.0.1:8000/v1",
        candidates=16,
        logprobs=True,
        top_logprobs=20,
        token_ids=True,
        end_token=True,
        json_schema=True,
        seed=True,
        audio_formats=("wav", "flac"),
    ),
    # Versions before August 2026 read audio_url only, later ones both.
    "sglang": Endpoint(
        base_url="http://127.0.0.1:30000/v1",
        candidates=16,
        logprobs=True,
        top_logprobs=20,
        end_token=True,
        json_schema=True,
        seed=True,
        audio="audio_url",
        audio_formats=("wav", "flac"),
    ),
    "custom": Endpoint(),
}
"""Endpoints by the name a config gives; ``custom`` promises nothing but one answer to a clip."""


def endpoint_of(api: ApiConfig) -> Endpoint:
    """The preset of a config with the config's corrections.

    Raises:
        ConfigError: for an unknown preset, or if nothing says where the endpoint is.
    """
    if api.preset not in PRESETS:
        raise ConfigError(
            f"model.api.preset: unknown preset {api.preset!r}; known: {', '.join(PRESETS)}"
        )
    preset = PRESETS[api.preset]
    changed = api.offers.model_dump(exclude_none=True)
    for name in ("base_url", "key_variable", "reasoning_tokens", "max_duration_s"):
        value = getattr(api, name)
        if value is not None:
            changed[name] = value
    endpoint = replace(preset, **changed)
    if endpoint.base_url is None:
        raise ConfigError(f"model.api.base_url: missing; preset {api.preset} does not know it")
    if api.audio_format not in endpoint.audio_formats:
        raise ConfigError(
            f"model.api.audio_format: the endpoint reads {', '.join(endpoint.audio_formats)}, "
            f"not {api.audio_format}"
        )
    return endpoint


def capabilities_of(api: ApiConfig) -> Capabilities:
    """Capabilities of an endpoint, whose samples stand in for beams.

    Raises:
        ConfigError: as :func:`endpoint_of`.
    """
    endpoint = endpoint_of(api)
    lists_emotion_words = endpoint.logprobs and (endpoint.token_ids or endpoint.top_logprobs > 0)
    more = {"emotion_logprobs"} if lists_emotion_words and api.tokenizer is not None else set()
    return Capabilities(
        beams=False,
        emotion_logits=False,
        token_logprobs=endpoint.logprobs,
        samples=True,
        more=frozenset(more),
    )


def check_run(api: ApiConfig, demand: Demand) -> None:
    """Refuse what the endpoint cannot give before anything is sent, let alone paid for.

    Args:
        api: the endpoint.
        demand: what the run asks of it.

    Raises:
        ConfigError: naming the setting, what it needs and what the endpoint offers.
    """
    if find_spec("openai") is None:
        raise ConfigError(f"engine openai needs the official client: {install_hint('openai')}")
    endpoint = endpoint_of(api)
    where = f"the endpoint of preset {api.preset}"
    api_key(endpoint)
    if not demand.text_only and not endpoint.takes_audio:
        raise ConfigError(
            f"{where} takes no clips: ask it by prompt describe, or with prompt.text_only"
        )
    _check_grammar(endpoint, where, demand)
    if names := demand.requires.get("emotion_logits"):
        raise ConfigError(
            f"strategy {', '.join(names)} divides raw logits, and endpoints give log-probabilities "
            "at best; token_softmax is the same for both"
        )
    names = demand.requires.get("token_logprobs", ())
    if names and not endpoint.logprobs:
        raise ConfigError(
            f"strategy {', '.join(names)} needs log-probabilities, which {where} does not give; "
            "w_bon weighs its candidates the same and says so"
        )
    recording = demand.requires.get("emotion_logprobs", ())
    if recording:
        _check_emotion_logprobs(api, endpoint, where, demand)
    if api.tokenizer is not None:
        _check_recording(endpoint, where, demand.emotion_tokens, recording)


def _check_grammar(endpoint: Endpoint, where: str, demand: Demand) -> None:
    grammar = demand.grammar
    if grammar is not None and not endpoint.json_schema:
        raise ConfigError(f"decoding.grammar: {where} does not hold answers to a JSON schema")
    if isinstance(grammar, Grammar) and grammar.kind == "regex":
        raise ConfigError("decoding.grammar: endpoints take a JSON schema, no regular expression")


def _check_emotion_logprobs(api: ApiConfig, endpoint: Endpoint, where: str, demand: Demand) -> None:
    who = f"strategy {', '.join(demand.requires['emotion_logprobs'])}"
    if not endpoint.logprobs or not (endpoint.token_ids or endpoint.top_logprobs):
        raise ConfigError(
            f"{who} needs log-probabilities of the emotion words, which {where} does not give"
        )
    if api.tokenizer is None:
        raise ConfigError(
            f"{who} needs model.api.tokenizer, which tells the tokens that write the emotion words"
        )
    if demand.token_steps == "words" and not endpoint.token_ids:
        raise ConfigError(f"aggregation.token_steps: words needs token ids, {where} tells none")


def _check_recording(
    endpoint: Endpoint, where: str, tokens: EmotionTokens, needing_all: Sequence[str]
) -> None:
    if not endpoint.logprobs:
        raise ConfigError(f"model.api.tokenizer: is of no use, {where} gives no log-probabilities")
    count = len(tokens.token_ids)
    if endpoint.token_ids:
        if count > _MOST_TOKEN_IDS:
            raise ConfigError(
                f"the label set is written with {count} tokens, {where} tells the "
                f"log-probabilities of {_MOST_TOKEN_IDS} at most; leave out model.api.tokenizer"
            )
    elif needing_all and count > endpoint.top_logprobs:
        raise ConfigError(
            f"strategy {', '.join(needing_all)} needs the log-probabilities of {count} tokens at "
            f"every step, {where} lists {endpoint.top_logprobs}"
        )


def api_key(endpoint: Endpoint) -> str | None:
    """The key, from this process's environment; None for an endpoint that takes none.

    Raises:
        ConfigError: if the variable is not set.
    """
    if endpoint.key_variable is None:
        return None
    key = os.environ.get(endpoint.key_variable, "").strip()
    if not key:
        raise ConfigError(f"the environment variable {endpoint.key_variable} holds no key")
    return key
