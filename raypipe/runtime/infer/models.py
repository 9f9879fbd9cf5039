"""The engines of a run: found by name, fingerprinted, checked against the run and loaded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from raypipe.config import AskedGrammar, ModelConfig, RunConfig, StorageConfig
from raypipe.config.model import local_path
from raypipe.engines.contract import CheckedEngine, CheckedFrontend
from raypipe.engines.engine import EnginePlugin, EngineSettings, ModelSettings
from raypipe.engines.plugins import load_plugin
from raypipe.errors import ConfigError
from raypipe.grammars import grammar_of, users_grammar
from raypipe.labels import LabelSet
from raypipe.protocols import Demand
from raypipe.questions import question_named
from raypipe.records import NO_PENALTIES, AskedPenalties, EmotionTokens, Grammar, Penalties, Search
from raypipe.runtime.infer.fetching import fetched, fetched_adapter, is_stored
from raypipe.store.location import Location
from raypipe.store.patience import has_answered, storage_patience, with_patience
from raypipe.strategies import Strategy, strategy_named
from raypipe.strategies.shared import TOKEN_STEPS


def engine_of(
    model: ModelConfig, penalties: AskedPenalties = "checkpoint", *, weights: bool = False
) -> tuple[EnginePlugin, ModelSettings]:
    """A model's engine and what that gets of the config.

    Args:
        model: its section of the config.
        penalties: of its searches, as :func:`penalties_of` takes them from the config.
        weights: of a model in object storage, bring these to this machine, not its small files
            alone.

    Raises:
        ConfigError: if the engine is not installed or refuses its options.
        StoreError: if a model in object storage cannot be fetched.
    """
    plugin = load_plugin(model.engine)
    path, files = model.path, None
    if plugin.loads_path and is_stored(path):
        stored = fetched(path, model.endpoint, weights=weights)
        path, files = str(stored.folder), stored.digest
    adapter = model.adapter
    if adapter is not None and not plugin.adapts:
        raise ConfigError(f"model.adapter: engine {model.engine} takes none")
    if adapter is not None and is_stored(adapter):
        adapter = str(fetched_adapter(adapter, model.endpoint))
    settings = ModelSettings(
        path=local_path(path) if plugin.loads_path else path,
        files=files,
        options=plugin.checked_options(model.engine_options),
        revision=model.revision,
        dtype=model.dtype,
        device=model.device,
        trust_remote_code=model.trust_remote_code,
        ignore_generation_config=model.ignore_generation_config,
        penalties=penalties,
        adapter=adapter,
    )
    return plugin, settings


def penalties_of(config: RunConfig) -> AskedPenalties:
    """What the run's searches hold against tokens beside the model's own probabilities."""
    asked = config.decoding.penalties
    if asked == "checkpoint":
        return "checkpoint"
    return NO_PENALTIES if asked == "none" else Penalties(asked.repetition_penalty)


def bring_weights(config: RunConfig) -> None:
    """Bring the weights of a run's models to this machine, and show how far that is.

    Raises:
        EngineError: if they are none that the engine reads.
        StoreError: if a model in object storage cannot be fetched.
    """
    for model in config.loaded_models:
        plugin, settings = engine_of(model, weights=True)
        if plugin.bring_weights is not None:
            plugin.bring_weights(settings)


def faults_of(config: RunConfig) -> Iterator[str]:
    """What the files of the run's models tell that these cannot be loaded, one line each."""
    for model in config.loaded_models:
        plugin, settings = engine_of(model, penalties_of(config))
        for fault in plugin.faults(settings):
            yield f"model {model.path}: {fault}"


def check_files(config: RunConfig) -> None:
    """Refuse a run with a model that cannot be loaded, as far as its files tell.

    Raises:
        ConfigError: in one line.
    """
    for fault in faults_of(config):
        raise ConfigError(fault)


@contextmanager
def models_awaited(config: RunConfig) -> Iterator[None]:
    """Context of a worker, in which the storage of the run's models is waited for.

    That it is there is known: the plan has read it.
    """
    for model in config.loaded_models:
        if is_stored(model.path):
            has_answered(model.endpoint)
    with storage_patience(config.storage.patience_s):
        yield


def make_frontend(model: ModelConfig) -> CheckedFrontend:
    """The CPU half of a model's engine."""
    plugin, settings = engine_of(model)
    return CheckedFrontend(model.engine, plugin.frontend(settings))


def grammar_for(config: RunConfig, labels: LabelSet) -> Grammar | None:
    """What the run's engine holds answers to; None for anything."""
    asked = config.decoding.grammar
    kinds = () if asked is None else load_plugin(config.model.engine).grammars
    return grammar_of(asked, labels, kinds)


def main_search(config: RunConfig, labels: LabelSet) -> Search:
    """What is looked for in the answers to the run's own prompt."""
    decoding, grammar = config.decoding, grammar_for(config, labels)
    return Search(decoding.beam_count, decoding.greedy, decoding.max_new_tokens, grammar)


