"""The engine that asks an endpoint, as an object: its client is not imported before use."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from raypipe.config.api import ApiConfig
from raypipe.config.model import local_path
from raypipe.engines.checkpoint_faults import tokenizer_faults
from raypipe.engines.engine import (
    EnginePlugin,
    EngineSettings,
    Folders,
    ModelSettings,
    Spending,
    Usage,
)
from raypipe.engines.openai.presets import capabilities_of, check_run, endpoint_of
from raypipe.engines.openai.replies import Tokens
from raypipe.engines.openai.usage import ACCOUNTS, cost_of, read_usage
from raypipe.errors import ConfigError
from raypipe.protocols import Capabilities, Demand
from raypipe.records import Search

if TYPE_CHECKING:
    from raypipe.engines.openai.engine import OpenAIEngine
    from raypipe.engines.openai.frontend import OpenAIFrontend

_CACHE = "api_cache"
_CHARACTERS_OF_A_TOKEN = 4


def _frontend(model: ModelSettings) -> OpenAIFrontend:
    from raypipe.engines.openai.frontend import OpenAIFrontend

    api: ApiConfig = model.options
    tokenizer = None if api.tokenizer is None else local_path(api.tokenizer)
    return OpenAIFrontend(api, tokenizer)


def _engine(settings: EngineSettings) -> OpenAIEngine:
    from raypipe.engines.openai.engine import OpenAIEngine

    api: ApiConfig = settings.model.options
    folders = settings.folders
    if folders is None:
        raise ConfigError("engine openai needs folders for its cache and its accounts")
    return OpenAIEngine(
        settings.model.path,
        api=api,
        emotion_tokens=settings.emotion_tokens,
        cache=folders.in_output(_CACHE) if api.cache is None else folders.at(api.cache),
        ledger=folders.in_output(ACCOUNTS),
    )


def _faults(model: ModelSettings) -> Iterable[str]:
    """Of the tokenizer's files: of the model there is nothing but its name."""
    api: ApiConfig = model.options
    path = api.tokenizer
    if path is None:
        return ()
    return (f"model.api.tokenizer {path}: {fault}" for fault in tokenizer_faults(local_path(path)))


def _capabilities_of(model: ModelSettings) -> Capabilities:
    return capabilities_of(model.options)


def _refuse(model: ModelSettings, demand: Demand) -> None:
    check_run(model.options, demand)


def _facts(model: ModelSettings) -> Mapping[str, str]:
    api: ApiConfig = model.options
    endpoint = endpoint_of(api)
    return {"endpoint": f"{api.preset}, {endpoint.base_url}"}


def _spending(model: ModelSettings, asked: Sequence[tuple[Search, str]]) -> Spending:
    """Of text as four characters to a token; what a second of audio takes, endpoints alone know."""
    api: ApiConfig = model.options
    endpoint = endpoint_of(api)
    requests = output = text = 0
    for search, prompt in asked:
        sent = search.greedy + -(-search.beam_count // endpoint.candidates)
        requests += sent
        text += sent * -(-len(prompt) // _CHARACTERS_OF_A_TOKEN)
        output += search.lane_count * (search.max_new_tokens + endpoint.reasoning_tokens)
    cost = None if api.prices is None else cost_of(Tokens(text, 0, output), api.prices)
    return Spending(requests, output, text, cost)


def _fingerprint_of(model: ModelSettings) -> str:
    """The model's name, which is all that an endpoint says, and its assumed abilities.

    The latter decides how it is asked.
    """
    endpoint = dataclasses.asdict(endpoint_of(model.options))
    del endpoint["base_url"], endpoint["key_variable"]
    return f"{model.path}@{json.dumps(endpoint, sort_keys=True)}"


def _usage(folders: Folders) -> Usage:
    return read_usage(folders.in_output(ACCOUNTS))


PLUGIN = EnginePlugin(
    frontend=_frontend,
    engine=_engine,
    capabilities=Capabilities(
        beams=False,
        emotion_logits=False,
        token_logprobs=True,
        samples=True,
        more=frozenset({"emotion_logprobs"}),
    ),
    options=ApiConfig,
    capabilities_of=_capabilities_of,
    grammars=("json_schema",),
    faults=_faults,
    facts=_facts,
    spending=_spending,
    also_refuse=_refuse,
    fingerprint_of=_fingerprint_of,
    loads_path=False,
    batched=False,
    packages=("openai",),
    usage=_usage,
)
