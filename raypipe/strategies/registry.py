"""Every strategy and every setting by its name; packages bring further ones by entry point."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping

from raypipe.discovery import objects_in
from raypipe.errors import ConfigError, RegistryError, did_you_mean
from raypipe.questions import question_named
from raypipe.strategies.setting import Setting, SettingValue
from raypipe.strategies.strategy import AnyStrategy, Composite, Fitted, Strategy

GROUP = "raypipe.strategies"
"""Entry point group of other packages' strategies; an entry point has its strategy's name."""

_BROKEN: dict[str, str] = {}


def _installed() -> Mapping[str, AnyStrategy]:
    """Strategies of other packages; one that fails to import is reported when a config names it."""
    strategies: dict[str, AnyStrategy] = {}
    for entry_point in sorted(importlib.metadata.entry_points(group=GROUP)):
        package = entry_point.dist.name if entry_point.dist is not None else "no package"
        where = f"{entry_point.value} of package {package}"
        try:
            strategy = entry_point.load()
        except Exception as error:  # somebody else's module may fail in any way when imported
            _BROKEN[entry_point.name] = f"{where}: {type(error).__name__}: {error}"
            continue
        if not isinstance(strategy, Strategy | Composite | Fitted):
            _BROKEN[entry_point.name] = f"{where} is a {type(strategy).__name__}, no Strategy"
        elif strategy.name in strategies:
            raise RegistryError(f"strategy {strategy.name!r} is brought by two packages: {where}")
        else:
            strategies[strategy.name] = strategy
    return strategies


def _all_strategies() -> Mapping[str, AnyStrategy]:
    built_in: Mapping[str, AnyStrategy] = objects_in(
        "raypipe.strategies.catalogue", "STRATEGY", Strategy, Composite, Fitted
    )
    installed = _installed()
    for name in built_in.keys() & installed.keys():
        raise RegistryError(f"strategy {name!r} of another package has a built-in's name")
    every = sorted([*built_in.values(), *installed.values()], key=lambda item: item.rank)
    strategies = {strategy.name: strategy for strategy in every}
    for strategy in strategies.values():
        for question in strategy_questions(strategy):
            question_named(question)
    return strategies


def strategy_questions(strategy: AnyStrategy) -> tuple[str, ...]:
    """Names of all questions that a strategy by itself may read; none for one that reads others."""
    if not isinstance(strategy, Strategy):
        return ()
    return (*strategy.questions, *strategy.instead)


def _all_settings(strategies: Iterable[AnyStrategy]) -> Mapping[str, Setting[SettingValue]]:
    settings: dict[str, Setting[SettingValue]] = {}
    for strategy in strategies:
        for setting in strategy.settings:
            if settings.setdefault(setting.name, setting) is not setting:
                raise RegistryError(
                    f"strategy {strategy.name}: another setting is called {setting.name}"
                )
    return settings


STRATEGIES: Mapping[str, AnyStrategy] = _all_strategies()
"""Every strategy by its name in configs and tables, in the order of reports."""

SETTINGS: Mapping[str, Setting[SettingValue]] = _all_settings(STRATEGIES.values())
"""Every setting of every strategy by its name."""


def strategy_named(name: str) -> AnyStrategy:
    """The strategy of a name.

    Raises:
        ConfigError: if there is none, or its package cannot be imported.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    if name in _BROKEN:
        raise ConfigError(f"strategy {name!r} cannot be used: {_BROKEN[name]}")
    hint = did_you_mean(name, STRATEGIES)
    raise ConfigError(f"unknown strategy {name!r}{hint}; known: {', '.join(STRATEGIES)}")
