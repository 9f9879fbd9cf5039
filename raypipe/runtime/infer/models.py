"""Which model a run uses: found, told apart, and brought to life in a stage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raypipe.config import (
    BUILT_IN_ENGINES,
    BUNDLED_MODEL,
    GrammarConfig,
    ModelConfig,
    RunConfig,
)
from raypipe.config.api import ApiConfig
from raypipe.engines import load_engine, load_frontend
from raypipe.engines.contract import CheckedEngine, CheckedFrontend
from raypipe.engines.grammar import check_grammar, require_llguidance
from raypipe.engines.openai.presets import check_run, endpoint_of
from raypipe.engines.openai.usage import Usage, read_usage
from raypipe.engines.plugins import EnginePlugin, EngineSettings, ModelSettings, load_plugin
from raypipe.errors import ConfigError
from raypipe.grammars import grammar_of, users_grammar
from raypipe.labels import LabelSet
from raypipe.protocols import Engine, Frontend
from raypipe.records import EmotionTokens, Search
from raypipe.store.location import Location
from raypipe.strategies.shared import TOKEN_STEPS
from raypipe.tiny_alm import checkpoint_path


def model_path(model: ModelConfig) -> str:
    """Where the model lies: the bundled one's folder, or the path or hub id as given.

    Every process asks for itself: the package may lie elsewhere on another machine.
    """
    return _resolved(model.path)


def _resolved(path: str) -> str:
    return str(checkpoint_path()) if path == BUNDLED_MODEL else path


def make_frontend(model: ModelConfig) -> Frontend[Any]:
    """The CPU half of the run's engine."""
    if model.api is not None:
        tokenizer = None if model.api.tokenizer is None else _resolved(model.api.tokenizer)
        return load_frontend(model.engine)(model.api, tokenizer)
    if model.is_plugin:
        plugin, settings = _plugin(model)
        return CheckedFrontend(model.engine, plugin.frontend(settings))
    frontend: Frontend[Any] = load_frontend(model.engine)(
        model_path(model), revision=model.revision, trust_remote_code=model.trust_remote_code
    )
    return frontend


def main_search(config: RunConfig, labels: LabelSet) -> Search:
    """What is looked for in the answers to the run's own prompt."""
    decoding = config.decoding
    grammar = grammar_of(decoding.grammar, labels, config.model.engine)
    return Search(decoding.beam_count, decoding.greedy, decoding.max_new_tokens, grammar)


def make_engine(
    config: RunConfig, emotion_tokens: EmotionTokens, searches: Sequence[Search]
) -> Engine[Any]:
    """The accelerator half of the run's engine, weights and all."""
    model, resources = config.model, config.resources
    if model.api is not None:
        return _make_api_engine(config, model.api, emotion_tokens)
    if model.is_plugin:
        return _make_plugin_engine(config, emotion_tokens)
    own_settings: dict[str, Any] = (
        {"vllm": model.vllm, "searches": searches}
        if model.engine == "vllm"
        else {"cuda_graphs": resources.cuda_graphs}
    )
    engine: Engine[Any] = load_engine(model.engine)(
        model_path(model),
        revision=model.revision,
        emotion_tokens=emotion_tokens,
        batch_size=resources.batch_size,
        device=model.device,
        dtype=model.dtype,
        threads=_threads(config),
        trust_remote_code=model.trust_remote_code,
        ignore_generation_config=model.ignore_generation_config,
        **own_settings,
    )
    return engine


