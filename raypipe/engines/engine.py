"""The object that an engine is to raypipe: two halves, capabilities, options, identity.

The built-in engines are objects of the same class as those that other packages bring;
:mod:`raypipe.engines.plugins` finds both by name. Nothing here imports a back end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from raypipe.config import checked
from raypipe.config.engine_options import PluginOptions
from raypipe.engines.fingerprint import files_digest
from raypipe.engines.memory import MemoryNeed
from raypipe.errors import ConfigError
from raypipe.protocols import CAPABILITY_WORDS, Capabilities, Demand, Engine, Frontend
from raypipe.records import (
    AskedPenalties,
    ClipPlace,
    EmotionTokens,
    GrammarKind,
    Sampling,
    Search,
    TextScores,
)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The ``model`` section of a config, as an engine gets it.

    Attributes:
        path: a file or folder, or a hub id; the model's name where the engine asks a service.
        options: the engine's own, checked.
        revision: commit of a hub id.
        dtype: arithmetic of the weights: ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto``, ``cpu`` or ``cuda``.
        trust_remote_code: whether code that comes with the model may be run.
        ignore_generation_config: take no penalty from the checkpoint's generation config, and run
            although it asks for what this search does not do.
        penalties: of every search; ``checkpoint`` for what its generation config asks for.
        files: text that changes with the files of ``path``, where that is known without reading
            them; some may then not be there before the engine is made.
        adapter: folder of a LoRA adapter that is merged into the weights; None for none.
    """

    path: str
    options: Any
    revision: str | None
    dtype: str
    device: str
    trust_remote_code: bool
    ignore_generation_config: bool = False
    penalties: AskedPenalties = "checkpoint"
    files: str | None = None
    adapter: str | None = None


class Folder(Protocol):
    """A folder or object-storage prefix, as :class:`raypipe.store.location.Location` is one."""

    def list(self, suffix: str) -> list[str]:
        """Names of the objects that end in ``suffix``."""
        ...

    def read(self, name: str) -> bytes:
        """A whole object; ObjectMissingError if there is none."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Publish an object in one step unless the name is taken; whether this call did it."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Publish an object in one step, in place of what the name held."""
        ...


class Folders(Protocol):
    """Folders in which an engine of a run may keep files."""

    def in_output(self, name: str) -> Folder:
        """A folder of the run's own, beside its tables."""
        ...

    def at(self, uri: str) -> Folder:
        """Any other folder: a path or an ``s3://`` prefix."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything that an engine gets of a run, but the search, which comes with every call.

    Attributes:
        model: the same that the frontend got.
        emotion_tokens: what the frontend said; their logits are recorded at every step.
        batch_size: most utterances to decode together.
        threads: of this process; None on a GPU, for the back end's own choice.
        searches: all that the engine will be called with, for those that plan their memory.
        cuda_graphs: whether decode steps are captured; None for wherever there is a GPU.
        fused: whether layers are replaced by fused ones; None for wherever there is a GPU.
        folders: where it may keep things; None outside of a run.
    """

    model: ModelSettings
    emotion_tokens: EmotionTokens
    batch_size: int
    threads: int | None
    searches: Sequence[Search] = ()
    cuda_graphs: bool | None = None
    fused: bool | None = None
    folders: Folders | None = None


@dataclass(slots=True)
class Usage:
    """Requests, tokens and cost of a run at a service.

    Attributes:
        requests: sent, repetitions included.
        cached: answers that came from the cache instead.
        prompt_tokens: of answered requests, audio included.
        audio_tokens: of them, those of audio.
        output_tokens: thoughts included.
        cost: in the currency of the prices; 0 without prices.
    """

    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    audio_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Spending:
    """What a service is asked about one utterance, before it was asked.

    Attributes:
        requests: without repetitions.
        output_tokens: most that all answers together can hold.
        text_tokens: of all prompts together, an estimate; audio comes on top.
        cost: of both, in the currency of the prices, without the audio; None without prices.
    """

    requests: int
    output_tokens: int
    text_tokens: int
    cost: float | None


def loads_nothing_else(options: Any) -> Sequence[str]:
    """No files beside the model's."""
    return ()


def finds_no_faults(settings: ModelSettings) -> Iterable[str]:
    """No faults: nothing is known of the files."""
    return ()


def has_no_facts(settings: ModelSettings) -> Mapping[str, str]:
    """No facts: nothing is known of the model."""
    return {}


def refuses_nothing(settings: ModelSettings, demand: Demand) -> None:
    """No refusal beyond what the capabilities say."""


