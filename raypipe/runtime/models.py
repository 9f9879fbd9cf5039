"""Which model a run uses: found, told apart, and brought to life in a stage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raypipe.api_config import ApiConfig
from raypipe.config import BUNDLED_MODEL, GrammarConfig, ModelConfig, RunConfig
from raypipe.engines import load_engine, load_frontend
from raypipe.engines.grammar import check_grammar, require_llguidance
from raypipe.engines.openai.presets import check_run, endpoint_of
from raypipe.engines.openai.usage import Usage, read_usage
from raypipe.grammars import grammar_of, users_grammar
from raypipe.labels import LabelSet
from raypipe.protocols import Engine, Frontend
from raypipe.records import EmotionTokens, Search
from raypipe.store.location import Location
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
    threads = resources.threads_per_actor
    if threads is None and resources.gpus_per_actor == 0:
        threads = max(1, (os.cpu_count() or 1) // resources.actors)
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
        threads=threads,
        trust_remote_code=model.trust_remote_code,
        ignore_generation_config=model.ignore_generation_config,
        **own_settings,
    )
    return engine


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
            config.strategies,
            config.aggregation.token_steps,
            emotion_tokens,
            grammar,
        )
    elif grammar is not None:
        require_llguidance()
        if isinstance(grammar, GrammarConfig):
            check_grammar(users_grammar(grammar))


def model_fingerprint(model: ModelConfig) -> str:
    """SHA-256 that tells a local model's files apart; a hub id with its revision otherwise.

    An endpoint tells no more of its model than the name; what it is taken to be able to do counts
    too, as it decides how it is asked.

    Small files count whole. Of large weight files the size, the header and evenly spaced samples
    count: hashing 15 GB would delay every start by a minute.
    """
    if model.api is not None:
        endpoint = dataclasses.asdict(endpoint_of(model.api))
        del endpoint["base_url"], endpoint["key_variable"]
        return f"{model.path}@{json.dumps(endpoint, sort_keys=True)}"
    folder = Path(model_path(model))
    if not folder.is_dir():
        return f"{model.path}@{model.revision}"
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix != ".md":
            digest.update(f"{file.name}:{file.stat().st_size}\n".encode())
            _update_with_file(digest, file)
    return digest.hexdigest()


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