def _threads(config: RunConfig) -> int | None:
    resources = config.resources
    if resources.threads_per_actor is None and resources.gpus_per_actor == 0:
        return max(1, (os.cpu_count() or 1) // resources.actors)
    return resources.threads_per_actor


def _plugin(model: ModelConfig) -> tuple[EnginePlugin, ModelSettings]:
    """A plug-in and its settings; ConfigError if it is not installed or refuses its options."""
    plugin = load_plugin(model.engine, BUILT_IN_ENGINES)
    settings = ModelSettings(
        path=model_path(model),
        options=plugin.checked_options(model.options),
        revision=model.revision,
        dtype=model.dtype,
        device=model.device,
        trust_remote_code=model.trust_remote_code,
    )
    return plugin, settings


def _make_plugin_engine(config: RunConfig, emotion_tokens: EmotionTokens) -> Engine[Any]:
    plugin, model = _plugin(config.model)
    settings = EngineSettings(model, emotion_tokens, config.resources.batch_size, _threads(config))
    recorded = len(emotion_tokens.token_ids)
    return CheckedEngine(
        config.model.engine, plugin.engine(settings), recorded, beams=plugin.gives_beams
    )


def _make_api_engine(
    config: RunConfig, api: ApiConfig, emotion_tokens: EmotionTokens
) -> Engine[Any]:
    endpoint, output = (
        config.storage.endpoint,
        Location.parse(config.output, config.storage.endpoint),
    )
    cache = output.child("api_cache") if api.cache is None else Location.parse(api.cache, endpoint)
    return load_engine(config.model.engine)(
        config.model.path,
        api=api,
        emotion_tokens=emotion_tokens,
        cache=cache,
        ledger=output.child(API_USAGE),
    )


API_USAGE = "api_usage"
"""Where a run's accounts of requests and costs lie in its output."""


def api_usage(tables: Location) -> Usage:
    """What a run has asked an endpoint for, over all its attempts."""
    return read_usage(tables.child(API_USAGE))


def check_engine(config: RunConfig, emotion_tokens: EmotionTokens) -> None:
    """Refuse what the engine cannot give, before any work starts.

    Raises:
        ConfigError: naming the setting, what it needs and what is offered.
    """
    grammar = config.decoding.grammar
    if config.model.api is not None:
        check_run(
            config.model.api,
            config.used_strategies,
            config.settings[TOKEN_STEPS],
            emotion_tokens,
            text_only=all(prompt.is_text_only for prompt in config.all_prompts),
            grammar=grammar,
        )
    elif config.model.is_plugin:
        plugin, _ = _plugin(config.model)
        plugin.check_run(config.model.engine, config.used_strategies, greedy=config.decoding.greedy)
        if grammar is not None:
            raise ConfigError(f"decoding.grammar: engine {config.model.engine} knows no grammars")
    elif grammar is not None:
        require_llguidance()
        if isinstance(grammar, GrammarConfig):
            check_grammar(users_grammar(grammar))


def model_fingerprint(model: ModelConfig) -> str:
    """SHA-256 that tells a local model's files apart; a hub id with its revision otherwise.

    An endpoint tells no more of its model than the name; what it is taken to be able to do counts
    too, as it decides how it is asked. A plug-in's options count, with the files they name.

    Small files count whole. Of large weight files the size, the header and evenly spaced samples
    count: hashing 15 GB would delay every start by a minute.
    """
    if model.api is not None:
        endpoint = dataclasses.asdict(endpoint_of(model.api))
        del endpoint["base_url"], endpoint["key_variable"]
        return f"{model.path}@{json.dumps(endpoint, sort_keys=True)}"
    if model.is_plugin:
        plugin, settings = _plugin(model)
        loaded = [_digest_of(settings.path, model.revision)]
        loaded += [_digest_of(path, None) for path in plugin.also_loads(settings.options)]
        options = settings.options.model_dump(mode="json")
        return json.dumps({"loaded": loaded, "options": options}, sort_keys=True)
    return _digest_of(model_path(model), model.revision)


def _digest_of(path: str, revision: str | None) -> str:
    """Of a file, or of a folder with what is below it; the words themselves of a hub id."""
    place = Path(path)
    if not place.exists():
        return f"{path}@{revision}"
    digest = hashlib.sha256()
    for name, file in [(place.name, place)] if place.is_file() else _files_below(place):
        digest.update(f"{name}:{file.stat().st_size}\n".encode())
        _update_with_file(digest, file)
    return digest.hexdigest()


def _files_below(folder: Path) -> list[tuple[str, Path]]:
    """Relative names and paths of a model's files: not its texts, nor what tools keep there."""
    named = [
        (path.relative_to(folder), path)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".md"
    ]
    return sorted(
        (name.as_posix(), path)
        for name, path in named
        if not any(part.startswith(".") or part == "__pycache__" for part in name.parts[:-1])
    )


_WHOLE_FILE_BYTES = 64 << 20
_SAMPLE_BYTES, _SAMPLES = 64 << 10, 256


def _update_with_file(digest: Any, file: Path) -> None:
    size = file.stat().st_size
    if size <= _WHOLE_FILE_BYTES:
        digest.update(file.read_bytes())
        return
    with file.open("rb") as stream:
        for sample in range(_SAMPLES):
            stream.seek(sample * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE_BYTES))