@dataclass(frozen=True, slots=True)
class EnginePlugin:
    """An engine for raypipe: the two halves of :mod:`raypipe.protocols` and what they offer.

    Attributes:
        frontend: makes the CPU half; it runs where there is no accelerator and loads no weights.
        engine: makes the accelerator half, weights and all.
        capabilities: what the engine gives, known before it is loaded: strategies that need more
            are refused at the door.
        options: what the config's ``model.options`` may hold.
        also_loads: from the checked options, the files and folders it loads beside ``model.path``,
            so that two models are never taken for one.
        capabilities_of: what it gives under some settings, where that is not always the same;
            ``capabilities`` is then the most of it.
        grammars: the kinds of grammar that it holds answers to, the preferred one first.
        penalises: whether its searches apply ``ModelSettings.penalties``.
        adapts: whether it merges ``ModelSettings.adapter`` into the weights.
        gpu_dtype: arithmetic on a GPU where the run names none; None for float32.
        memory_need: of its GPU's memory, from the settings, tokens of the longest prompt and all
            requests; None for an engine that plans its memory itself.
        bring_weights: fetches the weights of a hub id to this machine, or refuses them; None for an
            engine that does so when it is made, and says so itself.
        refuse_plain_turn: raises ConfigError for a model that has no plain turn; None for an
            engine that asks in a chat's turns only.
        refuse_clip_place: raises ConfigError for a place that a model's chat template does not put
            its clip in; None for an engine that lets no prompt choose.
        faults: what the files of a model tell that it cannot be loaded, one line each, the first
            to begin with; found in seconds and before anything else is done with it.
        facts: what its small files tell of a model in words, by what it is: family, decoder …
        spending: what a service is asked about one utterance, from the settings and every search
            with the text of its prompt; None for an engine that asks none.
        also_refuse: raises ConfigError for what it cannot do, before its capabilities are looked
            at.
        fingerprint_of: what tells its models apart; None for the files of ``model.path`` and
            ``also_loads``, and the options' identity.
        loads_path: ``model.path`` is a file, folder or hub id; False for a name at a service.
        batched: utterances are decoded together, so that an answer might depend on its neighbours.
        packages: further packages whose versions can change an answer.
        usage: what a run has spent so far; None for an engine that spends nothing.
    """

    frontend: Callable[[ModelSettings], Frontend[Any]]
    engine: Callable[[EngineSettings], Engine[Any]]
    capabilities: Capabilities
    options: type[PluginOptions] = PluginOptions
    also_loads: Callable[[Any], Sequence[str]] = loads_nothing_else
    capabilities_of: Callable[[ModelSettings], Capabilities] | None = None
    grammars: tuple[GrammarKind, ...] = ()
    penalises: bool = False
    adapts: bool = False
    gpu_dtype: Callable[[ModelSettings], str] | None = None
    memory_need: (
        Callable[[ModelSettings, int, Sequence[Search | Sampling | TextScores]], MemoryNeed] | None
    ) = None
    bring_weights: Callable[[ModelSettings], object] | None = None
    refuse_plain_turn: Callable[[ModelSettings], None] | None = None
    refuse_clip_place: Callable[[ModelSettings, ClipPlace], None] | None = None
    faults: Callable[[ModelSettings], Iterable[str]] = finds_no_faults
    facts: Callable[[ModelSettings], Mapping[str, str]] = has_no_facts
    spending: Callable[[ModelSettings, Sequence[tuple[Search, str]]], Spending] | None = None
    also_refuse: Callable[[ModelSettings, Demand], None] = refuses_nothing
    fingerprint_of: Callable[[ModelSettings], str] | None = None
    loads_path: bool = True
    batched: bool = True
    packages: tuple[str, ...] = ()
    usage: Callable[[Folders], Usage] | None = None

    def checked_options(self, options: dict[str, object]) -> PluginOptions:
        """The engine's options from a config's keys and values.

        Raises:
            ConfigError: one line per wrong option.
        """
        return checked(self.options, options, "model.options")

    def offered(self, settings: ModelSettings) -> Capabilities:
        """Capabilities of the engine under some settings."""
        return self.capabilities_of(settings) if self.capabilities_of else self.capabilities

    def fingerprint(self, settings: ModelSettings) -> str:
        """Text that differs between models that may answer differently."""
        if self.fingerprint_of is not None:
            return self.fingerprint_of(settings)
        loaded = [settings.files or files_digest(settings.path, settings.revision)]
        loaded += [files_digest(path, None) for path in self.also_loads(settings.options)]
        if settings.adapter is not None:
            loaded.append(f"adapter {files_digest(settings.adapter, None)}")
        identity = {"loaded": loaded, "options": settings.options.identity()}
        return json.dumps(identity, sort_keys=True)

    def check_run(self, engine: str, settings: ModelSettings, demand: Demand) -> None:
        """Refuse what the engine cannot give, before any work starts.

        Args:
            engine: its name, for messages.
            settings: of the model.
            demand: what the run asks of it.

        Raises:
            ConfigError: naming the strategies or the setting, and what they need.
        """
        self.also_refuse(settings, demand)
        given = self.offered(settings).given
        if not demand.greedy and "hypotheses" not in given:
            raise ConfigError(f"decoding.greedy: engine {engine} gives nothing but greedy answers")
        for capability, names in demand.requires.items():
            if capability not in given:
                raise ConfigError(
                    f"strategies {', '.join(names)} need "
                    f"{CAPABILITY_WORDS.get(capability, capability)}, which engine {engine} does "
                    "not give"
                )
        if "plain" in demand.turns:
            if self.refuse_plain_turn is None:
                raise ConfigError(
                    f"prompt.turn: plain: engine {engine} asks in a chat's turns only"
                )
            self.refuse_plain_turn(settings)
        for place in sorted(demand.clip_places):
            if self.refuse_clip_place is None:
                raise ConfigError(
                    f"prompt.clip: {place}: engine {engine} has its own place for the clip"
                )
            self.refuse_clip_place(settings, place)
        if settings.penalties != "checkpoint" and not self.penalises:
            raise ConfigError(f"decoding.penalties: engine {engine} applies none")
        self._check_grammar(engine, demand)

    def _check_grammar(self, engine: str, demand: Demand) -> None:
        grammar = demand.grammar
        if grammar is None:
            return
        if not self.grammars:
            raise ConfigError(f"decoding.grammar: engine {engine} knows no grammars")
        # The distribution over the labels can be written in every kind.
        if grammar != "distribution" and grammar.kind not in self.grammars:
            raise ConfigError(
                f"decoding.grammar: engine {engine} takes {', '.join(self.grammars)}, "
                f"not {grammar.kind}"
            )
