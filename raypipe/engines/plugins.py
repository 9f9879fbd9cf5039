"""Finding engines by name: the built-in ones and those that other installed packages offer.

A package names an :class:`EnginePlugin` in the entry point group :data:`GROUP`; the entry point's
name is what a config calls ``model.engine``. What such a package has to import is offered here.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raypipe.config.engine_options import PluginOptions
from raypipe.engines.engine import EnginePlugin, EngineSettings, ModelSettings
from raypipe.engines.lazy import load_object
from raypipe.errors import ConfigError

__all__ = [
    "BUILT_IN",
    "GROUP",
    "EnginePlugin",
    "EngineSettings",
    "InstalledPlugin",
    "ModelSettings",
    "PluginOptions",
    "engine_packages",
    "find_plugin",
    "installed_plugins",
    "load_plugin",
]

GROUP = "raypipe.engines"

BUILT_IN: Mapping[str, str] = {
    "transformers": "raypipe.engines.transformers_plugin:PLUGIN",
    "vllm": "raypipe.engines.vllm.plugin:PLUGIN",
    "openai": "raypipe.engines.openai.plugin:PLUGIN",
}
"""Where the object of each engine of raypipe's own stands, as ``module:name``."""


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A package that offers an engine, as its metadata say; nothing of it is imported.

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
    """Engines of other packages in this process's environment, by name."""
    plugins = []
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        package = entry_point.dist
        assert package is not None  # an entry point stands in one
        summary = str(package.metadata.json.get("summary", ""))
        plugins.append(
            InstalledPlugin(entry_point.name, package.name, package.version, summary, entry_point)
        )
    return tuple(sorted(plugins, key=lambda plugin: (plugin.engine, plugin.package)))


def find_plugin(engine: str) -> InstalledPlugin | None:
    """The package that offers an engine, or None.

    Raises:
        ConfigError: if several packages offer it.
    """
    offers = [plugin for plugin in installed_plugins() if plugin.engine == engine]
    if len(offers) > 1:
        packages = ", ".join(plugin.package for plugin in offers)
        raise ConfigError(f"model.engine: {engine!r} is offered by several packages: {packages}")
    return offers[0] if offers else None


def load_plugin(engine: str) -> EnginePlugin:
    """The object behind an engine's name; of a package, its module is imported now.

    Raises:
        ConfigError: if nobody offers it here or several do, or what is offered cannot be used.
    """
    offer = find_plugin(engine)
    if engine in BUILT_IN:
        if offer is not None:
            raise ConfigError(
                f"model.engine: {engine!r} is raypipe's own, and offered by package "
                f"{offer.package}, too"
            )
        built_in: EnginePlugin = load_object(BUILT_IN[engine])
        return built_in
    if offer is None:
        names = [*BUILT_IN, *(plugin.engine for plugin in installed_plugins())]
        raise ConfigError(
            f"model.engine: unknown engine {engine!r}; known here: {', '.join(names)}. Other "
            f"engines come with packages that offer them in the entry point group {GROUP}"
        )
    where = f"engine {engine} of package {offer.package} {offer.version}"
    try:
        plugin = offer.entry_point.load()
    except Exception as error:  # somebody else's module may fail in any way when it is imported
        raise ConfigError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(plugin, EnginePlugin):
        kind = type(plugin).__name__
        raise ConfigError(f"{where}: {offer.entry_point.value} is a {kind}, not an EnginePlugin")
    return plugin


def engine_packages(engines: Sequence[str]) -> tuple[str, ...]:
    """Names of the packages whose versions can change an answer of some engines.

    Raises:
        ConfigError: as :func:`load_plugin`.
    """
    packages: list[str] = []
    for engine in engines:
        offer = find_plugin(engine)
        packages += [] if offer is None else [offer.package]
        packages += load_plugin(engine).packages
    return tuple(dict.fromkeys(packages))
