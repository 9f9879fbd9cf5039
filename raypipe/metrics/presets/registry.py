"""All presets, found by scanning ``catalogue/``."""

from __future__ import annotations

from collections.abc import Mapping

from raypipe.discovery import objects_in
from raypipe.errors import ConfigError
from raypipe.metrics.presets.preset import PaperPreset

PRESETS: Mapping[str, PaperPreset] = objects_in(
    "raypipe.metrics.presets.catalogue", "PRESET", PaperPreset
)
"""Every preset by name, in the order of lists."""


def preset_named(name: str) -> PaperPreset:
    """The preset of a name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]
