"""Back ends that listen and answer, one per file, imported only when asked for.

To add one: a class for each half of the contract in :mod:`raypipe.protocols`, a line in each of
the two tables, and a test. Other packages offer theirs through :mod:`raypipe.engines.plugins`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from raypipe.errors import ConfigError
from raypipe.protocols import Engine, Frontend

ENGINES: Mapping[str, str] = {
    "transformers": "raypipe.engines.transformers:TransformersEngine",
    "vllm": "raypipe.engines.vllm.engine:VllmEngine",
    "openai": "raypipe.engines.openai.engine:OpenAIEngine",
}
"""Where the accelerator half of each back end lives, as ``module:class``."""

FRONTENDS: Mapping[str, str] = {
    "transformers": "raypipe.engines.frontend:TransformersFrontend",
    "vllm": "raypipe.engines.vllm.frontend:VllmFrontend",
    "openai": "raypipe.engines.openai.frontend:OpenAIFrontend",
}
"""Where the CPU half of each back end lives, as ``module:class``."""


def load_engine(name: str) -> Callable[..., Engine[Any]]:
    """The class behind an engine's name; each takes its own settings.

    Raises:
        ConfigError: for a name that is not in :data:`ENGINES`.
    """
    made: Callable[..., Engine[Any]] = _load(ENGINES, name)
    return made


def load_frontend(name: str) -> Callable[..., Frontend[Any]]:
    """The class of an engine's CPU half; each takes its own settings.

    Raises:
        ConfigError: for a name that is not in :data:`FRONTENDS`.
    """
    made: Callable[..., Frontend[Any]] = _load(FRONTENDS, name)
    return made


def _load(table: Mapping[str, str], name: str) -> Any:
    if name not in table:
        raise ConfigError(f"unknown engine {name!r}; known: {', '.join(table)}")
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
