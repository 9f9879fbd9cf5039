"""Engines that other installed packages offer, for models that need loaders of their own.

A package names an :class:`EnginePlugin` in the entry point group :data:`GROUP`; the entry point's
name is what a config calls ``model.engine``. The README shows a whole package.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from raypipe.config import checked
from raypipe.errors import ConfigError
from raypipe.protocols import Capabilities, Engine, Frontend
from raypipe.records import EmotionTokens

GROUP = "raypipe.engines"


class PluginOptions(BaseModel):
    """Base of what a plug-in takes in ``model.options``: frozen, unknown keys refused.

    Every option makes another run, unless it is a ``Field(exclude=True)``: say so of those that
    cannot change an answer. Options stand in ``run.json``; secrets belong in the environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The ``model`` section of a config, as a plug-in's frontend gets it.

    Attributes:
        path: a file or folder, or a hub id.
        options: the plug-in's own, checked.
        revision: commit of a hub id.
        dtype: arithmetic of the weights: ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto``, ``cpu`` or ``cuda``.
        trust_remote_code: whether code that comes with the model may be run.
    """

    path: str
    options: Any
    revision: str | None
    dtype: str
    device: str
    trust_remote_code: bool


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a plug-in's engine gets; what to look for comes with every call.

    Attributes:
        model: the same that the frontend got.
        emotion_tokens: what the frontend said; their logits are recorded at every step.
        batch_size: most utterances to decode together.
        threads: of this process; None on a GPU, for the back end's own choice.
    """

    model: ModelSettings
    emotion_tokens: EmotionTokens
    batch_size: int
    threads: int | None


def _nothing_else(options: Any) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class EnginePlugin:
    """An engine for raypipe: the two halves of :mod:`raypipe.protocols` and what they offer.

    Attributes:
        frontend: makes the CPU half; it runs where there is no accelerator and loads no weights.
        engine: makes the accelerator half, weights and all.
        capabilities: what the engine gives, known before it is loaded: strategies that need more
            are refused at the door.
        options: what the config's ``model.options`` may hold.
        samples: its beams are samples; not needed where ``capabilities.beams`` is true. An engine
            with neither is only asked for greedy answers.
        also_loads: from the checked options, the files and folders it loads beside ``model.path``,
            so that two models are never taken for one.
    """

    frontend: Callable[[ModelSettings], Frontend[Any]]
    engine: Callable[[EngineSettings], Engine[Any]]
    capabilities: Capabilities
    options: type[PluginOptions] = PluginOptions
    samples: bool = False
    also_loads: Callable[[Any], Sequence[str]] = _nothing_else

    def checked_options(self, options: dict[str, Any]) -> PluginOptions:
        """The plug-in's options from a config's keys and values.

        Raises:
            ConfigError: one line per wrong option.
        """
        return checked(self.options, options, "model.options")

    def check_run(self, engine: str, strategies: Sequence[str], *, greedy: bool) -> None:
        """Refuse what the engine cannot give.

        Args:
            engine: its name.
            strategies: what is to be computed.
            greedy: whether the greedy hypothesis is asked for.

        Raises:
            ConfigError: naming the strategies and what they need.
        """
        if not greedy and not self.gives_beams:
            raise ConfigError(f"decoding.greedy: engine {engine} gives nothing but greedy answers")
        needs = {
            "raw logits of emotion tokens": ("token", "token_softmax"),
            "log-probabilities": ("bon",),
            "several hypotheses": ("bon", "w_bon", "alm_v", "w_alm_v"),
        }
        given = {
            "raw logits of emotion tokens": self.capabilities.emotion_logits,
            "log-probabilities": self.capabilities.token_logprobs,
            "several hypotheses": self.gives_beams,
        }
        for need, names in needs.items():
            refused = [name for name in strategies if name in names and not given[need]]
            if refused:
                raise ConfigError(
                    f"strategies {', '.join(refused)} need {need}, which engine {engine} does not "
                    "give"
                )

    @property
    def gives_beams(self) -> bool:
        """Whether there are hypotheses beside the greedy one."""
        return self.capabilities.beams or self.samples


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """Who offers an engine, as the package's metadata say; nothing of it is imported.

    Attributes:
        engine: name for ``model.engine``.
        package: that offers it.
        summary: the package's own words.
    """

    engine: str
    package: str
    version: str
    summary: str
    entry_point: importlib.metadata.EntryPoint


def installed_plugins() -> tuple[InstalledPlugin, ...]:
    """All plug-ins in this process's environment, by name."""
    found = []
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        package = entry_point.dist
        assert package is not None  # it was found in one
        summary = str(package.metadata.json.get("summary", ""))
        found.append(
            InstalledPlugin(entry_point.name, package.name, package.version, summary, entry_point)
        )
    return tuple(sorted(found, key=lambda one: (one.engine, one.package)))


def find_plugin(engine: str) -> InstalledPlugin | None:
    """The package that offers an engine, or None.

    Raises:
        ConfigError: if several packages offer it.
    """
    found = [one for one in installed_plugins() if one.engine == engine]
    if len(found) > 1:
        packages = ", ".join(one.package for one in found)
        raise ConfigError(f"model.engine: {engine!r} is offered by several packages: {packages}")
    return found[0] if found else None


def load_plugin(engine: str, built_in: Sequence[str] = ()) -> EnginePlugin:
    """Import the plug-in behind an engine's name.

    Args:
        engine: its name.
        built_in: names to list beside the installed ones in an error.

    Raises:
        ConfigError: if no package offers it here, or what it offers cannot be used.
    """
    found = find_plugin(engine)
    if found is None:
        names = [*built_in, *(one.engine for one in installed_plugins())]
        raise ConfigError(
            f"model.engine: unknown engine {engine!r}; known here: {', '.join(names)}. Other "
            f"engines come with packages that offer them in the entry point group {GROUP}"
        )
    where = f"engine {engine} of package {found.package} {found.version}"
    try:
        plugin = found.entry_point.load()
    except Exception as error:  # somebody else's module may fail in any way when it is imported
        raise ConfigError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(plugin, EnginePlugin):
        kind = type(plugin).__name__
        raise ConfigError(f"{where}: {found.entry_point.value} is a {kind}, not an EnginePlugin")
    return plugin
