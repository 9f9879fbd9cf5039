"""Every encoder family by its name; packages bring further ones by entry point."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from functools import cache

from raypipe.discovery import objects_in
from raypipe.errors import ConfigError, RegistryError
from raypipe.ssl.encoder import Encoder, EncoderFamilies, EncoderFamily, EncoderSource
from raypipe.ssl.loading import model_type

GROUP = "raypipe.encoders"
"""Entry point group of other packages' families; an entry point has its family's name."""


@cache
def encoder_families() -> EncoderFamilies:
    """Every family by its name, in the order of lists.

    Raises:
        RegistryError: if another package's entry point is no family, or takes a known name.
    """
    known: dict[str, EncoderFamily] = dict(
        objects_in("raypipe.ssl.families", "FAMILY", EncoderFamily)
    )
    for entry_point in sorted(importlib.metadata.entry_points(group=GROUP)):
        family = entry_point.load()
        if not isinstance(family, EncoderFamily):
            raise RegistryError(f"{entry_point.value} is a {type(family).__name__}, no family")
        if family.name in known:
            raise RegistryError(f"{entry_point.value}: {family.name!r} is another family's name")
        known[family.name] = family
    return known


def _by(attribute: str) -> Mapping[str, EncoderFamily]:
    return {
        name: family
        for family in encoder_families().values()
        for name in getattr(family, attribute)
    }


def family_of(path: str, revision: str | None = None) -> EncoderFamily:
    """The family of an encoder.

    Args:
        path: a built-in name, the folder of a checkpoint, or a hub id.
        revision: commit of a hub id.

    Raises:
        ConfigError: if no family takes it.
    """
    built_in = _by("built_in")
    if path in built_in:
        return built_in[path]
    kind, known = model_type(path, revision), _by("model_types")
    if kind not in known:
        raise ConfigError(
            f"encoder {path}: no family takes model_type {kind!r}; known: "
            f"{', '.join((*built_in, *known))}"
        )
    return known[kind]


def load(source: EncoderSource) -> Encoder:
    """A loaded encoder.

    Raises:
        ConfigError: if no family takes it, or its checkpoint cannot be used.
    """
    return family_of(source.path, source.revision).load(source)