@with_patience
def make_engine(
    config: RunConfig, emotion_tokens: EmotionTokens, searches: Sequence[Search]
) -> CheckedEngine:
    """The accelerator half of the run's engine, weights and all."""
    plugin, model = engine_of(config.model, penalties_of(config), weights=True)
    settings = EngineSettings(
        model=model,
        emotion_tokens=emotion_tokens,
        batch_size=config.resources.rows,
        threads=_threads(config),
        searches=tuple(searches),
        cuda_graphs=config.resources.cuda_graphs,
        fused=config.resources.fused,
        folders=RunFolders(config.output, config.storage),
    )
    return CheckedEngine(
        config.model.engine,
        plugin.engine(settings),
        len(emotion_tokens.token_ids),
        several="hypotheses" in plugin.offered(model).given,
    )


def _threads(config: RunConfig) -> int | None:
    resources = config.resources
    if resources.threads_per_actor is None and resources.gpus == 0:
        # Of auto there is one on every machine.
        actors = 1 if resources.actors == "auto" else resources.actors
        return max(1, (os.cpu_count() or 1) // actors)
    return resources.threads_per_actor


@dataclass(frozen=True, slots=True)
class RunFolders:
    """Where the engines of a run may keep things.

    Attributes:
        output: path or URI of the run's tables.
        storage: how the object storage is reached.
    """

    output: str
    storage: StorageConfig

    def in_output(self, name: str) -> Location:
        """A folder beside the run's tables."""
        return self.at(self.output).child(name)

    def at(self, uri: str) -> Location:
        """Any other folder: a path or an ``s3://`` prefix."""
        with storage_patience(self.storage.patience_s):
            return Location.parse(uri, self.storage.endpoint)


def run_usage(*configs: RunConfig) -> dict[str, object] | None:
    """What a job has asked services for, over all its attempts; None if none of its engines does.

    All engines of a job that ask services keep one account, in the job's output.

    Args:
        configs: runs under which its models are asked.
    """
    for config in configs:
        folders = RunFolders(config.output, config.storage)
        for model in (*config.all_models, config.as_verifier().model):
            plugin = load_plugin(model.engine)
            if plugin.usage is not None:
                return dataclasses.asdict(plugin.usage(folders))
    return None


def demand_of(config: RunConfig, emotion_tokens: EmotionTokens) -> Demand:
    """What a run asks of its engine."""
    decoding = config.decoding
    requires: dict[str, list[str]] = {}
    for name in config.used_strategies:
        strategy = strategy_named(name)
        if isinstance(strategy, Strategy):
            needed = [
                *sorted(strategy.requires),  # what the strategy itself lacks is said first
                *(
                    capability
                    for question in strategy.asked(config.offered_questions)
                    for capability in sorted(question_named(question).requires)
                ),
            ]
            for capability in dict.fromkeys(needed):
                requires.setdefault(capability, []).append(name)
    for question in config.questions:
        for capability in question_named(question).requires:
            requires.setdefault(capability, []).append(question)
    counts = (decoding.beam_count, *decoding.other_beam_counts)
    return Demand(
        requires={capability: tuple(names) for capability, names in requires.items()},
        greedy=decoding.greedy,
        beam_counts=tuple(count for count in counts if count),
        grammar=_demanded_grammar(decoding.grammar),
        token_steps=config.settings[TOKEN_STEPS],
        text_only=all(prompt.is_text_only for prompt in config.all_prompts),
        turns=frozenset(prompt.turn for prompt in config.all_prompts),
        clip_places=frozenset(prompt.clip for prompt in config.all_prompts if prompt.clip),
        emotion_tokens=emotion_tokens,
    )


def _demanded_grammar(asked: AskedGrammar | None) -> Grammar | Literal["distribution"] | None:
    return asked if asked is None or asked == "distribution" else users_grammar(asked)


def check_engine(config: RunConfig, emotion_tokens: EmotionTokens) -> None:
    """Refuse what the engine cannot give, before any work starts.

    Raises:
        ConfigError: naming the setting, what it needs and what is offered.
    """
    plugin, settings = engine_of(config.model, penalties_of(config))
    plugin.check_run(config.model.engine, settings, demand_of(config, emotion_tokens))


def check_batches(model: ModelConfig) -> None:
    """Refuse a model whose engine answers every request by itself.

    Raises:
        ConfigError: if there are no batches that answers could depend on.
    """
    if not load_plugin(model.engine).batched:
        raise ConfigError(
            f"engine {model.engine} answers every request by itself; there is no batch to check"
        )


def model_fingerprint(model: ModelConfig) -> str:
    """Text that differs between models that may answer differently; see the engine's own."""
    plugin, settings = engine_of(model)
    return plugin.fingerprint(settings)
